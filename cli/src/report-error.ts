import { exitCodes } from './exit-codes.ts';
import { Failure, type FailureProblem } from './failure.ts';
import { pointAt } from './output/place.ts';
import { note } from './output/stream.ts';

/** Tells on stderr why a command ended, and answers its exit code. Every way to fail looks the same. */
export function reportError(error: unknown, argv: readonly string[]): number {
  if (error instanceof Failure) {
    if (wantsJson(argv)) {
      const problems = error.problems.length > 0 ? { problems: error.problems } : {};
      const { code, message, whatToDo } = error;
      note(JSON.stringify({ error: { code, message, what_to_do: whatToDo, ...problems } }));
      return error.exitCode;
    }
    note(`error: ${error.message} (${error.code})`);
    for (const problem of error.problems) {
      const isSaid = problem.text === undefined && error.message.includes(problem.message);
      if (!isSaid) note(problemText(problem));
    }
    note(`what to do: ${error.whatToDo}`);
    return error.exitCode;
  }
  note(`error: ${error instanceof Error ? error.message : String(error)} (fault)`);
  note(
    'what to do: this is a fault of Fixpoint or of the machine under it; report it with the lines below if it repeats',
  );
  if (error instanceof Error && error.stack !== undefined) note(error.stack);
  return exitCodes.fault;
}

/** Where the text is known, the text with the place, and what could stand there; else the path and the message. */
function problemText({ path, message, text, at, length, suggestions, expected }: FailureProblem): string {
  if (text === undefined || at === undefined) return `  ${path === '' ? 'input' : path}: ${message}`;
  const wanted = suggestions !== undefined && suggestions.length > 0 ? suggestions : (expected ?? []);
  const most = 8;
  const words = wanted.slice(0, most).join(', ');
  const more = wanted.length > most ? ', …' : '';
  return `${pointAt(text, { at, length: length ?? 0 })}${words === '' ? '' : `  ${suggestions?.length ? 'near to it' : 'expected'}: ${words}${more}\n`}`;
}

function wantsJson(argv: readonly string[]): boolean {
  const format = argv.indexOf('--format');
  return (
    argv.includes('--json') || argv.includes('--format=json') || (format >= 0 && argv[format + 1] === 'json')
  );
}
