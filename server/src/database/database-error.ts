/**
 * The database cannot be had, or may not be touched. Nothing can go on without one, so it is thrown; whoever starts the
 * product prints `message` and `whatToDo` and ends.
 */
export class DatabaseError extends Error {
  override readonly name = 'DatabaseError';
  /** snake_case, stable. */
  readonly code: string;
  readonly whatToDo: string;

  constructor(code: string, message: string, whatToDo: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.code = code;
    this.whatToDo = whatToDo;
  }
}

/** The `code` of a system or PostgreSQL error (`ENOENT`, `3D000`), if the value is one. */
export function errorCode(error: unknown): string | undefined {
  if (typeof error !== 'object' || error === null || !('code' in error)) return undefined;
  return typeof error.code === 'string' ? error.code : undefined;
}
