#!/usr/bin/env node
/**
 * `fixpoint <noun> <verb>`. `compare` and `scan` need no server and are used in loops and pipelines, so they are started
 * without loading anything else; every other noun loads only its own file.
 */
import { codeOf, note } from './output/stream.ts';
import { exitCodes } from './exit-codes.ts';
import { Failure } from './failure.ts';

const argv = process.argv.slice(2);

try {
  process.exitCode = await run();
} catch (error) {
  process.exitCode = report(error);
}

async function run(): Promise<number> {
  switch (argv[0]) {
    case 'compare':
      return (await import('./commands/compare.ts')).compare(argv.slice(1));
    case 'scan':
      return (await import('./commands/scan.ts')).scan(argv.slice(1));
    default:
      return (await import('./program.ts')).runProgram(argv);
  }
}

/** Every way to fail in the same two lines, and its exit code. */
function report(error: unknown): number {
  if (error instanceof Failure) {
    if (argv.includes('--json') || argv.includes('--format=json')) {
      const problems = error.problems.length > 0 ? { problems: error.problems } : {};
      note(
        JSON.stringify({
          error: { code: error.code, message: error.message, what_to_do: error.whatToDo, ...problems },
        }),
      );
      return error.exitCode;
    }
    note(`error: ${error.message} (${error.code})`);
    for (const problem of error.problems)
      note(`  ${problem.path === '' ? 'input' : problem.path}: ${problem.message}`);
    note(`what to do: ${error.whatToDo}`);
    return error.exitCode;
  }
  if (codeOf(error) === 'ERR_PARSE_ARGS_UNKNOWN_OPTION' || codeOf(error).startsWith('ERR_PARSE_ARGS')) {
    note(`error: ${error instanceof Error ? error.message : String(error)}`);
    note(`what to do: see fixpoint ${argv[0] ?? ''} --help`);
    return exitCodes.usage;
  }
  note(`error: ${error instanceof Error ? error.message : String(error)}`);
  note('what to do: this is a fault of Fixpoint; please report it with the lines below');
  if (error instanceof Error && error.stack !== undefined) note(error.stack);
  return exitCodes.fault;
}
