import { expect, test } from 'vitest';
import { countTests } from './test-counts.ts';

const report = (testResults: unknown[], numbers: Record<string, number> = {}) =>
  JSON.stringify({
    numPassedTests: 3,
    numFailedTests: 0,
    numPendingTests: 1,
    numTodoTests: 1,
    ...numbers,
    testResults,
  });
const passing = { status: 'passed', assertionResults: [{ status: 'passed' }] };

test('passed, failed, skipped and todo tests are counted', () => {
  const failing = { status: 'failed', assertionResults: [{ status: 'failed' }, { status: 'failed' }] };
  expect(countTests(report([passing]), 0)).toEqual({ passed: 3, failed: 0, skipped: 2 });
  expect(countTests(report([passing, failing], { numFailedTests: 2 }), 1).failed).toBe(2);
});

test('a file that could not be loaded counts as a failed test', () => {
  expect(countTests(report([passing, { status: 'failed', assertionResults: [] }]), 1).failed).toBe(1);
});

test('a run that ended badly never reads as nothing failed', () => {
  expect(countTests(report([passing]), 1).failed).toBe(1);
  expect(countTests(undefined, 139)).toEqual({ passed: 0, failed: 1, skipped: 0 });
});
