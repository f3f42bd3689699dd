import type { Kysely } from 'kysely';
import type { Transact } from './context.ts';
import { errorCode } from './database/database-error.ts';
import type { Database } from './database/tables.ts';
import { transactionId, writtenByRequest } from './transaction-header.ts';

/** PostgreSQL ended one of two transactions that waited for each other, or that could not be put in one order. */
const metAnother = new Set(['40P01', '40001']);
const attempts = 5;

/**
 * Runs work in a transaction, again from the start when it met another one. So the work may do nothing outside of the
 * transaction. Isolation is READ COMMITTED, which the audit chain counts on. A request that changes something is answered
 * with the transaction in which it did (transaction-header.ts).
 */
export async function transact<T>(db: Kysely<Database>, work: (trx: Transact) => Promise<T>): Promise<T> {
  const written = writtenByRequest();
  for (let attempt = 1; ; attempt += 1) {
    try {
      if (written === undefined) return await db.transaction().execute(work);
      const done = await db.transaction().execute(async (trx) => ({
        result: await work(trx),
        transaction: await transactionId(trx),
      }));
      const before = written.transaction;
      if (done.transaction !== null && (before === null || done.transaction > before))
        written.transaction = done.transaction;
      return done.result;
    } catch (error) {
      if (attempt >= attempts || !metAnother.has(errorCode(error) ?? '')) throw error;
    }
  }
}
