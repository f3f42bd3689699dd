import { sql } from 'kysely';
import type { ServerContext } from '../app.ts';
import type { Context } from '../context.ts';
import { tick } from '../deployment/commands.ts';
import { startFeedSyncs } from '../feed-sync/due.ts';
import { syncParts } from '../feed-sync/parts.ts';
import { settlePlans } from '../plan/settle.ts';
import { startScheduledJobs } from '../schedule/due.ts';
import { startSchedules } from './schedules.ts';

export interface Background {
  stop(): Promise<void>;
}

export interface BackgroundOptions {
  readonly tickMilliseconds?: number;
}

/** Any number, the same for every replica; names the turn to run the tick. */
const tickTurn = 7_431_001;
const afterFailureMilliseconds = 5_000;

/** Starts what goes on without anybody asking: deployments carried on about once a second, feeds, and the schedules. */
export async function startBackground(
  context: ServerContext,
  options: BackgroundOptions = {},
): Promise<Background> {
  const loop = startTicks(context, options.tickMilliseconds ?? 1_000);
  try {
    const schedules = await startSchedules(context);
    const syncs = startFeedSyncs(syncParts(context));
    const jobs = startScheduledJobs(context);
    return {
      async stop() {
        await loop.stop();
        await Promise.all([syncs.stop(), jobs.stop(), schedules.stop()]);
      },
    };
  } catch (error) {
    await loop.stop();
    throw error;
  }
}

function startTicks(context: Context, milliseconds: number): Background {
  let stopped = false;
  let timer: NodeJS.Timeout | null = null;
  /** Since when assets could reach us and we could write it down; silence before that is our own. */
  let listeningSince = context.clock.now();
  let failing = false;
  const once = async (): Promise<void> => {
    let wait = milliseconds;
    try {
      if (failing) listeningSince = context.clock.now();
      await inTurn(context, async () => {
        await tick(context, listeningSince);
        await settlePlans(context);
      });
      failing = false;
    } catch (error) {
      failing = true;
      wait = Math.max(wait, afterFailureMilliseconds);
      context.log.error({ err: error }, 'deployments could not be carried on; trying again');
    }
    if (!stopped) {
      timer = setTimeout(() => {
        running = once();
      }, wait);
    }
  };
  let running = once();
  return {
    async stop() {
      stopped = true;
      if (timer !== null) clearTimeout(timer);
      await running;
    },
  };
}

/** Runs work unless another replica is at it. It would do no harm twice; it would only be work for nothing. */
async function inTurn(context: Context, work: () => Promise<void>): Promise<void> {
  await context.db.transaction().execute(async (trx) => {
    const { rows } = await sql<{
      got: boolean;
    }>`select pg_try_advisory_xact_lock(${tickTurn}) as got`.execute(trx);
    if (rows[0]?.got === true) await work();
  });
}
