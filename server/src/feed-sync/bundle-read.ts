import { createHash, verify } from 'node:crypto';
import { Readable } from 'node:stream';
import { createZstdDecompress } from 'node:zlib';
import { bundleSignatureContext, BundleManifest, BundleSignature } from '@fixpoint/contract/feed.ts';
import { describeProblems, parseJson } from '@fixpoint/contract/parse.ts';
import { publicKeyOf } from '../auth/keys.ts';
import { refuse, type Answer, type Refusal } from '../refusal.ts';
import { fileName, manifestName, signatureName } from './bundle-export.ts';
import { TooManyBytes, type FeedFiles } from './files.ts';
import { readTar, TarError, type TarEntry } from './tar.ts';

/** A bundle whose signature holds and whose files are all on this disk, each of the hash that was signed. */
export interface ReadBundle {
  readonly manifest: BundleManifest;
  readonly publicKey: string;
  readonly signedBy: string;
}

export interface ReadOptions {
  /** Public key → name of whoever is trusted. */
  readonly trusted: ReadonlyMap<string, string>;
  readonly maximumBytes?: number;
}

const mostManifestBytes = 64 * 1024 * 1024;
const mostSignatureBytes = 4096;
const mostBundleBytes = 32 * 1024 ** 3;

class BundleRefused extends Error {
  readonly refusal: Refusal;
  constructor(code: string, message: string, whatToDo: string) {
    super(message);
    this.refusal = refuse(422, code, message, whatToDo);
  }
}

const copyAgain = 'Copy the bundle again, compare its size with the original, and import that.';

/**
 * Reads a bundle, checks it, and keeps its files. Nothing is written before the signature is known to hold, no more is written
 * than was signed, and nothing in the archive decides under which name it is written. When anything of it is not as it was
 * signed, none of it counts.
 */
export async function readBundle(
  source: AsyncIterable<Uint8Array>,
  files: FeedFiles,
  options: ReadOptions,
): Promise<Answer<ReadBundle>> {
  try {
    const bundle = await readChecked(await plain(source), files, options);
    return { ok: true, value: bundle };
  } catch (error) {
    if (error instanceof BundleRefused) return error.refusal;
    if (error instanceof TarError) {
      const codes = { cut: 'bundle_cut', not_tar: 'bundle_not_one', entry_refused: 'bundle_entry_refused' };
      const advice =
        error.code === 'entry_refused' ? 'This was not made by fixpoint feed bundle export.' : copyAgain;
      return refuse(422, codes[error.code], `the bundle cannot be read: ${error.message}`, advice);
    }
    const code = error instanceof Error && 'code' in error ? String(error.code) : '';
    if (/^(ZSTD|Z)_/.test(code)) {
      return refuse(422, 'bundle_cut', `the bundle cannot be decompressed (${code})`, copyAgain);
    }
    throw error;
  }
}

async function readChecked(
  source: AsyncIterable<Uint8Array>,
  files: FeedFiles,
  options: ReadOptions,
): Promise<ReadBundle> {
  const entries = readTar(source);
  try {
    const manifestText = await small(await next(entries, manifestName), mostManifestBytes);
    const signature = parseJson(
      BundleSignature,
      (await small(await next(entries, signatureName), mostSignatureBytes)).toString(),
    );
    if (!signature.ok) throw invalidSignature('it is not in the form of one');
    const { public_key: publicKey } = signature.value;
    const signedBy = options.trusted.get(publicKey);
    if (signedBy === undefined) {
      throw new BundleRefused(
        'bundle_key_unknown',
        `the bundle is signed with the key ${publicKey}, which nobody has said is to be trusted`,
        'If it is the key of your own server (fixpoint feed bundle trust list there), trust it: fixpoint feed bundle trust add KEY --name NAME.',
      );
    }
    const message = Buffer.concat([Buffer.from(bundleSignatureContext), manifestText]);
    if (!verify(null, message, publicKeyOf(publicKey), Buffer.from(signature.value.signature, 'base64url'))) {
      throw invalidSignature('the list of files was changed after it was signed');
    }
    const manifest = parseJson(BundleManifest, manifestText.toString());
    if (!manifest.ok) {
      throw new BundleRefused(
        'bundle_format_unknown',
        `the bundle is of a form that this version does not know: ${describeProblems(manifest.problems)}`,
        'Bring this server to the version that made the bundle.',
      );
    }
    await takeFiles(entries, files, manifest.value, options.maximumBytes ?? mostBundleBytes);
    return { manifest: manifest.value, publicKey, signedBy };
  } finally {
    await entries.return(undefined);
  }
}

async function takeFiles(
  entries: AsyncGenerator<TarEntry>,
  files: FeedFiles,
  manifest: BundleManifest,
  maximumBytes: number,
): Promise<void> {
  const listed = new Map<string, { sha256: string; bytes: number }>();
  let total = 0;
  for (const { files: own } of manifest.feeds) {
    for (const file of own) {
      if (!listed.has(fileName(file.sha256))) total += file.bytes;
      listed.set(fileName(file.sha256), file);
    }
  }
  if (total > maximumBytes) {
    throw new BundleRefused(
      'bundle_too_large',
      `the bundle holds ${String(total)} bytes, and ${String(maximumBytes)} are taken`,
      'Export fewer feeds at once with --feeds.',
    );
  }
  const left = new Set(listed.keys());
  for await (const entry of entries) {
    const file = listed.get(entry.name);
    if (file === undefined || !left.delete(entry.name)) {
      throw new BundleRefused(
        'bundle_entry_refused',
        `${JSON.stringify(entry.name.slice(0, 100))} is in the bundle and not in its signed list`,
        'This was not made by fixpoint feed bundle export, or somebody has added to it.',
      );
    }
    if (entry.bytes !== file.bytes) throw changed(entry.name);
    if (await files.has(file.sha256, file.bytes)) {
      // here already; what is in the archive must be right all the same
      const hash = createHash('sha256');
      for await (const chunk of entry.body) hash.update(chunk);
      if (hash.digest('hex') !== file.sha256) throw changed(entry.name);
      continue;
    }
    try {
      const kept = await files.keep(`bundle ${file.sha256}`, entry.body, file.bytes);
      if (kept.sha256 !== file.sha256) throw changed(entry.name);
    } catch (error) {
      if (error instanceof TooManyBytes) throw changed(entry.name);
      throw error;
    }
  }
  const [missing] = left;
  if (missing !== undefined) {
    throw new BundleRefused(
      'bundle_file_missing',
      `${String(left.size)} of ${String(listed.size)} files are not in the bundle, ${missing} among them`,
      copyAgain,
    );
  }
}

const changed = (name: string): BundleRefused =>
  new BundleRefused('bundle_file_changed', `${name} is not the file that was signed`, copyAgain);

const invalidSignature = (why: string): BundleRefused =>
  new BundleRefused(
    'bundle_signature_invalid',
    `the signature of the bundle does not hold: ${why}`,
    `${copyAgain} If it stays like this, somebody has changed it.`,
  );

async function next(entries: AsyncGenerator<TarEntry>, name: string): Promise<TarEntry> {
  const result = await entries.next();
  const entry: TarEntry | null = result.done === true ? null : result.value;
  if (entry?.name === name) return entry;
  throw new BundleRefused(
    'bundle_not_one',
    `this is not a bundle: it has no ${name} where it should be`,
    'Import what fixpoint feed bundle export made; a file of a publisher is imported with fixpoint feed import.',
  );
}

async function small(entry: TarEntry, most: number): Promise<Buffer> {
  if (entry.bytes > most) {
    throw new BundleRefused(
      'bundle_not_one',
      `${entry.name} is larger than any is`,
      'This was not made by fixpoint feed bundle export.',
    );
  }
  const chunks: Uint8Array[] = [];
  for await (const chunk of entry.body) chunks.push(chunk);
  return Buffer.concat(chunks);
}

const zstdMagic = Buffer.from([0x28, 0xb5, 0x2f, 0xfd]);

/** The archive, decompressed where it is compressed. What comes out is bounded by what was signed. */
async function plain(source: AsyncIterable<Uint8Array>): Promise<AsyncIterable<Uint8Array>> {
  const iterator = source[Symbol.asyncIterator]();
  const head: Uint8Array[] = [];
  let size = 0;
  while (size < 4) {
    const part = await iterator.next();
    if (part.done === true) break;
    head.push(part.value);
    size += part.value.length;
  }
  async function* whole(): AsyncGenerator<Uint8Array> {
    try {
      yield* head;
      for (let part = await iterator.next(); part.done !== true; part = await iterator.next())
        yield part.value;
    } finally {
      await iterator.return?.();
    }
  }
  if (!Buffer.concat(head).subarray(0, 4).equals(zstdMagic)) return whole();
  const input = Readable.from(whole());
  const zstd = createZstdDecompress();
  input.on('error', (error) => zstd.destroy(error));
  zstd.on('close', () => input.destroy());
  return input.pipe(zstd);
}
