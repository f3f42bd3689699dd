/** What somebody may have meant. */

/** Longer words are compared by their beginning, so that a question costs the same whatever was typed. */
const MAXIMUM_LENGTH = 40;

/** Optimal string alignment: insertions, deletions, replacements and swaps of neighbours. */
export function editDistance(a: string, b: string): number {
  let before: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const replaced = (last[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      let best = Math.min(replaced, (last[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1);
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1])
        best = Math.min(best, (before[j - 2] ?? 0) + 1);
      row.push(best);
    }
    before = last;
    last = row;
  }
  return last[b.length] ?? 0;
}

/** Up to three of `candidates` that are near to `word`, the nearest first; of equally near ones in the given order. */
export function nearest(word: string, candidates: Iterable<string>): string[] {
  const wanted = word.toLowerCase().slice(0, MAXIMUM_LENGTH);
  if (wanted === '') return [];
  const allowed = Math.max(1, Math.floor(wanted.length / 3));
  const found: { candidate: string; distance: number }[] = [];
  for (const candidate of new Set(candidates)) {
    const name = candidate.toLowerCase().slice(0, MAXIMUM_LENGTH);
    const begins = wanted.length >= 3 && (name.startsWith(wanted) || name.endsWith(`_${wanted}`));
    const distance = begins ? 1 : editDistance(wanted, name);
    if (distance <= allowed) found.push({ candidate, distance });
  }
  return found
    .toSorted((a, b) => a.distance - b.distance)
    .slice(0, 3)
    .map(({ candidate }) => candidate);
}
