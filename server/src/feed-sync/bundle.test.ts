import { generateKeyPairSync, sign } from 'node:crypto';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { zstdCompressSync } from 'node:zlib';
import { afterEach, describe, expect, test } from 'vitest';
import { bundleSignatureContext, type BundleManifest } from '@fixpoint/contract/feed.ts';
import { rawPublicKey } from '../auth/keys.ts';
import { severalFiles } from '../feed/downloads.ts';
import { exportBundle } from './bundle-export.ts';
import { importBundle, type BundleImportOptions } from './bundle-import.ts';
import { distrustKey, trustKey } from './bundle-keys.ts';
import { allFeeds } from './commands.ts';
import { lineFeed, lines, syncTest, type SyncTest } from './sync-double.ts';
import { syncFeed } from './sync.ts';
import { readTar, tarEnd, tarHeader, tarPadding } from './tar.ts';
import { importUpload } from './upload.ts';

const open: SyncTest[] = [];
afterEach(async () => {
  for (const one of open.splice(0)) await one.close();
});
const person = { kind: 'person', name: 'ada@example.org' } as const;

/** A site with two feeds, of which the second consists of two files. */
async function site(): Promise<SyncTest> {
  const made = await syncTest((url) => [
    lineFeed('epss', `${url}/epss`),
    lineFeed('debian-osv', `${url}/debian/`, { downloads: severalFiles(['a', 'b'], true) }),
  ]);
  open.push(made);
  return made;
}

async function syncAll(t: SyncTest): Promise<void> {
  for (const feed of t.parts.feeds) {
    const outcome = await syncFeed(t.parts, feed);
    if (outcome.outcome === 'failed') throw new Error(outcome.message);
  }
}

async function connected(): Promise<SyncTest> {
  const t = await site();
  t.from.publish('/epss', lines(1, 2, 3));
  t.from.publish('/debian/a', lines(11, 12));
  t.from.publish('/debian/b', lines(13));
  await syncAll(t);
  return t;
}

async function packed(t: SyncTest, wanted: string[] | null = null, compress = false): Promise<Buffer> {
  const made = await exportBundle(t.parts, person, wanted, compress);
  if (!made.ok) throw new Error(made.message);
  const chunks: Uint8Array[] = [];
  for await (const chunk of made.value.stream) chunks.push(chunk);
  return Buffer.concat(chunks);
}

const options: BundleImportOptions = { allowOlder: false, allowShrink: false };
/** In small pieces, as a network gives them. */
const inPieces = (bundle: Uint8Array) =>
  Readable.from(
    Array.from({ length: Math.ceil(bundle.length / 700) }, (_, i) => bundle.subarray(i * 700, i * 700 + 700)),
  );
const take = (t: SyncTest, bundle: Uint8Array, changes: Partial<BundleImportOptions> = {}) =>
  importBundle(t.parts, person, inPieces(bundle), { ...options, ...changes });
const trust = (t: SyncTest, from: SyncTest) =>
  trustKey(t.parts, person, { public_key: from.context.keys.bundle.publicKey, name: 'headquarters' });

async function contents(bundle: Buffer): Promise<[name: string, body: Buffer][]> {
  const entries: [string, Buffer][] = [];
  for await (const entry of readTar(inPieces(bundle))) {
    const chunks: Uint8Array[] = [];
    for await (const chunk of entry.body) chunks.push(chunk);
    entries.push([entry.name, Buffer.concat(chunks)]);
  }
  return entries;
}
function archive(entries: readonly (readonly [name: string, body: Uint8Array])[]): Buffer {
  return Buffer.concat([
    ...entries.flatMap(([name, body]) => [tarHeader(name, body.length), body, tarPadding(body.length)]),
    tarEnd(),
  ]);
}
/** The bundle with another list of files, signed with a key. */
async function resigned(
  bundle: Buffer,
  change: (manifest: BundleManifest) => unknown,
  key: SyncTest['context']['keys']['bundle'],
): Promise<Buffer> {
  const [[, text] = ['', Buffer.alloc(0)], , ...files] = await contents(bundle);
  const manifest = Buffer.from(JSON.stringify(change(JSON.parse(text.toString()))));
  const signature = sign(
    null,
    Buffer.concat([Buffer.from(bundleSignatureContext), manifest]),
    key.privateKey,
  );
  const signed = { public_key: key.publicKey, signature: signature.toString('base64url') };
  return archive([
    ['manifest.json', manifest],
    ['manifest.sig', Buffer.from(JSON.stringify(signed))],
    ...files,
  ]);
}

describe('a bundle', () => {
  test.each([false, true])(
    'carries all that is held to a site without a network (zstd: %s)',
    async (compress) => {
      const [from, to] = [await connected(), await site()];
      const bundle = await packed(from, null, compress);
      await trust(to, from);
      expect(await take(to, bundle)).toMatchObject({
        ok: true,
        value: {
          signed_by: 'headquarters',
          feeds: [
            { feed: 'epss', outcome: 'imported', import: { added: 3 } },
            { feed: 'debian-osv', outcome: 'imported', import: { added: 3 } },
          ],
        },
      });
      expect(await to.records('epss')).toEqual(await from.records('epss'));
      expect(await to.records('debian-osv')).toEqual(await from.records('debian-osv'));
      expect(to.from.asked).toEqual([]);
      // as old as it was compared there, not as it was imported here
      to.clock.pass(4 * 86_400);
      const [status] = await allFeeds(to.parts);
      expect(status).toMatchObject({ stale: true, age: { state: 'stale', seconds: 4 * 86_400 } });
      expect(await to.audit('feed.bundle_imported')).toHaveLength(1);
      expect(await from.audit('feed.bundle_exported')).toHaveLength(1);
      // the same again changes nothing, and can be handed on
      expect(await take(to, bundle)).toMatchObject({
        value: { feeds: [{ outcome: 'unchanged' }, { outcome: 'unchanged' }] },
      });
      expect((await contents(await packed(to))).length).toBe(5);
    },
  );

  test('that is newer replaces what is held; an older one is refused, feed by feed, unless that is wanted', async () => {
    const [from, to] = [await connected(), await site()];
    const older = await packed(from);
    await trust(to, from);
    await take(to, older);
    from.clock.pass(2 * 86_400);
    to.clock.pass(2 * 86_400);
    from.from.publish('/epss', lines(1, 2, 4));
    await syncAll(from);
    expect(await take(to, await packed(from, ['epss']))).toMatchObject({
      value: { feeds: [{ feed: 'epss', outcome: 'imported', import: { added: 1, withdrawn: 1 } }] },
    });
    expect(await take(to, older)).toMatchObject({
      value: {
        feeds: [
          { feed: 'epss', outcome: 'refused', error: { code: 'bundle_older' } },
          { feed: 'debian-osv', outcome: 'unchanged' },
        ],
      },
    });
    expect(await to.records('epss')).toHaveLength(3);
    expect((await to.records('epss'))[2]).toContain('0004');
    expect(await take(to, older, { allowOlder: true })).toMatchObject({
      value: { feeds: [{ outcome: 'imported' }, {}] },
    });
    expect((await to.records('epss'))[2]).toContain('0003');
  });

  test('with a feed that cannot be imported brings the others', async () => {
    const [from, to] = [await connected(), await site()];
    const bundle = await packed(from);
    const [first, second] = to.parts.feeds;
    if (first === undefined || second === undefined) throw new Error('two feeds');
    const broken = lineFeed('epss', 'x', {
      // eslint-disable-next-line require-yield
      async *parse() {
        throw new Error('a fault of the parser');
      },
    });
    const parts = { ...to.parts, feeds: [broken, second] };
    const key = from.context.keys.bundle.publicKey;
    expect(await importBundle(parts, person, inPieces(bundle), { ...options, key })).toMatchObject({
      value: { feeds: [{ outcome: 'refused', error: { code: 'import_fault' } }, { outcome: 'imported' }] },
    });
    const older = { ...to.parts, feeds: [first] };
    expect(await importBundle(older, person, inPieces(bundle), { ...options, key })).toMatchObject({
      value: { feeds: [{ outcome: 'imported' }, { outcome: 'refused', error: { code: 'feed_not_found' } }] },
    });
  });

  test('is packed of uploads too, and refused where files are not here', async () => {
    const t = await site();
    expect(await exportBundle(t.parts, person, null, false)).toMatchObject({ code: 'bundle_empty' });
    expect(await exportBundle(t.parts, person, ['epss'], false)).toMatchObject({
      code: 'feed_file_not_here',
    });
    expect(await exportBundle(t.parts, person, ['nothing'], false)).toMatchObject({ code: 'feed_not_found' });
    const [feed] = t.parts.feeds;
    if (feed === undefined) throw new Error('a feed');
    const upload = {
      name: 'by-hand',
      maximumBytes: 1e6,
      allowShrink: false,
      publishedAt: '2026-02-01T00:00:00Z',
    };
    await importUpload(t.parts, person, feed, Readable.from([Buffer.from(lines(5))]), upload);
    const [[, text] = ['', Buffer.alloc(0)]] = await contents(await packed(t));
    expect(JSON.parse(text.toString())).toMatchObject({
      feeds: [{ feed: 'epss', as_of: '2026-02-01T00:00:00.000Z', files: [{ name: 'by-hand', url: null }] }],
    });
    const elsewhere = t.restarted({
      files: (await import('./files.ts')).feedFiles(join(t.folder, 'another-disk')),
    });
    expect(await exportBundle(elsewhere, person, null, false)).toMatchObject({ code: 'feed_file_not_here' });
  });
});

describe('keys', () => {
  test('unknown, trusted, for once, and no longer', async () => {
    const [from, to] = [await connected(), await site()];
    const bundle = await packed(from, ['epss']);
    expect(await take(to, bundle)).toMatchObject({ ok: false, code: 'bundle_key_unknown' });
    expect(await to.audit('feed.bundle_refused')).toMatchObject([{ after: { code: 'bundle_key_unknown' } }]);
    const key = from.context.keys.bundle.publicKey;
    expect(await take(to, bundle, { key })).toMatchObject({ ok: true });
    expect(await take(to, bundle)).toMatchObject({ code: 'bundle_key_unknown' });
    expect(await trust(to, from)).toMatchObject({ ok: true });
    expect(await trust(to, from)).toMatchObject({ code: 'key_known' });
    expect(await take(to, bundle)).toMatchObject({ ok: true });
    expect(await distrustKey(to.parts, person, key)).toMatchObject({ value: { name: 'headquarters' } });
    expect(await distrustKey(to.parts, person, key)).toMatchObject({ code: 'key_unknown' });
    expect(await take(to, bundle)).toMatchObject({ code: 'bundle_key_unknown' });
    expect(await to.audit('feed.bundle_key_removed')).toHaveLength(1);
    // one's own needs no trust
    expect(await take(from, bundle)).toMatchObject({ ok: true });
  });
});

describe('a bundle that is not as it was signed is refused as a whole', () => {
  const refused = async (
    code: string,
    alter: (bundle: Buffer, from: SyncTest) => Buffer | Promise<Buffer>,
    changes: Partial<BundleImportOptions> = {},
  ): Promise<void> => {
    const [from, to] = [await connected(), await site()];
    await trust(to, from);
    const bundle = await alter(await packed(from), from);
    const result = await take(to, bundle, changes);
    expect(result).toMatchObject({ ok: false, code, whatToDo: expect.stringMatching(/./) });
    expect(await to.records('epss')).toEqual([]);
    expect(await to.records('debian-osv')).toEqual([]);
    // nothing lies about that is not a whole file of its hash, and nothing outside
    const left = await readdir(join(to.folder), { recursive: true });
    expect(
      left.filter((name) => !/^feeds(\/(partial|sha256(\/[0-9a-f]{2}(\/[0-9a-f]{64})?)?))?$/.test(name)),
    ).toEqual([]);
  };
  const renamed = (name: string) => async (bundle: Buffer) => {
    const entries = await contents(bundle);
    return archive(entries.map(([old, body], i) => [i === 2 ? name : old, body] as const));
  };

  test('a changed byte of a file', () =>
    refused('bundle_file_changed', async (bundle) => {
      const entries = await contents(bundle);
      entries[3]?.[1].write('X', 3);
      return archive(entries);
    }));
  test('a changed byte of the list', () =>
    refused('bundle_signature_invalid', async (bundle) => {
      const entries = await contents(bundle);
      const [, text] = entries[0] ?? [];
      text?.write('2', text.indexOf('"format": 1') + 10);
      return archive(entries);
    }));
  test('a signature of somebody else', () =>
    refused('bundle_key_unknown', async (bundle) => {
      const pair = generateKeyPairSync('ed25519');
      const key = { id: 'x', privateKey: pair.privateKey, publicKey: rawPublicKey(pair.publicKey) };
      return await resigned(bundle, (manifest) => manifest, key);
    }));
  test('a signature by another key under a trusted name', () =>
    refused('bundle_signature_invalid', async (bundle, from) => {
      const { privateKey } = generateKeyPairSync('ed25519');
      return await resigned(bundle, (manifest) => manifest, { ...from.context.keys.bundle, privateKey });
    }));
  test('no signature', () =>
    refused('bundle_not_one', async (bundle) => archive((await contents(bundle)).filter((_, i) => i !== 1))));
  test('a signature that is none', () =>
    refused('bundle_signature_invalid', async (bundle) => {
      const entries = await contents(bundle);
      return archive(entries.map(([name, body], i) => [name, i === 1 ? Buffer.from('{}') : body] as const));
    }));
  test('a missing file', () =>
    refused('bundle_file_missing', async (bundle) => archive((await contents(bundle)).slice(0, -1))));
  test('a file more, and one twice', async () => {
    await refused('bundle_entry_refused', async (bundle) =>
      archive([...(await contents(bundle)), ['files/more', Buffer.from('x')]]),
    );
    await refused('bundle_entry_refused', async (bundle) => {
      const entries = await contents(bundle);
      return archive([...entries, ...entries.slice(-1)]);
    });
  });
  test.each(['../../etc/cron.d/x', '/etc/passwd', 'files/../../x', 'feeds/sha256/x'])('the name %s', (name) =>
    refused('bundle_entry_refused', renamed(name)),
  );
  test('a link', () =>
    refused('bundle_entry_refused', (bundle) => {
      const header = tarHeader('files/link', 0);
      header.write('2', 156);
      header.write('/etc/passwd', 157);
      let sum = 0;
      for (const [i, byte] of header.entries()) sum += i >= 148 && i < 156 ? 32 : byte;
      header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
      return Buffer.concat([bundle.subarray(0, -1024), header, tarEnd()]);
    }));
  test('cut at any place', { timeout: 60_000 }, async () => {
    const [from, to] = [await connected(), await site()];
    await trust(to, from);
    const bundle = await packed(from);
    const compressed = await packed(from, null, true);
    // what ends within the checksum of the compression has lost nothing: all of it is hashed
    for (const whole of [bundle, compressed]) {
      for (let at = 0; at < whole.length - 16; at += whole === bundle ? 211 : 37) {
        const result = await take(to, whole.subarray(0, at));
        expect(result, `${String(at)} of ${String(whole.length)}`).toMatchObject({ ok: false });
        if (!result.ok) expect(result.code).toMatch(/^bundle_(cut|not_one|file_missing)$/);
      }
    }
    expect(await to.records('epss')).toEqual([]);
  });
  test('larger than is taken', () => refused('bundle_too_large', (bundle) => bundle, { maximumBytes: 10 }));
  test('more bytes than were signed', () =>
    refused('bundle_file_changed', async (bundle) => {
      const entries = await contents(bundle);
      return archive(
        entries.map(
          ([name, body], i) => [name, i === 2 ? Buffer.concat([body, Buffer.alloc(5000)]) : body] as const,
        ),
      );
    }));
  test('zeros without end, compressed', () =>
    refused('bundle_not_one', () => {
      const bomb = Buffer.concat([tarHeader('manifest.json', 8 ** 11 - 1), Buffer.alloc(50_000_000)]);
      return zstdCompressSync(bomb);
    }));
  test('something else altogether', async () => {
    await refused('bundle_not_one', () => Buffer.from(lines(1, 2).repeat(50)));
    await refused('bundle_not_one', () => archive([['readme.txt', Buffer.from('x')]]));
    await refused('bundle_cut', () => Buffer.alloc(0));
  });
  test('a form to come, and a list that is nonsense', async () => {
    await refused('bundle_format_unknown', async (bundle, from) =>
      resigned(bundle, (manifest) => ({ ...manifest, format: 2 }), from.context.keys.bundle),
    );
    await refused('bundle_format_unknown', async (bundle, from) =>
      resigned(
        bundle,
        (manifest) => ({ ...manifest, feeds: [{ ...manifest.feeds[0], feed: '../../x' }] }),
        from.context.keys.bundle,
      ),
    );
  });
});

test('a date to come is refused: nothing newer could be told from it', async () => {
  const [from, to] = [await connected(), await site()];
  await trust(to, from);
  const bundle = await resigned(
    await packed(from),
    (manifest) => ({
      ...manifest,
      feeds: manifest.feeds.map((feed) => ({ ...feed, as_of: '2027-01-01T00:00:00Z' })),
    }),
    from.context.keys.bundle,
  );
  expect(await take(to, bundle)).toMatchObject({
    value: {
      feeds: [{ error: { code: 'bundle_from_the_future' } }, { error: { code: 'bundle_from_the_future' } }],
    },
  });
});
