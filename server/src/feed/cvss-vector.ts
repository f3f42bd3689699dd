import calculator from 'ae-cvss-calculator';
import type { CvssFact } from '@fixpoint/core/knowledge/facts.ts';

export type CvssResult =
  | { readonly ok: true; readonly fact: CvssFact }
  | { readonly ok: false; readonly message: string };

/**
 * A vector as a fact, its base score computed by the library (FIRST's formulas for 2.0, 3.0, 3.1 and 4.0; of a 4.0 vector
 * the base metrics only). Refuses a vector that is not complete, names a metric twice, or has a value that is not defined.
 */
export function cvssFact(vulnerability: string, scorer: string, vector: string): CvssResult {
  const metrics = vector.split('/').map((part) => part.split(':', 1)[0]);
  if (new Set(metrics).size !== metrics.length)
    return { ok: false, message: `${vector} names a metric twice` };
  const parsed = calculator.fromVector(vector);
  if (parsed === null || vector === '') return { ok: false, message: `${vector} is not a CVSS vector` };
  if (!parsed.isBaseFullyDefined())
    return { ok: false, message: `${vector} lacks base metrics, or has values that are not defined` };
  const version = versions[parsed.getVectorName()];
  const scores = parsed.calculateScores();
  const baseScore = 'baseMetricsOnly' in scores ? scores.baseMetricsOnly : scores.base;
  if (version === undefined || typeof baseScore !== 'number' || !(baseScore >= 0 && baseScore <= 10)) {
    return { ok: false, message: `${vector} has no base score` };
  }
  return {
    ok: true,
    fact: { kind: 'cvss', vulnerability, scorer, version, vector, baseScore },
  };
}

const versions: Readonly<Record<string, CvssFact['version']>> = {
  'CVSS:2.0': '2.0',
  'CVSS:3.0': '3.0',
  'CVSS:3.1': '3.1',
  'CVSS:4.0': '4.0',
};
