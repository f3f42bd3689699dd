import calculator from 'ae-cvss-calculator';

/**
 * How much an attacker gains, 0–1, from the impact metrics of a CVSS vector of version 2.0, 3.0, 3.1 or 4.0; how hard the attack is
 * (access, complexity, privileges) is left out, since EPSS already weighs it. Null when the vector cannot be read.
 *
 * Impact is 1 − (1−C)(1−I)(1−A), as in the specifications of 2.0 (section 3.2.1) and 3.1 (section 7.1), divided by the most that it
 * can be. An attack that reaches beyond the flawed component counts 1.08 times as much, 3.1's factor for a changed scope. Version
 * 3's own curve for that case is not used: it falls again towards its top, so that a worse impact could count less. 4.0 has
 * no formula for impact; its vulnerable and subsequent system take the place of 3.1's component and scope, each of C, I and A
 * counting as the worse of the two.
 */
export function cvssImpact(vector: string): number | null {
  if (vector === '') return null;
  const parsed: ParsedVector | null = calculator.fromVector(vector);
  if (parsed === null || !parsed.isBaseFullyDefined()) return null;
  const metric = (name: string): string => parsed.getComponentByString(name).shortName;
  const version = parsed.getVectorName();
  if (version === 'CVSS:2.0') {
    return combined(['C', 'I', 'A'].map((name) => weights2[metric(name)] ?? 0)) / (most2 * beyond);
  }
  if (version === 'CVSS:3.0' || version === 'CVSS:3.1') {
    const inside = combined(['C', 'I', 'A'].map((name) => weights3[metric(name)] ?? 0)) / most3;
    return metric('S') === 'C' ? inside : inside / beyond;
  }
  if (version !== 'CVSS:4.0') return null;
  const subsequent = ['SC', 'SI', 'SA'].map((name) => weights3[metric(name)] ?? 0);
  const worse = ['VC', 'VI', 'VA'].map((name, index) =>
    Math.max(weights3[metric(name)] ?? 0, subsequent[index] ?? 0),
  );
  const both = combined(worse) / most3;
  return subsequent.some((weight) => weight > 0) ? both : both / beyond;
}

/** What this file uses of the library, whose own type is `any`. */
interface ParsedVector {
  isBaseFullyDefined(): boolean;
  getVectorName(): string;
  getComponentByString(name: string): { readonly shortName: string };
}

/** None, partial, complete. */
const weights2: Readonly<Record<string, number>> = { N: 0, P: 0.275, C: 0.66 };
/** None, low, high. */
const weights3: Readonly<Record<string, number>> = { N: 0, L: 0.22, H: 0.56 };
const beyond = 1.08;
const most2 = combined([0.66, 0.66, 0.66]);
const most3 = combined([0.56, 0.56, 0.56]);

function combined(parts: readonly number[]): number {
  return 1 - parts.reduce((left, part) => left * (1 - part), 1);
}
