/** Plain order of code units, so that a result is the same on every machine; `localeCompare` is not. */
export function compareText(a: string, b: string): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}
