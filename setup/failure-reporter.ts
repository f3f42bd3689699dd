/**
 * Lists the tests that failed and those that passed only when they were tried again, in the file that the environment names,
 * for `npm test` to print at the very end: the last lines of a long log are the ones that are read, and often the only ones
 * that are kept.
 */
import { appendFileSync } from 'node:fs';
import type { Reporter, TestCase, TestModule } from 'vitest/node';

const shownCharacters = 600;

export default class FailureReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[]): void {
    for (const module of modules) {
      for (const error of module.errors()) tell('FAILED', module.relativeModuleId, error.message);
      for (const test of module.children.allTests()) this.tellOf(test);
    }
  }

  private tellOf(test: TestCase): void {
    const result = test.result();
    const name = `${test.module.relativeModuleId} > ${test.fullName}`;
    const message = result.errors?.map((error) => error.message).join(' · ') ?? '';
    if (result.state === 'failed') tell('FAILED', name, message);
    else if (test.diagnostic()?.flaky === true) tell('PASSED ONLY AT THE SECOND TRY', name, message);
  }
}

function tell(what: string, name: string, message: string): void {
  const file = process.env['TEST_FAILURES_FILE'];
  const text = `${what}: ${name}\n    ${message.slice(0, shownCharacters).replaceAll('\n', '\n    ')}\n`;
  if (file === undefined) console.log(text);
  else appendFileSync(file, text);
}
