import { readFileSync, readdirSync, statSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { isEcosystem, productOf, productTitle, type Product } from '@fixpoint/core/knowledge/ecosystem.ts';
import { exitCodes } from '../exit-codes.ts';
import { Failure } from '../failure.ts';
import { codeOf } from '../output/stream.ts';
import { knowledgeFormat, productName } from './format.ts';
import { readKnowledge, type Knowledge } from './read.ts';

/**
 * The knowledge that `scan` judges by. It is made once from the product's own extract of the feeds and kept in the user's
 * cache, in a folder named after what it is made from; when that changes, it is another folder.
 */

/**
 * What a knowledge file depends on: the published files that the product brings along (server/src/feed/extract/), the
 * parsers beside them, and the rule that unites what they say.
 */
const ingredients = ['../../../server/src/feed', '../../../core/src/knowledge'].map((folder) =>
  join(import.meta.dirname, folder),
);

export function cacheFolder(): string {
  const base = process.env['XDG_CACHE_HOME'];
  return join(base === undefined || base === '' ? join(homedir(), '.cache') : base, 'fixpoint');
}

/** Where the knowledge made from the present ingredients is kept. */
export function knowledgeFolder(): string {
  return join(cacheFolder(), 'knowledge', ingredientsKey(ingredients));
}

export interface KnowledgeSourceOptions {
  /** A knowledge file, or a folder of them, to use instead of our own. */
  readonly file: string | null;
  /** Of our own: {@link knowledgeFolder}. */
  readonly folder: string;
  /** Makes what belongs into the folder when it is empty; see make.ts. */
  readonly make: (folder: string) => Promise<ReadonlyMap<string, Uint8Array>>;
}

/** The system whose packages are to be judged, as its os-release(5) names it. */
export interface KnowledgeSubject {
  readonly os: string;
  readonly os_release: string;
  /** For messages. */
  readonly os_title: string;
}

/**
 * Knowledge of one product.
 *
 * @throws Failure `release_unknown` when there is none, `knowledge_…` when the file cannot be used
 */
export async function localKnowledge(
  subject: KnowledgeSubject,
  { file, folder, make }: KnowledgeSourceOptions,
): Promise<Knowledge> {
  const product = productOf(subject.os, subject.os_release);
  const name = productName(product);
  // Names come from the scanned root, which nobody vouches for.
  const isName = isEcosystem(product.ecosystem) && /^[a-z0-9.-]+$/u.test(name);
  if (file !== null) return knowledgeAt(file, isName ? name : null, product, subject);
  const remedy = `Remove ${folder}; it is made again.`;
  const kept = isName ? open(join(folder, name), null, remedy) : null;
  if (kept !== null) return kept;
  const known = list(folder);
  if (known.length > 0) throw unknownRelease(subject, product, known);
  const made = await make(folder);
  const bytes = made.get(name);
  if (bytes === undefined) throw unknownRelease(subject, product, [...made.keys()].sort());
  return read(Buffer.from(bytes), null, name, remedy);
}

/** The knowledge in a file or folder that the user names. */
function knowledgeAt(
  path: string,
  name: string | null,
  product: Product,
  subject: KnowledgeSubject,
): Knowledge {
  const { crc32 } = process.getBuiltinModule('node:zlib');
  const remedy = 'Make it again with `fixpoint knowledge make`, or leave --knowledge away.';
  if (statSync(path, { throwIfNoEntry: false })?.isDirectory() === true) {
    const knowledge = name === null ? null : open(join(path, name), crc32, remedy);
    if (knowledge === null) throw unknownRelease(subject, product, list(path));
    return knowledge;
  }
  const knowledge = open(path, crc32, remedy);
  if (knowledge === null) {
    throw new Failure(
      exitCodes.usage,
      'knowledge_not_found',
      `there is no knowledge file ${path}`,
      'Name an existing file or folder, or leave --knowledge away.',
    );
  }
  const { header } = knowledge;
  if (header.ecosystem === product.ecosystem && header.release === product.release) return knowledge;
  throw unknownRelease(subject, product, [productName(header)]);
}

function unknownRelease(
  { os_release: osRelease, os_title: osTitle }: KnowledgeSubject,
  product: Product,
  known: readonly string[],
): Failure {
  const release = osRelease === '' && !isEcosystem(product.ecosystem) ? ' without a release number' : '';
  return new Failure(
    exitCodes.inputUnusable,
    'release_unknown',
    `there is no vulnerability data for ${productTitle(product)}${release} (${osTitle}), so nothing can be said about its packages`,
    `Data is there for: ${known.length === 0 ? 'nothing' : known.join(', ')}. Make it from the vendor's feed with \`fixpoint knowledge make\` and name it with --knowledge, unless --root is the wrong folder.`,
  );
}

type Checksum = ((bytes: Uint8Array) => number) | null;

function open(path: string, checksum: Checksum, whatToDo: string): Knowledge | null {
  let bytes: Buffer;
  try {
    bytes = readFileSync(path);
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return null;
    throw new Failure(
      exitCodes.inputUnusable,
      'knowledge_unreadable',
      `the knowledge file ${path} cannot be read (${codeOf(error)})`,
      whatToDo,
    );
  }
  return read(bytes, checksum, path, whatToDo);
}

function read(bytes: Buffer, checksum: Checksum, path: string, whatToDo: string): Knowledge {
  const answer = readKnowledge(bytes, checksum);
  if (answer.ok) return answer.knowledge;
  throw new Failure(
    exitCodes.inputUnusable,
    answer.code,
    `the knowledge file ${path} cannot be used: ${answer.message}`,
    whatToDo,
  );
}

function list(folder: string): string[] {
  try {
    return readdirSync(folder).sort();
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return [];
    throw error;
  }
}

/**
 * Names the state of the ingredients by the names, sizes and times of their files (as make does): reading and hashing
 * megabytes at every start would take longer than the scan.
 */
export function ingredientsKey(folders: readonly string[]): string {
  let state = `${String(knowledgeFormat)}\n`;
  for (const folder of folders) {
    for (const entry of readdirSync(folder, { recursive: true, encoding: 'utf8' }).sort()) {
      const { size, mtimeMs } = statSync(join(folder, entry));
      state += `${entry} ${String(size)} ${String(Math.trunc(mtimeMs))}\n`;
    }
  }
  return hash(state);
}

/** FNV-1a over two lanes, 64 bits in hex: names a folder, protects nothing. */
export function hash(text: string): string {
  let a = 0x81_1c_9d_c5;
  let b = 0x01_00_01_93;
  for (let i = 0; i < text.length; i++) {
    a = Math.imul(a ^ text.charCodeAt(i), 0x01_00_01_93);
    b = Math.imul(b ^ text.charCodeAt(i), 0x85_eb_ca_6b);
  }
  return (a >>> 0).toString(16).padStart(8, '0') + (b >>> 0).toString(16).padStart(8, '0');
}
