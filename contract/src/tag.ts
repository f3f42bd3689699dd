/** Tags: named sets of assets, by rule, list or ranges of addresses; see docs/tags.md. */
import { Type, type Static } from 'typebox';
import { queryLimits } from '@fixpoint/core/query/query.ts';
import { tagLimits, tagNamePattern } from '@fixpoint/core/tag/definition.ts';
import { oneOf } from './enum.ts';
import { ListQuery } from './list.ts';
import { QueryNote } from './search.ts';

const closed = { additionalProperties: false } as const;
const time = Type.String({ format: 'date-time' });
const count = Type.Integer({ minimum: 0 });
const orNull = <T extends Parameters<typeof Type.Union>[0][number]>(schema: T) =>
  Type.Union([schema, Type.Null()]);

export const TagName = Type.String({ pattern: tagNamePattern.source });
const description = Type.String({ maxLength: tagLimits.description_characters });
/** How long a rule may be is said by the language, with the place. */
const rule = Type.String({ maxLength: queryLimits.characters * 2 });
const ranges = Type.Array(Type.String({ maxLength: 140 }), { maxItems: tagLimits.ranges });
const reference = Type.String({ minLength: 1, maxLength: 255 });

/** GET /api/v1/tags */
export const TagListQuery = Type.Object(ListQuery, closed);

/**
 * POST /api/v1/tags. At most one of `rule`, `ranges` and `assets`; without any it is an empty list.
 */
export const TagRequest = Type.Object(
  {
    name: TagName,
    description: Type.Optional(description),
    /** The tag that this one is nested in: whoever is in this one is in that one too. */
    parent: Type.Optional(orNull(TagName)),
    /** A query over assets. */
    rule: Type.Optional(rule),
    /** `10.0.0.0/8`, `2001:db8::/32`, `10.0.0.1`, `10.0.0.1-10.0.0.9`. */
    ranges: Type.Optional(ranges),
    /** Ids, or hostnames when unique. */
    assets: Type.Optional(Type.Array(reference, { maxItems: 10_000 })),
  },
  closed,
);
export type TagRequest = Static<typeof TagRequest>;

/** PATCH /api/v1/tags/:name. What is not given stays. */
export const TagChangeRequest = Type.Object(
  {
    name: Type.Optional(TagName),
    description: Type.Optional(description),
    parent: Type.Optional(orNull(TagName)),
    rule: Type.Optional(rule),
    ranges: Type.Optional(ranges),
  },
  { ...closed, minProperties: 1 },
);
export type TagChangeRequest = Static<typeof TagChangeRequest>;

/** PUT /api/v1/tags/:name/assets adds, DELETE removes. */
export const TagMembers = Type.Object(
  { assets: Type.Array(reference, { minItems: 1, maxItems: 10_000 }) },
  closed,
);

export const tagKinds = ['list', 'rule', 'ranges'] as const;

export const Tag = Type.Object(
  {
    name: Type.String(),
    kind: oneOf(tagKinds),
    description: Type.String(),
    parent: orNull(Type.String()),
    rule: orNull(Type.String()),
    ranges: orNull(Type.Array(Type.String())),
    /** Assets in it that are not retired, those of nested tags included. */
    assets: count,
    /** Assets of which it cannot be said, because a fact is not known. They are not in it. */
    unknown: count,
    created_by: Type.String(),
    created_at: time,
    updated_at: time,
  },
  closed,
);
export type Tag = Static<typeof Tag>;

export const TaggedAsset = Type.Object({ id: Type.String(), hostname: Type.String() }, closed);
export type TaggedAsset = Static<typeof TaggedAsset>;

/** What names a tag, so that it cannot be deleted. */
export const TagNeed = Type.Object(
  {
    kind: oneOf([
      'nested_tag',
      'tag_rule',
      'criticality_rule',
      'sla_rule',
      'acceptance',
      'patch_job',
    ] as const),
    /** Name, or id of what has no name. */
    name: Type.String(),
  },
  closed,
);
export type TagNeed = Static<typeof TagNeed>;

/** GET /api/v1/tags/:name */
export const TagDetail = Type.Object(
  {
    tag: Tag,
    /** What its own rule means, in words; null where it has none. */
    words: orNull(Type.String()),
    /** Tags that are nested in it directly, and those that its rule asks for. */
    nested: Type.Array(Type.String()),
    asks_for: Type.Array(Type.String()),
    needed_by: Type.Array(TagNeed),
    /**
     * `facts`: it asks only for what assets report; criticality, acceptances and SLA rules may ask for it. `findings`: it asks for
     * what follows from those.
     */
    depends_on: oneOf(['facts', 'findings'] as const),
    /** Why it depends on findings; null where it does not. */
    depends_because: orNull(Type.String()),
    /** The first hundred of which it cannot be said. */
    unknown_assets: Type.Array(TaggedAsset),
  },
  closed,
);
export type TagDetail = Static<typeof TagDetail>;

/** GET /api/v1/tags/:name/why?asset= */
export const TagWhyQuery = Type.Object({ asset: reference }, closed);
export const TagWhy = Type.Object(
  {
    tag: Type.String(),
    asset: TaggedAsset,
    /** Null: it cannot be said. */
    is_member: orNull(Type.Boolean()),
    by: orNull(oneOf(['rule', 'list', 'ranges', 'child'] as const)),
    /** From this tag down to the one that decides. */
    path: Type.Array(Type.String()),
    sentence: Type.String(),
  },
  closed,
);
export type TagWhy = Static<typeof TagWhy>;

/**
 * POST /api/v1/tags/preview. `definition` null: deleting it. Of a tag that there is, what is not given stays as it is; of one
 * that there is not, everything has to be said as when it is made.
 */
export const TagPreviewRequest = Type.Object(
  {
    tag: TagName,
    definition: orNull(Type.Omit(TagRequest, ['name'])),
  },
  closed,
);
export type TagPreviewRequest = Static<typeof TagPreviewRequest>;

const Moving = Type.Object(
  { total: count, /** The first hundred. */ assets: Type.Array(TaggedAsset) },
  closed,
);
export type Moving = Static<typeof Moving>;

export const TagPreview = Type.Object(
  {
    /** The tag itself first, then every one that changes with it. */
    tags: Type.Array(
      Type.Object(
        {
          tag: Type.String(),
          enter: Moving,
          leave: Moving,
          become_unknown: Moving,
          /** How many there would be. */
          assets: count,
          unknown: count,
        },
        closed,
      ),
    ),
    /** Assets whose criticality would change by rules that ask for these tags. */
    criticality: Type.Object({ raised: Moving, lowered: Moving }, closed),
    /** What the query language has to say of the rule. */
    notes: Type.Array(QueryNote),
  },
  closed,
);
export type TagPreview = Static<typeof TagPreview>;
