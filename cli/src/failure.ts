import type { ExitCode } from './exit-codes.ts';

/** A place of the input that is wrong. */
export interface FailureProblem {
  readonly path: string;
  readonly message: string;
  /** In a text with a grammar: where, in UTF-16 units of `text`. */
  readonly at?: number;
  readonly length?: number;
  readonly expected?: readonly string[];
  readonly suggestions?: readonly string[];
  /** The text, as it was given. */
  readonly text?: string;
}

/** Ends a command. Printed as `error: message`, `what to do: …` on stderr; `code` is for programs (`--json`). */
export class Failure extends Error {
  readonly exitCode: ExitCode;
  readonly code: string;
  readonly whatToDo: string;
  readonly problems: readonly FailureProblem[];

  constructor(
    exitCode: ExitCode,
    code: string,
    message: string,
    whatToDo: string,
    problems: readonly FailureProblem[] = [],
  ) {
    super(message);
    this.name = 'Failure';
    this.exitCode = exitCode;
    this.code = code;
    this.whatToDo = whatToDo;
    this.problems = problems;
  }
}
