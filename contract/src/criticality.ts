import { Type, type Static } from 'typebox';
import { oneOf } from './enum.ts';

/** How much depends on an asset, 1 to 5, by hand or by rules; and attributes of one's own, which rules ask for. */

const closed = { additionalProperties: false } as const;
const time = Type.String({ format: 'date-time' });
const orNull = <T extends Parameters<typeof Type.Union>[0][number]>(schema: T) =>
  Type.Union([schema, Type.Null()]);
const level = Type.Integer({ minimum: 1, maximum: 5 });
const count = Type.Integer({ minimum: 0 });
const reason = Type.String({ minLength: 1, maxLength: 1_000, pattern: '\\S' });

export const criticalityLimits = { rules: 200, attributes: 64, attribute_characters: 255 } as const;

/** PUT /api/v1/assets/:id/criticality; null: by the rules again. */
export const CriticalityRequest = Type.Object({ criticality: orNull(level), reason }, closed);
/** GET and PUT /api/v1/assets/:id/criticality */
export const AssetCriticality = Type.Object(
  {
    asset_id: Type.String(),
    hostname: Type.String(),
    criticality: level,
    by: oneOf(['person', 'rule', 'default'] as const),
    /** Name of the rule that gave it. */
    rule: orNull(Type.String()),
  },
  closed,
);
export type AssetCriticality = Static<typeof AssetCriticality>;

const name = Type.String({ minLength: 1, maxLength: 200, pattern: '\\S' });
/** A query over assets. */
const query = Type.String({ maxLength: 10_000 });

/** POST /api/v1/criticality-rules puts it behind all others; PATCH /api/v1/criticality-rules/:id */
export const CriticalityRuleRequest = Type.Object({ name, query, criticality: level }, closed);
export type CriticalityRuleRequest = Static<typeof CriticalityRuleRequest>;
export const CriticalityRuleChange = Type.Partial(CriticalityRuleRequest, closed);
export type CriticalityRuleChange = Static<typeof CriticalityRuleChange>;

export const CriticalityRule = Type.Object(
  {
    id: Type.String({ format: 'uuid' }),
    name: Type.String(),
    query: Type.String(),
    /** The query as a sentence. */
    words: Type.String(),
    criticality: level,
    /** Assets that have their criticality from this rule: none before it holds, and no person has set it. */
    assets: count,
    created_by: Type.String(),
    created_at: time,
    updated_at: time,
  },
  closed,
);
export type CriticalityRule = Static<typeof CriticalityRule>;
/** GET /api/v1/criticality-rules, in their order: the first that holds counts. */
export const CriticalityRules = Type.Object({ items: Type.Array(CriticalityRule) }, closed);
export type CriticalityRules = Static<typeof CriticalityRules>;
/** PUT /api/v1/criticality-rules/order: the ids of all rules. */
export const CriticalityOrder = Type.Object(
  { order: Type.Array(Type.String({ format: 'uuid' }), { maxItems: criticalityLimits.rules }) },
  closed,
);

/** POST /api/v1/criticality-rules/preview: what these rules in this order would come to, instead of those that there are. */
export const CriticalityPreviewRequest = Type.Object(
  { rules: Type.Array(CriticalityRuleRequest, { maxItems: criticalityLimits.rules }) },
  closed,
);
export type CriticalityPreviewRequest = Static<typeof CriticalityPreviewRequest>;
export const CriticalityPreview = Type.Object(
  {
    /** Assets whose criticality would be another, by what it is and would be. */
    changes: Type.Array(
      Type.Object({ from: level, to: level, assets: count, first: Type.Array(Type.String()) }, closed),
    ),
    raised: count,
    lowered: count,
    as_of: time,
  },
  closed,
);
export type CriticalityPreview = Static<typeof CriticalityPreview>;

/** As the query language reads them: `attribute.KEY`. */
const key = Type.String({ pattern: '^(?=.{1,100}$)[A-Za-z0-9_-]+(\\.[A-Za-z0-9_-]+)*$' });
const value = Type.String({ maxLength: criticalityLimits.attribute_characters });
const change = {
  set: Type.Optional(
    Type.Record(key, value, { maxProperties: criticalityLimits.attributes, additionalProperties: false }),
  ),
  remove: Type.Optional(Type.Array(key, { maxItems: criticalityLimits.attributes })),
};
/** PUT /api/v1/assets/:id/attributes */
export const AttributeChange = Type.Object(change, closed);
export type AttributeChange = Static<typeof AttributeChange>;
/** GET and PUT /api/v1/assets/:id/attributes */
export const AssetAttributes = Type.Object(
  { asset_id: Type.String(), hostname: Type.String(), attributes: Type.Record(Type.String(), Type.String()) },
  closed,
);
export type AssetAttributes = Static<typeof AssetAttributes>;
/**
 * POST /api/v1/assets/attributes. Without `expected_assets` nothing is changed; with it, nothing either when it is not the
 * number of assets that the query finds.
 */
export const AttributeBulkChange = Type.Object(
  { ...change, query, expected_assets: Type.Optional(count) },
  closed,
);
export type AttributeBulkChange = Static<typeof AttributeBulkChange>;
export const AttributeBulkChanged = Type.Object(
  {
    /** Found by the query. */
    assets: count,
    /** Whose attributes are others now: some may have had them already. */
    changed: count,
    applied: Type.Boolean(),
  },
  closed,
);
export type AttributeBulkChanged = Static<typeof AttributeBulkChanged>;
