import type { Kysely } from 'kysely';
import type { Transact } from './context.ts';
import { errorCode } from './database/database-error.ts';
import type { Database } from './database/tables.ts';

/** PostgreSQL ended one of two transactions that waited for each other, or that could not be put in one order. */
const metAnother = new Set(['40P01', '40001']);
const attempts = 5;

/**
 * Runs work in a transaction, again from the start when it met another one. So the work may do nothing outside of the
 * transaction. Isolation is READ COMMITTED, which the audit chain counts on.
 */
export async function transact<T>(db: Kysely<Database>, work: (trx: Transact) => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await db.transaction().execute(work);
    } catch (error) {
      if (attempt >= attempts || !metAnother.has(errorCode(error) ?? '')) throw error;
    }
  }
}
