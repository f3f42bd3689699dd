/** Test results as the last line of `npm test` counts them. */
export interface Counts {
  passed: number;
  failed: number;
  skipped: number;
}

interface VitestReport {
  numPassedTests: number;
  numFailedTests: number;
  numPendingTests: number;
  numTodoTests: number;
  testResults: { status: string; assertionResults: { status: string }[] }[];
}

/**
 * Counts a vitest JSON report. A test file that failed without a failed test in it (it could not be loaded, or a hook
 * failed) counts as one failed test, and so does a run that ended badly with nothing to show for it: a broken run must
 * never read as "0 failed".
 *
 * @param report the JSON text, or undefined when vitest wrote none
 * @param exitCode vitest's exit code
 */
export function countTests(report: string | undefined, exitCode: number): Counts {
  const counts: Counts = { passed: 0, failed: 0, skipped: 0 };
  if (report !== undefined) {
    const parsed: VitestReport = JSON.parse(report);
    counts.passed = parsed.numPassedTests;
    counts.skipped = parsed.numPendingTests + parsed.numTodoTests;
    const brokenFiles = parsed.testResults.filter(
      (file) => file.status === 'failed' && !file.assertionResults.some((test) => test.status === 'failed'),
    );
    counts.failed = parsed.numFailedTests + brokenFiles.length;
  }
  if (counts.failed === 0 && exitCode !== 0) counts.failed = 1;
  return counts;
}
