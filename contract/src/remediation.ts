import { Type, type Static } from 'typebox';
import { oneOf } from './enum.ts';

const closed = { additionalProperties: false } as const;
const time = Type.String({ format: 'date-time' });
const orNull = <T extends Parameters<typeof Type.Union>[0][number]>(schema: T) =>
  Type.Union([schema, Type.Null()]);

/** `unknown`: no source scores the vulnerability, or it is no longer known here. */
export const remediationBands = ['critical', 'high', 'medium', 'low', 'none', 'unknown'] as const;
export type RemediationBand = (typeof remediationBands)[number];

/** Whose findings are counted. */
const scope = {
  /** Of assets in this tag today. */
  tag: Type.Optional(Type.String({ maxLength: 255 })),
  /** Over findings: by what is known of the asset, the vulnerability and the package, not by what becomes of the finding. */
  query: Type.Optional(Type.String({ maxLength: 10_000 })),
  severity: Type.Optional(oneOf(remediationBands)),
};

/** GET /api/v1/remediation */
export const RemediationQuery = Type.Object(
  {
    ...scope,
    /** Only findings opened since. */
    since: Type.Optional(time),
    /** As it was known then; a closing after it has not happened. */
    until: Type.Optional(time),
    /** `tag`: of each tag of `tags` by itself as well. */
    by: Type.Optional(oneOf(['tag'] as const)),
    /** Separated by commas, at most 20. */
    tags: Type.Optional(Type.String({ maxLength: 2_000 })),
  },
  closed,
);

/** The age in days by which half is remediated. */
export const MedianDays = Type.Object(
  {
    kind: oneOf(['reached', 'not_reached', 'no_findings'] as const),
    days: orNull(Type.Number()),
    /** When it is not reached: the greatest age observed. */
    at_least_days: orNull(Type.Number()),
    /** 95 % interval; null where its end is not observed. */
    low_days: orNull(Type.Number()),
    high_days: orNull(Type.Number()),
  },
  closed,
);

export const RemediationEstimate = Type.Object(
  {
    sentence: Type.String(),
    median: MedianDays,
    /** Mean number of days open within the horizon; null without findings. */
    restricted_mean: orNull(
      Type.Object(
        {
          days: Type.Number(),
          standard_error: Type.Number(),
          horizon_days: Type.Number(),
          shortened: Type.Boolean(),
        },
        closed,
      ),
    ),
    /** Of what was remediated alone, as it is usually reported; too short, since what nobody fixes is not in it. */
    closed_only: orNull(Type.Object({ mean_days: Type.Number(), median_days: Type.Number() }, closed)),
    counts: Type.Object(
      {
        remediated: Type.Integer(),
        open: Type.Integer(),
        closed_otherwise: Type.Integer(),
        /** Errors in the data, left out. */
        refused: Type.Integer(),
      },
      closed,
    ),
    confidence: Type.Number(),
    /** Share still open from this age on, at most 200 points of it; 1 before the first. */
    curve: Type.Array(
      Type.Object(
        {
          days: Type.Number(),
          share: Type.Number(),
          low: Type.Number(),
          high: orNull(Type.Number()),
          at_risk: Type.Integer(),
        },
        closed,
      ),
      { maxItems: 200 },
    ),
    /** Number of points of the curve before it was thinned. */
    curve_points: Type.Integer(),
  },
  closed,
);
export type RemediationEstimate = Static<typeof RemediationEstimate>;

/** What was read for an answer, and what is to be known of it. */
export const RemediationReading = Type.Object(
  {
    /** Assets of today whose findings were counted. */
    assets: Type.Integer(),
    /** Retired assets whose findings were counted. */
    retired_assets: Type.Integer(),
    /** Ended exposures that were read. */
    history_rows: Type.Integer(),
    /** Ended exposures of which the query could not be answered, left out. */
    not_judged: Type.Integer(),
    notes: Type.Array(Type.String()),
  },
  closed,
);

export type RemediationReading = Static<typeof RemediationReading>;

export const Remediation = Type.Object(
  {
    since: orNull(time),
    until: time,
    all: RemediationEstimate,
    /** Bands without a finding are left out. */
    by_severity: Type.Array(
      Type.Object({ severity: oneOf(remediationBands), estimate: RemediationEstimate }, closed),
    ),
    /** Null unless asked for. */
    by_tag: orNull(
      Type.Array(
        Type.Object({ tag: Type.String(), assets: Type.Integer(), estimate: RemediationEstimate }, closed),
      ),
    ),
    reading: RemediationReading,
  },
  closed,
);
export type Remediation = Static<typeof Remediation>;

const day = Type.String({ pattern: '^[0-9]{4}-[0-9]{2}-[0-9]{2}$' });

/** GET /api/v1/remediation/burn-down */
export const BurnDownQuery = Type.Object(
  {
    ...scope,
    /** First and last day; both belong to it. Without them the last 30 days. */
    from: Type.Optional(day),
    to: Type.Optional(day),
    /** IANA name, which says when days begin; UTC without it. */
    time_zone: Type.Optional(Type.String({ maxLength: 64 })),
  },
  closed,
);

export const BurnDown = Type.Object(
  {
    time_zone: Type.String(),
    /** Open just before the first day. */
    open_before: Type.Integer(),
    days: Type.Array(
      Type.Object(
        {
          day,
          from: time,
          /** Does not belong to it: 23 or 25 hours after `from` where clocks change. */
          to: time,
          /** At the end of the day, or now when it is not over. */
          open: Type.Integer(),
          over: Type.Boolean(),
          opened: Type.Integer(),
          reopened: Type.Integer(),
          remediated: Type.Integer(),
          closed_otherwise: Type.Integer(),
        },
        closed,
      ),
    ),
    refused: Type.Integer(),
    reading: RemediationReading,
  },
  closed,
);
export type BurnDown = Static<typeof BurnDown>;
