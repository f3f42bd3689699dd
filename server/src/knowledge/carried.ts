import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { pipeline } from 'node:stream/promises';
import type { Context } from '../context.ts';
import { extractFiles } from '../feed/extract/extract.ts';
import { feedOf } from '../feed/feeds.ts';
import { importFeed } from './import.ts';
import { feedRows } from './store.ts';

/** What loading one carried file came to. */
export type CarriedOutcome =
  | { readonly feed: string; readonly outcome: 'loaded'; readonly records: number; readonly seconds: number }
  | { readonly feed: string; readonly outcome: 'unchanged' | 'newer_is_there' }
  | { readonly feed: string; readonly outcome: 'refused'; readonly message: string };

async function digestOf(path: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(path), hash);
  return hash.digest('hex');
}

/**
 * Loads the knowledge that the product carries, so that it knows something before anybody has imported a feed. A feed that
 * a person or a sync has imported is left alone: the extract is older.
 */
export async function loadCarriedKnowledge(
  context: Context,
  tell: (outcome: CarriedOutcome) => void = () => {},
): Promise<CarriedOutcome[]> {
  const held = new Map(
    (await context.db.transaction().execute((trx) => feedRows(trx))).map((row) => [row.id, row]),
  );
  const outcomes: CarriedOutcome[] = [];
  for (const file of extractFiles) {
    const row = held.get(file.feed);
    const imported = row?.last_success_at !== null && row !== undefined;
    const opened = file.open();
    let outcome: CarriedOutcome;
    const published = row?.published_at ?? null;
    // a file of the same name that somebody imported since then has a later date
    const newer = published !== null && published > new Date(`${file.asOf}T00:00:00Z`);
    if (imported && (row.source_name !== opened.name || newer)) {
      outcome = { feed: file.feed, outcome: 'newer_is_there' };
    } else if (imported && row.source_digest === (await digestOf(file.path))) {
      outcome = { feed: file.feed, outcome: 'unchanged' };
    } else {
      const result = await importFeed(context, feedOf(file.feed), opened, {
        actor: { kind: 'system', name: 'carried knowledge' },
        publishedAt: new Date(`${file.asOf}T00:00:00Z`),
      });
      outcome = result.ok
        ? { feed: file.feed, outcome: 'loaded', records: result.value.read, seconds: result.value.seconds }
        : { feed: file.feed, outcome: 'refused', message: result.message };
    }
    outcomes.push(outcome);
    tell(outcome);
  }
  return outcomes;
}
