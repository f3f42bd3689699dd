import { contactStateOf, type ContactState } from '@fixpoint/core/posture/contact.ts';
import type { Context } from '../context.ts';
import { stampContacts } from './store.ts';

export function contactOf(
  asset: {
    readonly retired_at: Date | null;
    readonly last_seen_at: Date | null;
    readonly next_check_in_seconds: number;
  },
  now: Date,
): ContactState {
  return contactStateOf(
    {
      retired: asset.retired_at !== null,
      lastSeenAt: asset.last_seen_at?.getTime() ?? null,
      nextCheckInSeconds: asset.next_check_in_seconds,
    },
    now.getTime(),
  );
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
