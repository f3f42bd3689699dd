const words = {
  less: 'is older than',
  equal: 'is equal to',
  greater: 'is newer than',
  incomparable: 'is of another branch than',
  unparseable: 'cannot be compared with',
} as const;

/** The comparison that a verdict rests on, in words: `1.0-1 is older than 1.0-2`; null when nothing was compared. */
export function compared(evidence: {
  readonly comparison: keyof typeof words | null;
  readonly installed_version: string | null;
  readonly fixed_version: string | null;
}): string | null {
  if (evidence.comparison === null) return null;
  return `${evidence.installed_version ?? '?'} ${words[evidence.comparison]} ${evidence.fixed_version ?? '?'}`;
}
