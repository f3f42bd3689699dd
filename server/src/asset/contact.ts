import type { Context } from '../context.ts';
import { stampContacts } from './store.ts';

/** An asset that misses this many check-ins in a row is silent. */
const missedCheckIns = 3;
/** An agent adds jitter, and a host may be slow to come back. */
const graceSeconds = 15;

export type ContactState = 'never' | 'current' | 'silent' | 'retired';

export function contactOf(
  asset: {
    readonly retired_at: Date | null;
    readonly last_seen_at: Date | null;
    readonly next_check_in_seconds: number;
  },
  now: Date,
): ContactState {
  if (asset.retired_at !== null) return 'retired';
  if (asset.last_seen_at === null) return 'never';
  const silentSeconds = (now.getTime() - asset.last_seen_at.getTime()) / 1000;
  return silentSeconds > asset.next_check_in_seconds * missedCheckIns + graceSeconds ? 'silent' : 'current';
}

/**
 * Collects who was heard and writes it together, four times a second: an unchanged check-in costs a share of one
 * statement. A server that is killed loses a quarter of a second of it, which the next check-in makes good.
 */
export interface Contacts {
  heard(assetId: number, nextCheckInSeconds: number): void;
  /** Writes what is collected, now. */
  flush(): Promise<void>;
}

const intervalMilliseconds = 250;

export function collectContacts(context: Pick<Context, 'db' | 'clock' | 'log'>): Contacts {
  let waiting = new Map<number, { assetId: number; at: Date; nextCheckInSeconds: number }>();
  let timer: NodeJS.Timeout | null = null;
  let writing: Promise<void> = Promise.resolve();
  const write = async (earlier: Promise<void>, batch: Parameters<typeof stampContacts>[1]) => {
    await earlier;
    try {
      await stampContacts(context.db, batch);
    } catch (error) {
      context.log.warn({ err: error, assets: batch.length }, 'when assets were heard could not be written');
    }
  };
  const flush = async () => {
    if (timer !== null) clearTimeout(timer);
    timer = null;
    const batch = [...waiting.values()];
    waiting = new Map();
    if (batch.length > 0) {
      const earlier = writing;
      writing = write(earlier, batch);
    }
    await writing;
  };
  return {
    heard(assetId, nextCheckInSeconds) {
      waiting.set(assetId, { assetId, at: context.clock.now(), nextCheckInSeconds });
      timer ??= setTimeout(() => void flush(), intervalMilliseconds);
    },
    flush,
  };
}
