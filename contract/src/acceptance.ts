import { Type, type Static } from 'typebox';
import { oneOf } from './enum.ts';
import { ListQuery } from './list.ts';

/** Risk acceptances: findings that somebody leaves unfixed on purpose, for a time. */

const closed = { additionalProperties: false } as const;
const time = Type.String({ format: 'date-time' });
const orNull = <T extends Parameters<typeof Type.Union>[0][number]>(schema: T) =>
  Type.Union([schema, Type.Null()]);

export const acceptanceLimits = {
  /** Longest time from now to the end. */
  days: 366,
  /** Said ahead of the end by so many days. */
  warning_days: 7,
  reason_characters: 10,
} as const;

const reason = Type.String({
  minLength: acceptanceLimits.reason_characters,
  maxLength: 2_000,
  pattern: '\\S',
});
/** A query over findings; see docs/acceptance.md for what it may ask. */
const scope = Type.String({ maxLength: 10_000 });

/** POST /api/v1/acceptances */
export const AcceptanceRequest = Type.Object(
  {
    scope,
    /** Why it is left as it is, for whoever asks later. */
    reason,
    /** Who answers for it. */
    owner: Type.String({ minLength: 1, maxLength: 200, pattern: '\\S' }),
    expires_at: time,
    /** Without it: from now on. */
    starts_at: Type.Optional(time),
  },
  closed,
);
export type AcceptanceRequest = Static<typeof AcceptanceRequest>;

export const AcceptanceRevocation = Type.Object({ reason }, closed);
/** POST /api/v1/acceptances/:id/extend: the same acceptance ends later. */
export const AcceptanceExtension = Type.Object({ expires_at: time, reason }, closed);

export const acceptanceStates = ['scheduled', 'in_force', 'expired', 'revoked'] as const;
export type AcceptanceState = (typeof acceptanceStates)[number];

export const Acceptance = Type.Object(
  {
    id: Type.String({ format: 'uuid' }),
    state: oneOf(acceptanceStates),
    scope: Type.String(),
    /** The scope as a sentence. */
    words: Type.String(),
    reason: Type.String(),
    owner: Type.String(),
    created_by: Type.String(),
    created_at: time,
    starts_at: time,
    expires_at: time,
    revoked_at: orNull(time),
    revoked_by: orNull(Type.String()),
    revoked_reason: orNull(Type.String()),
    /**
     * Findings not fixed that its scope speaks of now, and the assets that they are on; null when it is not in force. Where
     * scopes overlap, each counts the finding.
     */
    findings: orNull(Type.Integer({ minimum: 0 })),
    assets: orNull(Type.Integer({ minimum: 0 })),
    /** Of these findings, those whose vulnerability is known to be attacked. */
    exploited: orNull(Type.Integer({ minimum: 0 })),
    /** Why it covers nothing although it is in force: its scope can no longer be judged. */
    problem: orNull(Type.String()),
  },
  closed,
);
export type Acceptance = Static<typeof Acceptance>;

/** GET /api/v1/acceptances?state= → List(Acceptance), the newest first */
export const AcceptanceQuery = Type.Object(
  { ...ListQuery, state: Type.Optional(oneOf(acceptanceStates)) },
  closed,
);

export const CoveredFinding = Type.Object(
  {
    asset_id: Type.String(),
    hostname: Type.String(),
    vulnerability: Type.String(),
    title: orNull(Type.String()),
    package: Type.String(),
    status: Type.String(),
    /** 0–100 */
    score: Type.Number(),
    exploited: Type.Boolean(),
  },
  closed,
);
export type CoveredFinding = Static<typeof CoveredFinding>;

/** GET /api/v1/acceptances/:id. `first` are the findings with the highest score. */
export const AcceptanceDetail = Type.Object(
  { acceptance: Acceptance, first: Type.Array(CoveredFinding) },
  closed,
);
export type AcceptanceDetail = Static<typeof AcceptanceDetail>;

/** POST /api/v1/acceptances/preview: what would be covered now, whatever is accepted already. */
export const AcceptancePreviewRequest = Type.Object({ scope }, closed);
export const AcceptancePreview = Type.Object(
  {
    words: Type.String(),
    findings: Type.Integer({ minimum: 0 }),
    assets: Type.Integer({ minimum: 0 }),
    exploited: Type.Integer({ minimum: 0 }),
    /** Of these findings, those that are accepted already. */
    accepted_already: Type.Integer({ minimum: 0 }),
    /** Sums over the assets, 0–1000 for each: as it is, and as it would be shown with all of it accepted. */
    risk: Type.Object(
      {
        now: Type.Number(),
        shown_after: Type.Number(),
        /** `shown_after` is reckoned from this many assets; null: from all. */
        sampled_assets: orNull(Type.Integer()),
      },
      closed,
    ),
    /** What should be thought of before, each a sentence. */
    warnings: Type.Array(Type.String()),
    first: Type.Array(CoveredFinding),
    as_of: time,
  },
  closed,
);
export type AcceptancePreview = Static<typeof AcceptancePreview>;
