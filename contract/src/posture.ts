/** How the fleet stands: dashboards, blast radius and risk, from the read model; see docs/search.md. */
import { Type, type Static } from 'typebox';
import { exploitMaturities } from '@fixpoint/core/knowledge/danger.ts';
import { oneOf } from './enum.ts';
import { findingStatuses } from './finding.ts';
import { ListQuery } from './list.ts';
import { QueryText } from './search.ts';

const closed = { additionalProperties: false } as const;
const time = Type.String({ format: 'date-time' });
const orNull = <T extends Parameters<typeof Type.Union>[0][number]>(schema: T) =>
  Type.Union([schema, Type.Null()]);
const count = Type.Integer({ minimum: 0 });

// /api/v1/posture --------------------------------------------------------------------------------------------------------

/** GET /api/v1/posture: the read model of the server that answers. */
export const PostureView = Type.Object(
  {
    /** When it was last found to be as the database is; null before it is loaded. */
    as_of: orNull(time),
    /** Seconds since then. */
    lag_seconds: orNull(Type.Number({ minimum: 0 })),
    assets: count,
    software: count,
    vulnerabilities: count,
    /** Vulnerabilities in packages: what findings are made of. */
    pairs: count,
    /** False while risks are being worked out anew. */
    settled: Type.Boolean(),
  },
  closed,
);
export type PostureView = Static<typeof PostureView>;

export const severities = ['none', 'low', 'medium', 'high', 'critical', 'unknown'] as const;
const exposedStatuses = findingStatuses.filter((status) => status !== 'fixed');

/** A scope: assets of a tag, assets of a query, of both; without either all. */
export const ScopeQuery = {
  tag: Type.Optional(Type.String({ maxLength: 255 })),
  query: Type.Optional(QueryText),
};
export const PostureSummaryQuery = Type.Object(ScopeQuery, closed);

/** GET /api/v1/posture/summary: the dashboard of a scope. */
export const PostureSummary = Type.Object(
  {
    /** What it is of. */
    tag: orNull(Type.String()),
    query: orNull(Type.String()),
    words: Type.String(),
    assets: count,
    /** Assets with a finding that is open or waits for a restart or reboot. */
    assets_with_open_findings: count,
    risk: Type.Object(
      {
        sum: Type.Number(),
        mean: Type.Number(),
        p50: Type.Number(),
        p90: Type.Number(),
        p99: Type.Number(),
        most: Type.Number(),
        /** Assets by risk: from `from` up to and without the next. */
        bands: Type.Array(Type.Object({ from: Type.Number(), assets: count }, closed)),
      },
      closed,
    ),
    findings: Type.Object(
      {
        total: count,
        by_severity: Type.Array(
          Type.Object(
            {
              severity: oneOf(severities),
              total: count,
              by_status: Type.Array(Type.Object({ status: oneOf(exposedStatuses), findings: count }, closed)),
            },
            closed,
          ),
        ),
        /** Findings of what is attacked, that are open or wait for a restart or reboot. */
        exploited: count,
        /** By age, open ones; null where that has not been worked out. */
        by_age: orNull(Type.Array(Type.Object({ from_days: count, findings: count }, closed))),
      },
      closed,
    ),
    top_vulnerabilities: Type.Array(
      Type.Object(
        {
          id: Type.String(),
          title: orNull(Type.String()),
          score: Type.Number(),
          exploited: Type.Boolean(),
          assets: count,
        },
        closed,
      ),
    ),
    top_patches: Type.Array(
      Type.Object(
        {
          id: Type.String(),
          package: Type.String(),
          assets: count,
          findings: count,
          risk_removed: Type.Number(),
        },
        closed,
      ),
    ),
    as_of: time,
    settled: Type.Boolean(),
  },
  closed,
);
export type PostureSummary = Static<typeof PostureSummary>;

/** GET /api/v1/vulnerabilities → List(VulnerabilitySummary); without a query those that some asset has */
export const VulnerabilityListQuery = Type.Object({ ...ListQuery, query: Type.Optional(QueryText) }, closed);
export const VulnerabilitySummary = Type.Object(
  {
    id: Type.String(),
    aliases: Type.Array(Type.String()),
    title: orNull(Type.String()),
    /** 0–100; on systems of one vendor it can be another, as vendors score differently. */
    score: Type.Number({ minimum: 0, maximum: 100 }),
    cvss: orNull(Type.Number()),
    severity: orNull(Type.String()),
    epss: orNull(Type.Number()),
    exploit: oneOf(exploitMaturities),
    exploited: Type.Boolean(),
    ransomware: orNull(Type.Boolean()),
    published_at: orNull(time),
    withdrawn: Type.Boolean(),
    /** Assets that have it, in whatever status but fixed. */
    assets: count,
  },
  closed,
);
export type VulnerabilitySummary = Static<typeof VulnerabilitySummary>;

/** GET /api/v1/vulnerabilities/:id/assets */
export const AffectedQuery = Type.Object({ ...ListQuery, ...ScopeQuery }, closed);
export const AffectedAsset = Type.Object(
  {
    id: Type.String({ format: 'uuid' }),
    hostname: Type.String(),
    os: Type.String(),
    os_release: Type.String(),
    risk: Type.Number(),
    criticality: Type.Integer({ minimum: 1, maximum: 5 }),
    findings: Type.Array(
      Type.Object({ package: Type.String(), status: oneOf(exposedStatuses), first_seen_at: time }, closed),
    ),
  },
  closed,
);
export type AffectedAsset = Static<typeof AffectedAsset>;

/** GET /api/v1/assets/:id/risk */
export const AssetRiskView = Type.Object(
  {
    id: Type.String({ format: 'uuid' }),
    hostname: Type.String(),
    risk: Type.Number({ minimum: 0, maximum: 1000 }),
    /** 0–1: that at least one finding is exploited to full effect. */
    chance: Type.Number({ minimum: 0, maximum: 1 }),
    criticality: Type.Object({ level: Type.Integer({ minimum: 1, maximum: 5 }), why: Type.String() }, closed),
    words: Type.String(),
    /** The gravest first; at most so many as were asked for. */
    factors: Type.Array(
      Type.Object(
        {
          vulnerability: Type.String(),
          packages: Type.Array(Type.String()),
          status: oneOf(exposedStatuses),
          score: Type.Number(),
          probability: Type.Number(),
          alone: Type.Number(),
          removed_if_fixed: Type.Number(),
          words: Type.String(),
        },
        closed,
      ),
    ),
    accepted: Type.Object({ vulnerabilities: count, risk_with_accepted: Type.Number() }, closed),
    undetermined: Type.Object({ vulnerabilities: count, risk_without: Type.Number() }, closed),
    as_of: time,
  },
  closed,
);
export type AssetRiskView = Static<typeof AssetRiskView>;
