import { AsyncLocalStorage } from 'node:async_hooks';
import { sql } from 'kysely';
import { RefusedError } from './api-error.ts';
import type { App, ServerContext } from './app.ts';
import type { Transact } from './context.ts';
import { refuse } from './refusal.ts';

/**
 * How a client reads at least what it has written, on whichever server: a change is answered with the header
 * `fixpoint-transaction`, and a request with that as `fixpoint-at-least` waits until the read model has the transaction in it.
 */

/** The last transaction of a request that changed something; `pg_current_xact_id()`. */
export interface Written {
  transaction: bigint | null;
}

const requests = new AsyncLocalStorage<Written>();

/** What the request that is being answered has written so far; undefined outside of a request that can change something. */
export function writtenByRequest(): Written | undefined {
  return requests.getStore();
}

/** The id of a transaction that has written, or locked, something; null for one that only read. */
export async function transactionId(trx: Transact): Promise<bigint | null> {
  const { rows } = await sql<{
    id: string | null;
  }>`select pg_current_xact_id_if_assigned()::text as id`.execute(trx);
  const id = rows[0]?.id ?? null;
  return id === null ? null : BigInt(id);
}

const reading = new Set(['GET', 'HEAD', 'OPTIONS']);
/** xid8 has 64 bits. */
const greatestTransaction = 2n ** 64n - 1n;

export function registerTransactionHeaders(app: App, context: Pick<ServerContext, 'posture'>): void {
  const writtenBy = new WeakMap<object, Written>();
  app.addHook('preHandler', async (request) => {
    const asked = request.headers['fixpoint-at-least'];
    if (asked === undefined || request.is404) return;
    const transaction = typeof asked === 'string' && /^\d{1,20}$/.test(asked) ? BigInt(asked) : null;
    if (transaction === null || transaction > greatestTransaction) {
      throw new RefusedError(
        refuse(
          400,
          'transaction_invalid',
          'fixpoint-at-least is not what a change was answered with',
          'send back the header fixpoint-transaction of the answer to the change, unchanged',
        ),
      );
    }
    if ((await context.posture.atLeast(String(transaction))) !== null) return;
    throw new RefusedError(
      refuse(
        503,
        'not_yet',
        `what was written in transaction ${String(transaction)} has not arrived in what this server reads from`,
        'ask again in a few seconds; if it stays so, see fixpoint posture for how far this server is behind',
      ),
    );
  });
  // The body has been read by now: what is read from a socket loses the storage that was entered before.
  app.addHook('preHandler', (request, _reply, done) => {
    // Agents do not read back what they reported, and there are very many of them.
    if (reading.has(request.method) || request.identity?.kind === 'agent') return done();
    const written: Written = { transaction: null };
    writtenBy.set(request, written);
    requests.run(written, done);
  });
  app.addHook('onSend', async (request, reply) => {
    const transaction = writtenBy.get(request)?.transaction ?? null;
    if (transaction !== null) void reply.header('fixpoint-transaction', String(transaction));
    if (reply.statusCode === 503 && !reply.hasHeader('retry-after')) void reply.header('retry-after', '1');
  });
}
