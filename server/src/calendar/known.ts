import type { Context, Transact } from '../context.ts';
import { answer, refuse, type Answer } from '../refusal.ts';
import { calendarNames, keepCalendars } from './store.ts';

/** Refuses names of calendars that there are not; those that there are stay until the transaction ends. */
export async function checkCalendars(trx: Transact, names: readonly string[]): Promise<Answer<null>> {
  return names.length === 0 ? answer(null) : judged(names, await keepCalendars(trx, names));
}

/** The same for who only wants to look. */
export async function lookForCalendars(db: Context['db'], names: readonly string[]): Promise<Answer<null>> {
  return names.length === 0 ? answer(null) : judged(names, await calendarNames(db, names));
}

function judged(names: readonly string[], known: readonly string[]): Answer<null> {
  const unknown = names.filter((name) => !known.includes(name));
  if (unknown.length === 0) return answer(null);
  return {
    ...refuse(
      422,
      'calendar_unknown',
      `there is no calendar ${unknown.join(', ')}`,
      'see which there are with: fixpoint calendar list',
    ),
    problems: unknown.map((name) => ({
      path: `/calendars/${String(names.indexOf(name))}`,
      message: `there is no calendar ${name}`,
    })),
  };
}
