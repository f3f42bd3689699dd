import type { Refusal } from './refusal.ts';
import { refuse } from './refusal.ts';

/** Where a page of a list that is ordered by time and id ends; clients pass it back untouched. */
export interface Cursor {
  readonly at: Date;
  readonly id: string;
}

export function writeCursor(cursor: Cursor): string {
  return `${String(cursor.at.getTime())}.${cursor.id}`;
}

/** Reads a cursor; `null` when there is none, a refusal when it is not one that this server wrote. */
export function readCursor(
  text: string | undefined,
): { readonly ok: true; readonly cursor: Cursor | null } | Refusal {
  if (text === undefined) return { ok: true, cursor: null };
  const [, milliseconds, id] = /^(\d{1,15})\.([0-9a-f-]{36})$/u.exec(text) ?? [];
  if (milliseconds === undefined || id === undefined) {
    return invalidCursor();
  }
  return { ok: true, cursor: { at: new Date(Number(milliseconds)), id } };
}

/** A cursor of a list whose order is computed: the number of rows before it. */
export function readOffset(
  text: string | undefined,
): { readonly ok: true; readonly offset: number } | Refusal {
  const offset = text === undefined ? 0 : Number(text);
  if (Number.isSafeInteger(offset) && offset >= 0) return { ok: true, offset };
  return invalidCursor();
}

function invalidCursor(): Refusal {
  return refuse(
    400,
    'cursor_invalid',
    'after is not what an earlier page said',
    'pass next of the page before, or nothing',
  );
}
