import { Type, type Static } from 'typebox';
import { missingPatchReasons } from '@fixpoint/core/match/correlate.ts';
import { mitigationEffects } from '@fixpoint/core/mitigation/mitigation.ts';
import { exploitMaturities } from '@fixpoint/core/knowledge/danger.ts';
import { oneOf } from './enum.ts';
import { ListQuery } from './list.ts';

const closed = { additionalProperties: false } as const;
const time = Type.String({ format: 'date-time' });
const orNull = <T extends Parameters<typeof Type.Union>[0][number]>(schema: T) =>
  Type.Union([schema, Type.Null()]);

export const findingStatuses = [
  'open',
  'restart_pending',
  'reboot_pending',
  'mitigated',
  'accepted',
  'fixed',
  'undetermined',
] as const;

/** Why a verdict is what it is: the facts, the rule, the comparison. Made by core/match. */
export const Evidence = Type.Object(
  {
    /** The rule applied: `installed_before_fixed`, `no_fix_published`, `kernel_runs_older`, … */
    rule: Type.String(),
    /** One sentence for a person. */
    sentence: Type.String(),
    feed: orNull(Type.String()),
    record: orNull(Type.String()),
    advisory: orNull(Type.String()),
    installed_version: orNull(Type.String()),
    fixed_version: orNull(Type.String()),
    comparison: orNull(oneOf(['less', 'equal', 'greater', 'incomparable', 'unparseable'] as const)),
    note: orNull(Type.String()),
    /** Other sources that say something else, in words. */
    disagreements: Type.Array(Type.String()),
    /** Support channel that the fix comes from, in words; absent or null when everybody gets it. */
    channel: Type.Optional(orNull(Type.String())),
    /** Windows: the update to deploy now, the end of the chain that supersedes the fix. */
    update: Type.Optional(
      Type.Object(
        {
          id: Type.String(),
          build: orNull(Type.String()),
          /** The update that the vendor names for this vulnerability. */
          contains: Type.String(),
          restart: orNull(oneOf(['required', 'maybe', 'not_required'] as const)),
        },
        closed,
      ),
    ),
  },
  closed,
);
export type Evidence = Static<typeof Evidence>;

export const FindingPatch = Type.Object(
  {
    /** `debian:12/openssl@3.0.22-1~deb12u2` */
    id: Type.String(),
    version: Type.String(),
    /** Whether a repository of this very asset offers it now. */
    offered: Type.Boolean(),
    /** The repository that offers it, as the package manager names it. */
    repository: orNull(Type.String()),
    /** The newest patch that is known to supersede it, when no repository of this asset offers that one. */
    superseded_by: orNull(Type.String()),
    /** Why it cannot be installed as things are: on hold, not offered, another support channel. */
    obstacle: orNull(Type.String()),
    needs: Type.Object(
      {
        reboot: oneOf(['required', 'advised', 'no'] as const),
        restart: Type.Boolean(),
        /** Packages of the asset that move together. */
        packages: Type.Array(Type.String()),
        /** What these need of other packages and what is installed does not meet. */
        dependencies: Type.Array(Type.String()),
      },
      closed,
    ),
  },
  closed,
);

/** Why no patch closes a finding. */
export const MissingPatch = Type.Object(
  { reason: oneOf(missingPatchReasons), sentence: Type.String() },
  closed,
);

/** A reviewed configuration change that bears on a finding; see /api/v1/mitigations/:id. */
export const FindingMitigation = Type.Object(
  {
    id: Type.String(),
    title: Type.String(),
    effect: oneOf(mitigationEffects),
    condition: Type.String(),
    /** As it stands on this asset; null where it has not been applied. */
    state: orNull(oneOf(['applied', 'not_applied', 'overridden', 'unknown'] as const)),
  },
  closed,
);
export type FindingMitigation = Static<typeof FindingMitigation>;

/** GET /api/v1/findings?query=&asset=&vulnerability=&package=&status=&tag=&limit=&after= → List(Finding), most dangerous first */
export const FindingQuery = Type.Object(
  {
    ...ListQuery,
    asset: Type.Optional(Type.String({ maxLength: 255 })),
    vulnerability: Type.Optional(Type.String({ maxLength: 255 })),
    package: Type.Optional(Type.String({ maxLength: 255 })),
    /** Comma-separated statuses; without it everything that is not fixed. */
    status: Type.Optional(Type.String({ maxLength: 255 })),
    tag: Type.Optional(Type.String({ maxLength: 255 })),
    /** Over findings that are not fixed; all that is given must hold. */
    query: Type.Optional(Type.String({ maxLength: 20_000 })),
  },
  closed,
);
export const Finding = Type.Object(
  {
    asset_id: Type.String({ format: 'uuid' }),
    hostname: Type.String(),
    vulnerability: Type.String(),
    title: orNull(Type.String()),
    status: oneOf(findingStatuses),
    /** Why this status rather than plainly open or fixed: what still runs, what differs on disk. */
    status_reason: orNull(Type.String()),
    /** Source package. */
    package: Type.String(),
    /** Binary packages with their versions: `libssl3 3.0.17-1~deb12u2`. */
    installed: Type.Array(Type.String()),
    fix_state: oneOf([
      'available',
      'none_yet',
      'will_not_fix',
      'end_of_life',
      'deferred',
      'unknown',
    ] as const),
    fixed_version: orNull(Type.String()),
    patch: orNull(FindingPatch),
    /** Set when there is no patch and the finding is not fixed. */
    missing_patch: orNull(MissingPatch),
    /** What is known against it besides a patch, what blocks it first. Empty for a fixed one. */
    mitigations: Type.Array(FindingMitigation),
    /** 0–100, likelihood and impact together (docs/risk.md): the order of lists. */
    risk_score: Type.Number({ minimum: 0, maximum: 100 }),
    /** Base score of the vector that speaks for it on this system (core/src/knowledge/score.ts), and who scored it. */
    cvss: orNull(Type.Number()),
    cvss_scorer: orNull(Type.String()),
    /** Scorers that are 1.0 or more away, and sources that contradict each other on exploitation, in words. */
    danger_disagreements: Type.Array(Type.String()),
    /** How far attacks have come: `active` is known attacks, `weaponised` a ready module, `public` code to fetch. */
    exploit: oneOf(exploitMaturities),
    epss: orNull(Type.Number()),
    exploited: Type.Boolean(),
    ransomware: Type.Boolean(),
    first_seen_at: time,
    fixed_at: orNull(time),
    evidence: Evidence,
  },
  closed,
);
export type Finding = Static<typeof Finding>;

/** GET /api/v1/patches?query=&package=&asset=&limit=&after= → List(Patch) */
export const PatchQuery = Type.Object(
  {
    ...ListQuery,
    package: Type.Optional(Type.String({ maxLength: 255 })),
    asset: Type.Optional(Type.String({ maxLength: 255 })),
    /** Over patches; all that is given must hold. What is only offered, and fixes nothing by itself, is found by no query. */
    query: Type.Optional(Type.String({ maxLength: 20_000 })),
  },
  closed,
);
export const Patch = Type.Object(
  {
    id: Type.String(),
    ecosystem: Type.String(),
    release: Type.String(),
    package: Type.String(),
    version: Type.String(),
    known_since: time,
    /** Since a repository of some asset offers it; null while none does. */
    offered_since: orNull(time),
    /** All vulnerabilities of this package and release that it fixes. */
    fixes: Type.Array(Type.String()),
    supersedes: Type.Array(Type.String()),
    superseded_by: orNull(Type.String()),
    /** Assets that have an open finding which it closes. */
    assets: Type.Integer(),
    findings: Type.Integer(),
    /** Risk that would go from these assets; an estimate that can be too high: see GET /api/v1/patches/…/risk-removed. */
    risk_removed: Type.Number({ minimum: 0 }),
  },
  closed,
);
export type Patch = Static<typeof Patch>;

/** GET /api/v1/vulnerabilities/:id */
export const VulnerabilityDetail = Type.Object(
  {
    id: Type.String(),
    aliases: Type.Array(Type.String()),
    title: orNull(Type.String()),
    description: orNull(Type.String()),
    published_at: orNull(time),
    withdrawn_at: orNull(time),
    advisories: Type.Array(
      Type.Object(
        { id: Type.String(), title: Type.String(), published_at: orNull(time), feed: Type.String() },
        closed,
      ),
    ),
    cvss: Type.Array(
      Type.Object(
        {
          scorer: Type.String(),
          version: Type.String(),
          vector: Type.String(),
          base_score: Type.Number(),
          feed: Type.String(),
        },
        closed,
      ),
    ),
    threats: Type.Array(
      Type.Object(
        {
          threat: Type.String(),
          probability: orNull(Type.Number()),
          percentile: orNull(Type.Number()),
          ransomware: orNull(Type.Boolean()),
          asserted_on: Type.String(),
          due_on: orNull(Type.String()),
          title: orNull(Type.String()),
          reference: orNull(Type.String()),
          feed: Type.String(),
        },
        closed,
      ),
    ),
    statements: Type.Array(
      Type.Object(
        {
          ecosystem: Type.String(),
          release: Type.String(),
          package: Type.String(),
          module: orNull(Type.String()),
          channel: orNull(Type.String()),
          status: Type.String(),
          fixed_version: orNull(Type.String()),
          updates: Type.Array(Type.String()),
          fix_state: Type.String(),
          note: orNull(Type.String()),
          feed: Type.String(),
          record: Type.String(),
        },
        closed,
      ),
    ),
    /** What all sources come to, and where they contradict each other. */
    danger: Type.Object(
      {
        cvss: orNull(Type.Number()),
        cvss_scorer: orNull(Type.String()),
        exploit: oneOf(exploitMaturities),
        exploited_since: orNull(Type.String()),
        ransomware: orNull(Type.Boolean()),
        epss: orNull(Type.Number()),
        ssvc: orNull(
          Type.Object(
            {
              exploitation: oneOf(['none', 'poc', 'active'] as const),
              automatable: orNull(Type.Boolean()),
              technical_impact: orNull(oneOf(['partial', 'total'] as const)),
            },
            closed,
          ),
        ),
        disagreements: Type.Array(Type.String()),
      },
      closed,
    ),
    assets: Type.Integer(),
  },
  closed,
);
export type VulnerabilityDetail = Static<typeof VulnerabilityDetail>;
