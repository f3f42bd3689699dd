import type { ExitCode } from './exit-codes.ts';

/** Ends a command. Printed as `error: message`, `what to do: …` on stderr; `code` is for programs (`--json`). */
export class Failure extends Error {
  readonly exitCode: ExitCode;
  readonly code: string;
  readonly whatToDo: string;
  readonly problems: readonly { readonly path: string; readonly message: string }[];

  constructor(
    exitCode: ExitCode,
    code: string,
    message: string,
    whatToDo: string,
    problems: readonly { readonly path: string; readonly message: string }[] = [],
  ) {
    super(message);
    this.name = 'Failure';
    this.exitCode = exitCode;
    this.code = code;
    this.whatToDo = whatToDo;
    this.problems = problems;
  }
}
