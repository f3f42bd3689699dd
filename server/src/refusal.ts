import type { Problem } from '@fixpoint/contract/error.ts';

/** A refusal is an answer, not an accident: commands return it, routes turn it into an ApiError with its status. */
export interface Refusal {
  readonly ok: false;
  readonly status: 400 | 401 | 403 | 404 | 409 | 413 | 422 | 429 | 503;
  readonly code: string;
  readonly message: string;
  readonly whatToDo: string;
  /** The places of the input that are wrong, where they are known. */
  readonly problems?: readonly Problem[];
}
export type Answer<T> = { readonly ok: true; readonly value: T } | Refusal;

export function answer<T>(value: T): Answer<T> {
  return { ok: true, value };
}

export function refuse(status: Refusal['status'], code: string, message: string, whatToDo: string): Refusal {
  return { ok: false, status, code, message, whatToDo };
}
