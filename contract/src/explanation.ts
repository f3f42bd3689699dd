import { Type, type Static } from 'typebox';
import { oneOf } from './enum.ts';
import { Evidence, FindingPatch, MissingPatch } from './finding.ts';

const closed = { additionalProperties: false } as const;
const orNull = <T extends Parameters<typeof Type.Union>[0][number]>(schema: T) =>
  Type.Union([schema, Type.Null()]);

/** GET /api/v1/explanation?asset=&vulnerability= */
export const ExplanationQuery = Type.Object(
  {
    /** Id of the asset, or its host name when unique. */
    asset: Type.String({ minLength: 1, maxLength: 255 }),
    /** A CVE or any other name of one vulnerability. */
    vulnerability: Type.String({ minLength: 1, maxLength: 255 }),
  },
  closed,
);

export const explainedVerdicts = [
  'open',
  'restart_pending',
  'reboot_pending',
  'undetermined',
  'fixed',
  'not_affected',
  'not_installed',
  'withdrawn',
  'not_listed',
  'unknown_vulnerability',
  'unknown_system',
] as const;

/** One vulnerability on one asset as a person would tell it: facts, rule, comparison, and what would change it. */
export const Explanation = Type.Object(
  {
    asset_id: Type.String({ format: 'uuid' }),
    hostname: Type.String(),
    /** Name of the system that its packages are judged by: `Debian 12`. */
    system: Type.String(),
    vulnerability: Type.String(),
    verdict: oneOf(explainedVerdicts),
    sentence: Type.String(),
    /** What each source says, the most authoritative first. */
    facts: Type.Array(Type.String()),
    software: Type.Array(
      Type.Object(
        {
          name: Type.String(),
          version: Type.String(),
          arch: Type.String(),
          /** `inert`: a kernel that is installed and does not run. */
          counts: oneOf(['installed', 'process', 'file', 'kernel', 'inert'] as const),
          reason: orNull(Type.String()),
          verdict: oneOf(['vulnerable', 'fixed', 'not_affected', 'undetermined'] as const),
          evidence: Evidence,
          patch: orNull(FindingPatch),
          missing_patch: orNull(MissingPatch),
          /** What else the patch fixes. */
          also_fixes: Type.Array(Type.String()),
        },
        closed,
      ),
    ),
    /** What would change the answer. */
    changes: Type.Array(Type.String()),
  },
  closed,
);
export type Explanation = Static<typeof Explanation>;
