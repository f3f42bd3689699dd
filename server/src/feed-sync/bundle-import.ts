import type { BundleImport, BundleManifest } from '@fixpoint/contract/feed.ts';
import type { Actor } from '@fixpoint/core/audit/events.ts';
import { appendAudit } from '../audit/commands.ts';
import type { Feed, FeedDownload } from '../feed/feed.ts';
import { feedStatus } from '../knowledge/commands.ts';
import { answer, type Answer } from '../refusal.ts';
import { transact } from '../transact.ts';
import { readBundle } from './bundle-read.ts';
import { KeptFileDamaged } from './files.ts';
import { importFiles } from './import-files.ts';
import type { SyncParts } from './parts.ts';
import { fileRows, inTurn, keyRows, saveFiles, saveSync, syncRow } from './store.ts';

export interface BundleImportOptions {
  /** Trusted for this once. */
  readonly key?: string | undefined;
  readonly allowOlder: boolean;
  readonly allowShrink: boolean;
  readonly maximumBytes?: number;
}

type FeedResult = BundleImport['feeds'][number];
type BundledFeed = BundleManifest['feeds'][number];

/**
 * Imports a bundle: first all of it is checked and kept, then each feed is imported in a transaction of its own, so one that is
 * refused keeps no other from its import.
 */
export async function importBundle(
  parts: SyncParts,
  actor: Actor,
  source: AsyncIterable<Uint8Array>,
  options: BundleImportOptions,
): Promise<Answer<BundleImport>> {
  const { context } = parts;
  const trusted = new Map([[context.keys.bundle.publicKey, 'this server']]);
  for (const row of await keyRows(context.db)) trusted.set(row.public_key, row.name);
  if (options.key !== undefined && !trusted.has(options.key))
    trusted.set(options.key, 'the key given with the import');
  const read = await readBundle(source, parts.files, {
    trusted,
    ...(options.maximumBytes === undefined ? {} : { maximumBytes: options.maximumBytes }),
  });
  if (!read.ok) {
    await transact(context.db, async (trx) => {
      await appendAudit(trx, context, {
        actor,
        event: 'feed.bundle_refused',
        subjectKind: 'bundle',
        subject: 'bundle',
        reason: read.message,
        after: { code: read.code },
      });
    });
    return read;
  }
  const { manifest, publicKey, signedBy } = read.value;
  const results: FeedResult[] = [];
  for (const bundled of manifest.feeds) results.push(await importOne(parts, actor, bundled, options));
  await transact(context.db, async (trx) => {
    await appendAudit(trx, context, {
      actor,
      event: 'feed.bundle_imported',
      subjectKind: 'bundle',
      subject: publicKey,
      after: {
        signed_by: signedBy,
        created_at: manifest.created_at,
        feeds: results.map(({ feed, outcome, as_of, error }) => ({
          feed,
          outcome,
          as_of,
          ...(error === null ? {} : { code: error.code }),
        })),
      },
    });
  });
  return answer({
    created_at: manifest.created_at,
    public_key: publicKey,
    signed_by: signedBy,
    feeds: results,
  });
}

async function importOne(
  parts: SyncParts,
  actor: Actor,
  bundled: BundledFeed,
  options: BundleImportOptions,
): Promise<FeedResult> {
  const { context } = parts;
  const refused = (code: string, message: string, what_to_do: string): FeedResult => ({
    feed: bundled.feed,
    outcome: 'refused',
    as_of: bundled.as_of,
    import: null,
    error: { code, message, what_to_do },
  });
  const feed = parts.feeds.find((candidate) => candidate.id === bundled.feed);
  if (feed === undefined) {
    return refused(
      'feed_not_found',
      `this server knows no feed ${bundled.feed}`,
      'Bring this server to the version that made the bundle.',
    );
  }
  try {
    const result = await inTurn(context.db, feed.id, () =>
      importInTurn(parts, actor, feed, bundled, options),
    );
    if (result === null) {
      return refused(
        'feed_busy',
        `${feed.title} is being synced just now`,
        'Wait until that is done and import the bundle again.',
      );
    }
    return 'outcome' in result ? result : refused(result.code, result.message, result.what_to_do);
  } catch (error) {
    if (error instanceof KeptFileDamaged) {
      return refused(
        'kept_file_damaged',
        error.message,
        'Import the bundle again; look at the disk if it repeats.',
      );
    }
    context.log.error({ err: error, feed: feed.id }, 'a feed of a bundle could not be imported');
    return refused(
      'import_fault',
      'the server failed to import this feed',
      'Look into the server’s log for what happened; report it if it repeats.',
    );
  }
}

async function importInTurn(
  parts: SyncParts,
  actor: Actor,
  feed: Feed,
  bundled: BundledFeed,
  options: BundleImportOptions,
): Promise<FeedResult | { code: string; message: string; what_to_do: string }> {
  const { context } = parts;
  const base = { feed: feed.id, as_of: bundled.as_of, error: null };
  const held = (await context.db.transaction().execute((trx) => feedStatus(trx, context))).find(
    (row) => row.id === feed.id,
  );
  const confirmed = (await syncRow(context.db, feed.id))?.confirmed_at?.toISOString() ?? null;
  const heldAsOf = confirmed ?? held?.published_at ?? null;
  const imported = held?.last_success_at !== null;
  if (Date.parse(bundled.as_of) > context.clock.now().getTime() + clockDifferenceMilliseconds) {
    return {
      code: 'bundle_from_the_future',
      message: `${feed.title} in the bundle is said to be of ${bundled.as_of}, which is still to come`,
      what_to_do: 'Set the clocks of both servers; with such a date nothing newer could be told from it.',
    };
  }
  if (
    imported &&
    heldAsOf !== null &&
    Date.parse(bundled.as_of) < Date.parse(heldAsOf) &&
    !options.allowOlder
  ) {
    return {
      code: 'bundle_older',
      message: `${feed.title} in the bundle is of ${bundled.as_of}; what is held is of ${heldAsOf}`,
      what_to_do: 'Import a newer bundle. To go back all the same, import with --allow-older.',
    };
  }
  const before = (await fileRows(context.db, [feed.id])).map((row) => row.sha256);
  const same =
    imported &&
    sameHashes(
      before,
      bundled.files.map((file) => file.sha256),
    );
  const note = {
    confirmed_at: new Date(bundled.as_of),
    // the next sync looks at everything again
    state: null,
    refused_digest: null,
  };
  if (same) {
    await saveSync(context.db, feed.id, note);
    return { ...base, outcome: 'unchanged', import: null };
  }
  const files: FeedDownload[] = bundled.files.map((file) => ({
    name: file.name,
    url: file.url,
    sha256: file.sha256,
    bytes: file.bytes,
    publishedAt: file.published_at,
    open: () => parts.files.read(file.sha256),
  }));
  const result = await importFiles(context, feed, files, {
    actor,
    whole: true,
    allowShrink: options.allowShrink,
    publishedAt: bundled.published_at,
  });
  if (!result.ok) return { code: result.code, message: result.message, what_to_do: result.whatToDo };
  await transact(context.db, async (trx) => {
    await saveFiles(trx, feed.id, files, true);
    await saveSync(trx, feed.id, note);
  });
  return { ...base, outcome: 'imported', import: result.value };
}

/** How far the clocks of two servers may differ. */
const clockDifferenceMilliseconds = 24 * 3_600_000;

function sameHashes(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((hash, i) => hash === b[i]);
}
