import { readFileSync, readdirSync, statSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import type { OsRelease } from '@fixpoint/core/inventory/os-release.ts';
import { exitCodes } from '../exit-codes.ts';
import { Failure } from '../failure.ts';
import { codeOf } from '../output/stream.ts';
import { knowledgeFormat } from './format.ts';
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
  /** A knowledge file to use instead of our own. */
  readonly file: string | null;
  /** Of our own: {@link knowledgeFolder}. */
  readonly folder: string;
  /** Makes what belongs into the folder when it is empty; see make.ts. */
  readonly make: (folder: string) => Promise<ReadonlyMap<string, Uint8Array>>;
}

/**
 * Knowledge of one release.
 *
 * @throws Failure `release_unknown` when there is none, `knowledge_…` when the file cannot be used
 */
export async function localKnowledge(
  { os, os_release: osRelease, os_title: osTitle }: OsRelease,
  { file, folder, make }: KnowledgeSourceOptions,
): Promise<Knowledge> {
  if (file !== null) {
    const { crc32 } = process.getBuiltinModule('node:zlib');
    const knowledge = open(file, crc32, 'Make it again, or leave --knowledge away.');
    if (knowledge === null) {
      throw new Failure(
        exitCodes.usage,
        'knowledge_not_found',
        `there is no knowledge file ${file}`,
        'Name an existing file, or leave --knowledge away.',
      );
    }
    const { ecosystem, release } = knowledge.header;
    if (ecosystem === os && release === osRelease) return knowledge;
    throw unknownRelease(os, osRelease, osTitle, [`${ecosystem}-${release}`]);
  }
  const name = `${os}-${osRelease}`;
  // Names come from the scanned root, which nobody vouches for.
  const path = /^[a-z0-9.-]+$/u.test(name) ? join(folder, name) : null;
  const remedy = `Remove ${folder}; it is made again.`;
  const kept = path === null ? null : open(path, null, remedy);
  if (kept !== null) return kept;
  const known = list(folder);
  if (known.length > 0) throw unknownRelease(os, osRelease, osTitle, known);
  const made = await make(folder);
  const bytes = made.get(name);
  if (bytes === undefined) throw unknownRelease(os, osRelease, osTitle, [...made.keys()].sort());
  return read(Buffer.from(bytes), null, name, remedy);
}

function unknownRelease(os: string, osRelease: string, osTitle: string, known: readonly string[]): Failure {
  const what = osRelease === '' ? `${os} without a release number` : `${os} ${osRelease}`;
  return new Failure(
    exitCodes.inputUnusable,
    'release_unknown',
    `there is no vulnerability data for ${what} (${osTitle}), so nothing can be said about its packages`,
    `Data is there for: ${known.map((name) => name.replace('-', ' ')).join(', ')}. Is --root the right folder?`,
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
function hash(text: string): string {
  let a = 0x81_1c_9d_c5;
  let b = 0x01_00_01_93;
  for (let i = 0; i < text.length; i++) {
    a = Math.imul(a ^ text.charCodeAt(i), 0x01_00_01_93);
    b = Math.imul(b ^ text.charCodeAt(i), 0x85_eb_ca_6b);
  }
  return (a >>> 0).toString(16).padStart(8, '0') + (b >>> 0).toString(16).padStart(8, '0');
}
