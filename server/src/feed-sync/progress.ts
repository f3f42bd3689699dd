import type { Kysely } from 'kysely';
import type { FeedId } from '@fixpoint/core/knowledge/facts.ts';
import type { Database } from '../database/tables.ts';
import { saveSync } from './store.ts';

/** How often it is written how far an attempt is, for whoever watches over any replica. */
const everyMilliseconds = 500;

export interface SyncProgress {
  readonly bytes: (bytes: number, total: number | null) => void;
  readonly records: (records: number) => void;
  /** Writes nothing any more once it is settled. */
  end(): Promise<void>;
}

/** Notes that an attempt has begun, and from then on how far it is. */
export async function startProgress(db: Kysely<Database>, feed: FeedId, at: Date): Promise<SyncProgress> {
  let now = {
    phase: 'downloading' as 'downloading' | 'importing',
    bytes: 0,
    total: null as number | null,
    records: 0,
  };
  let written = now;
  const write = async (): Promise<void> => {
    written = now;
    await saveSync(db, feed, {
      phase: now.phase,
      progress_bytes: now.bytes,
      progress_total: now.total,
      progress_records: now.records,
    });
  };
  await saveSync(db, feed, { attempted_at: at });
  await write();
  let writing: Promise<void> = Promise.resolve();
  const timer = setInterval(() => {
    if (now === written) return;
    // how far it is matters less than that it goes on
    writing = writing.then(write).catch(() => undefined);
  }, everyMilliseconds);
  return {
    bytes(bytes, total) {
      now = { ...now, phase: 'downloading', bytes, total };
    },
    records(records) {
      now = { ...now, phase: 'importing', records };
    },
    async end() {
      clearInterval(timer);
      await writing;
    },
  };
}
