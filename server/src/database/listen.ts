import { setTimeout as sleep } from 'node:timers/promises';
import type { Pool, PoolClient } from 'pg';
import type { Logger } from 'pino';

/** A connection that hears what is told on one channel (NOTIFY), and is made anew whenever it is lost. */

export interface ListenOptions {
  readonly channel: string;
  readonly log: Logger;
  /** From here on everything is heard. */
  readonly begun: () => void;
  readonly heard: (payload: string) => void;
  /** What is told from here on until `begun` is not heard. */
  readonly lost: () => void;
  /** How often the connection is asked whether it is still there, and how long it has for the answer. Default 1000. */
  readonly beatMilliseconds?: number;
}

export interface Listener {
  stop(): Promise<void>;
}

const againMilliseconds = 1_000;

/** Listens until it is stopped. What is told while the connection is lost is not heard: `lost` says since when that may be. */
export function listen(pool: Pool, options: ListenOptions): Listener {
  const { channel, log, beatMilliseconds = 1_000 } = options;
  const stopping = new AbortController();
  const pause = async (milliseconds: number) =>
    await sleep(milliseconds, undefined, { signal: stopping.signal, ref: false }).catch(() => undefined);

  async function follow(client: PoolClient): Promise<void> {
    const ended = Promise.withResolvers<never>();
    ended.promise.catch(() => undefined);
    const end = (error?: Error) => {
      ended.reject(error ?? new Error('the connection ended'));
    };
    const hear = ({ payload }: { payload?: string | undefined }) => {
      options.heard(payload ?? '');
    };
    client.on('error', end);
    client.on('end', end);
    client.on('notification', hear);
    try {
      await Promise.race([client.query(`listen ${client.escapeIdentifier(channel)}`), ended.promise]);
      if (stopping.signal.aborted) return;
      options.begun();
      try {
        while (!stopping.signal.aborted) {
          await Promise.race([pause(beatMilliseconds), ended.promise]);
          if (stopping.signal.aborted) return;
          // A connection whose other end is gone without a word looks as quiet as one on which nothing is told.
          const late = new AbortController();
          const answered = await Promise.race([
            client.query('select 1').then(() => true),
            sleep(beatMilliseconds, false, { signal: late.signal, ref: false }),
            ended.promise,
          ]).finally(() => {
            late.abort();
          });
          if (!answered) throw new Error('it does not answer');
        }
      } finally {
        options.lost();
      }
    } finally {
      client.off('notification', hear);
      client.off('end', end);
      // Never back to the pool: it listens. An error of its end may still come, and must find a listener.
      client.release(true);
    }
  }

  async function run(): Promise<void> {
    while (!stopping.signal.aborted) {
      try {
        await follow(await pool.connect());
      } catch (error) {
        if (stopping.signal.aborted) return;
        log.warn(
          { channel, reason: error instanceof Error ? error.message : String(error) },
          'lost the connection that hears of changes; connecting again',
        );
        await pause(againMilliseconds);
      }
    }
  }

  const running = run();
  return {
    async stop() {
      stopping.abort();
      await running;
    },
  };
}
