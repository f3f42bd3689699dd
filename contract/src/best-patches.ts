import { Type, type Static } from 'typebox';
import { oneOf } from './enum.ts';

const closed = { additionalProperties: false } as const;
const orNull = <T extends Parameters<typeof Type.Union>[0][number]>(schema: T) =>
  Type.Union([schema, Type.Null()]);

/** Whose risk it is about; neither: all assets. */
const scope = {
  tag: Type.Optional(Type.String({ maxLength: 255 })),
  /** Over assets. */
  query: Type.Optional(Type.String({ maxLength: 10_000 })),
};

/** GET /api/v1/patches/best */
export const BestPatchesQuery = Type.Object(
  {
    ...scope,
    /** At most so many packages (or updates). */
    packages: Type.Optional(Type.Integer({ minimum: 0, maximum: 1_000_000 })),
    /** At most so many reboots of assets; one that gets several patches reboots once. */
    reboots: Type.Optional(Type.Integer({ minimum: 0, maximum: 100_000_000 })),
    /** At most so many minutes of window, as for an asset that needs all of the patches. */
    minutes: Type.Optional(Type.Number({ minimum: 0, maximum: 1_000_000 })),
    /** Risk to remove, as a number or as a share of the present one: `50%`. Then the fewest patches that do. */
    wanted: Type.Optional(Type.String({ pattern: '^[0-9]{1,12}(\\.[0-9]{1,6})?%?$' })),
  },
  closed,
);

const Cost = Type.Object({ packages: Type.Number(), reboots: Type.Number(), minutes: Type.Number() }, closed);

/** Only some of the assets were looked at: all figures are estimates then. */
export const PatchSample = Type.Object(
  {
    assets: Type.Integer(),
    of: Type.Integer(),
    strata: Type.Integer(),
    why: oneOf(['too_many_assets', 'too_many_profiles'] as const),
    sentence: Type.String(),
  },
  closed,
);

const Scope = Type.Object(
  {
    assets: Type.Integer(),
    /** Assets that are alike in criticality and findings are one of these. */
    profiles: Type.Integer(),
    /** Patches that could be chosen. */
    candidates: Type.Integer(),
    sample: orNull(PatchSample),
  },
  closed,
);

export const BestPatch = Type.Object(
  {
    /** `debian:12/openssl@3.0.22-1~deb12u2` */
    patch: Type.String(),
    ecosystem: Type.String(),
    release: Type.String(),
    package: Type.String(),
    version: Type.String(),
    /** Risk that it removes after those before it. */
    removed: Type.Number(),
    /** Findings that it closes and none before it does, and the assets that they are on. */
    findings: Type.Number(),
    assets: Type.Number(),
    /** What it costs in addition to those before it. */
    cost: Cost,
  },
  closed,
);
export type BestPatch = Static<typeof BestPatch>;

export const BestPatches = Type.Object(
  {
    /** In the order in which they are best deployed. */
    patches: Type.Array(BestPatch),
    scope: Scope,
    /** Sum of the risks of the assets: now, and once all of these patches are deployed. */
    before: Type.Number(),
    after: Type.Number(),
    removed: Type.Number(),
    /** What all patches together would remove, without a limit. */
    removable: Type.Number(),
    cost: Cost,
    /** As asked for; null: no limit. */
    budget: Type.Object(
      {
        packages: orNull(Type.Number()),
        reboots: orNull(Type.Number()),
        minutes: orNull(Type.Number()),
      },
      closed,
    ),
    wanted: orNull(Type.Number()),
    reached: orNull(Type.Boolean()),
    /** No fewer patches remove what is wanted; null: not even all do, or nothing is wanted. */
    least_patches: orNull(Type.Integer()),
    /** No set of patches within the budget removes more. */
    upper_bound: Type.Number(),
    /** How far below that bound it is at most, in per cent of it. */
    gap_percent: Type.Number(),
    method: oneOf(['exact', 'solver', 'greedy'] as const),
    solver: oneOf(['not_needed', 'finished', 'out_of_time'] as const),
    /** Share of the best that the method is sure to reach; null: none. */
    guarantee: orNull(Type.Number()),
    /** How good it is, in words. */
    guarantee_sentence: Type.String(),
  },
  closed,
);
export type BestPatches = Static<typeof BestPatches>;

/** GET /api/v1/patches/:product/:patch/risk-removed */
export const RiskRemovedQuery = Type.Object(
  {
    ...scope,
    /** Ids of patches that are deployed as well, separated by commas. */
    with: Type.Optional(Type.String({ maxLength: 20_000 })),
  },
  closed,
);
export const RiskRemoved = Type.Object(
  {
    patch: Type.String(),
    with: Type.Array(Type.String()),
    scope: Scope,
    before: Type.Number(),
    /** Risk that it removes by itself. */
    alone: Type.Number(),
    /** Risk that it removes once those of `with` are deployed; they do not add up, see docs/risk.md. */
    on_top: Type.Number(),
    /** Risk that all of them remove together. */
    together: Type.Number(),
    /** Findings that it closes by itself, and the assets that they are on. */
    findings: Type.Number(),
    assets: Type.Number(),
  },
  closed,
);
export type RiskRemoved = Static<typeof RiskRemoved>;
