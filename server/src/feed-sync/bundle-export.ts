import { sign } from 'node:crypto';
import { Readable } from 'node:stream';
import { constants, createZstdCompress } from 'node:zlib';
import { bundleSignatureContext, type BundleManifest } from '@fixpoint/contract/feed.ts';
import type { Actor } from '@fixpoint/core/audit/events.ts';
import { appendAudit } from '../audit/commands.ts';
import type { Feed } from '../feed/feed.ts';
import { feedStatus } from '../knowledge/commands.ts';
import { answer, refuse, type Answer } from '../refusal.ts';
import { transact } from '../transact.ts';
import { feedById } from './commands.ts';
import type { SyncParts } from './parts.ts';
import { fileRows, syncRows, type FileRow } from './store.ts';
import { tarEnd, tarHeader, tarPadding } from './tar.ts';

export const manifestName = 'manifest.json';
export const signatureName = 'manifest.sig';
export const fileName = (sha256: string): string => `files/${sha256}`;

export interface BundleExport {
  readonly manifest: BundleManifest;
  /** The archive, as it is made. */
  readonly stream: Readable;
}

/**
 * Packs the files that what is held of these feeds came from, as they were published, with a signed list of them. Without
 * names: all feeds whose files are here.
 */
export async function exportBundle(
  parts: SyncParts,
  actor: Actor,
  wanted: readonly string[] | null,
  compress: boolean,
): Promise<Answer<BundleExport>> {
  const { context, files } = parts;
  const feeds: Feed[] = [];
  for (const id of wanted ?? []) {
    const found = feedById(parts, id);
    if (!found.ok) return found;
    feeds.push(found.value);
  }
  const rows = await fileRows(context.db);
  const syncs = new Map<string, Date | null>(
    (await syncRows(context.db)).map((row) => [row.feed, row.confirmed_at]),
  );
  const held = new Map<string, Awaited<ReturnType<typeof feedStatus>>[number]>(
    (await context.db.transaction().execute((trx) => feedStatus(trx, context))).map((row) => [row.id, row]),
  );
  const manifest: BundleManifest = { format: 1, created_at: context.clock.now().toISOString(), feeds: [] };
  const packed = new Map<string, FileRow>();
  for (const feed of wanted === null ? parts.feeds : feeds) {
    const own = rows.filter((row) => row.feed === feed.id);
    const state = held.get(feed.id);
    const asOf = syncs.get(feed.id)?.toISOString() ?? state?.published_at ?? state?.last_success_at ?? null;
    const missing: string[] = [];
    for (const row of own) if (!(await files.has(row.sha256, Number(row.bytes)))) missing.push(row.name);
    if (own.length === 0 || asOf === null || missing.length > 0) {
      if (wanted === null && own.length === 0) continue;
      return refuse(
        409,
        'feed_file_not_here',
        own.length === 0
          ? `no published file of ${feed.title} is kept here`
          : `${String(missing.length)} files of ${feed.title} are not on this server's disk, ${missing[0] ?? ''} among them`,
        `sync the feed here (fixpoint feed sync ${feed.id} --wait), or leave it out with --feeds`,
      );
    }
    for (const row of own) packed.set(row.sha256, row);
    manifest.feeds.push({
      feed: feed.id,
      as_of: asOf,
      published_at: state?.published_at ?? null,
      files: own.map((row) => ({
        name: row.name,
        sha256: row.sha256,
        bytes: Number(row.bytes),
        url: row.url,
        published_at: row.published_at?.toISOString() ?? null,
      })),
    });
  }
  if (manifest.feeds.length === 0) {
    return refuse(
      409,
      'bundle_empty',
      'no published file of any feed is kept here, so there is nothing to pack',
      'sync feeds first: fixpoint feed sync --wait',
    );
  }
  await transact(context.db, async (trx) => {
    await appendAudit(trx, context, {
      actor,
      event: 'feed.bundle_exported',
      subjectKind: 'bundle',
      subject: context.keys.bundle.id,
      after: { feeds: manifest.feeds.map(({ feed, as_of }) => ({ feed, as_of })) },
    });
  });
  const tar = Readable.from(archive(parts, manifest, [...packed.values()]));
  if (!compress) return answer({ manifest, stream: tar });
  const zstd = createZstdCompress({ params: { [constants.ZSTD_c_compressionLevel]: 6 } });
  tar.on('error', (error) => zstd.destroy(error));
  // Whoever fetches it may go away; the file that was being read is closed then.
  zstd.on('close', () => tar.destroy());
  return answer({ manifest, stream: tar.pipe(zstd) });
}

async function* archive(
  parts: SyncParts,
  manifest: BundleManifest,
  rows: readonly FileRow[],
): AsyncGenerator<Uint8Array> {
  const { bundle } = parts.context.keys;
  const text = Buffer.from(JSON.stringify(manifest, null, 1));
  const signature = sign(null, Buffer.concat([Buffer.from(bundleSignatureContext), text]), bundle.privateKey);
  const signed = Buffer.from(
    JSON.stringify({ public_key: bundle.publicKey, signature: signature.toString('base64url') }),
  );
  for (const [name, content] of [
    [manifestName, text],
    [signatureName, signed],
  ] as const) {
    yield tarHeader(name, content.length);
    yield content;
    yield tarPadding(content.length);
  }
  for (const row of rows) {
    yield tarHeader(fileName(row.sha256), Number(row.bytes));
    yield* parts.files.read(row.sha256);
    yield tarPadding(Number(row.bytes));
  }
  yield tarEnd();
}
