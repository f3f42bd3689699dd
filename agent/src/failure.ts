/** An outage, or a state of the host that needs a person: has a code, a sentence, and what to do. */
export class AgentFailure extends Error {
  readonly code: string;
  readonly whatToDo: string;
  constructor(code: string, message: string, whatToDo: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'AgentFailure';
    this.code = code;
    this.whatToDo = whatToDo;
  }
}

/** The message of whatever was thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** The `code` of a Node error (`ENOENT`), or of an AgentFailure; empty when there is none. */
export function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : '';
}
