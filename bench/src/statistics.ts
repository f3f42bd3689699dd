export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2;
}

/** Smallest and largest of several runs: how noisy they were. */
export function spread(values: readonly number[], digits = 0): string {
  return `${Math.min(...values).toFixed(digits)}–${Math.max(...values).toFixed(digits)}`;
}

/** `1,234,567` */
export function grouped(value: number): string {
  return Math.round(value).toLocaleString('en-US');
}

/** Runs `work` for at least so long, after one run to warm up; answers the milliseconds of each run. */
export function repeat(work: () => void, leastSeconds: number): number[] {
  work();
  const times: number[] = [];
  const end = performance.now() + leastSeconds * 1000;
  while (performance.now() < end || times.length < 5) {
    const start = performance.now();
    work();
    times.push(performance.now() - start);
  }
  return times;
}

/** A line of the report: what, the figure, and where there is one the target and whether it is met. */
export function report(
  what: string,
  figure: string,
  target?: { readonly text: string; readonly met: boolean },
): void {
  const verdict = target === undefined ? '' : `   target ${target.text}: ${target.met ? 'met' : 'NOT MET'}`;
  console.log(`  ${what.padEnd(46)} ${figure}${verdict}`);
}
