/** Hears what other sessions of the database tell by NOTIFY, on a connection of its own. */
import type { Pool, PoolClient } from 'pg';
import type { Logger } from 'pino';

/** After a connection is lost it is tried again so soon. */
const againMilliseconds = 1_000;

export interface Listener {
  stop(): Promise<void>;
}

/**
 * Calls back when something is told on a channel, and each time when listening begins (again): what was told in between was
 * missed. A client of the pool is taken for good, and never given back to others.
 */
export function listen(pool: Pool, channel: string, log: Logger, told: () => void): Listener {
  let stopped = false;
  let client: PoolClient | null = null;
  let timer: NodeJS.Timeout | null = null;
  const lose = (): void => {
    if (client === null) return;
    const lost = client;
    client = null;
    lost.removeAllListeners('notification');
    lost.release(true);
    if (!stopped) timer = setTimeout(() => void begin(), againMilliseconds);
  };
  const begin = async (): Promise<void> => {
    try {
      const one = await pool.connect();
      if (stopped) {
        one.release();
        return;
      }
      client = one;
      one.on('notification', told);
      one.once('error', lose);
      one.once('end', lose);
      await one.query(`listen ${one.escapeIdentifier(channel)}`);
      told();
    } catch (error) {
      if (stopped) return;
      log.warn({ err: error }, `cannot listen to ${channel}; trying again`);
      if (client === null) timer = setTimeout(() => void begin(), againMilliseconds);
      else lose();
    }
  };
  const begun = begin();
  return {
    async stop() {
      stopped = true;
      if (timer !== null) clearTimeout(timer);
      await begun;
      lose();
    },
  };
}
