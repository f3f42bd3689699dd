/** The qualitative scale of CVSS, in words of the query language. */

/** By the base score: CVSS 3.1, section 5; CVSS 4.0, section 6. */
export function severityOf(baseScore: number | null): string | null {
  if (baseScore === null) return null;
  if (baseScore === 0) return 'none';
  if (baseScore < 4) return 'low';
  if (baseScore < 7) return 'medium';
  return baseScore < 9 ? 'high' : 'critical';
}
