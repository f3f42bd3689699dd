import { readFileSync, readdirSync, statSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { exitCodes } from '../exit-codes.ts';
import { Failure } from '../failure.ts';
import { codeOf } from '../output/stream.ts';
import { knowledgeFormat } from './format.ts';
import { readKnowledge, type Knowledge } from './read.ts';

/**
 * The knowledge that `scan` judges by. It is made once from the product's own extract of the feeds and kept in the user's
 * cache, in a folder named after what the extract is; a changed extract, or another file format, is another folder.
 */

/** Folder of the published files that the product brings along; see server/src/feed/extract/. */
export const extractFolder = join(import.meta.dirname, '../../../server/src/feed/extract');

export function cacheFolder(): string {
  const base = process.env['XDG_CACHE_HOME'];
  return join(base === undefined || base === '' ? join(homedir(), '.cache') : base, 'fixpoint');
}

/**
 * Knowledge of one release, from `file` if one is given.
 *
 * @throws Failure `release_unknown` when there is none, `knowledge_…` when the file cannot be used
 */
export async function localKnowledge(
  os: string,
  osRelease: string,
  osTitle: string,
  file: string | null,
): Promise<Knowledge> {
  if (file !== null) {
    const knowledge = open(file, `Make it again, or leave --knowledge away.`);
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
  const folder = join(cacheFolder(), 'knowledge', extractKey(extractFolder));
  const name = `${os}-${osRelease}`;
  // Names come from the scanned root, which nobody vouches for.
  const path = /^[a-z0-9.-]+$/u.test(name) ? join(folder, name) : null;
  const remedy = `Remove ${folder}; it is made again.`;
  const kept = path === null ? null : open(path, remedy);
  if (kept !== null) return kept;
  const known = list(folder);
  if (known.length > 0) throw unknownRelease(os, osRelease, osTitle, known);
  const { makeKnowledge } = await import('./make.ts');
  const made = await makeKnowledge(folder);
  const bytes = made.get(name);
  if (bytes === undefined) throw unknownRelease(os, osRelease, osTitle, [...made.keys()].sort());
  return read(Buffer.from(bytes), name, remedy);
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

function open(path: string, whatToDo: string): Knowledge | null {
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
  return read(bytes, path, whatToDo);
}

function read(bytes: Buffer, path: string, whatToDo: string): Knowledge {
  const answer = readKnowledge(bytes);
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
 * Names the state of the extract by the names, sizes and times of its files (as make does): reading and hashing megabytes
 * at every start would take longer than the scan. What the files hold is told by the digests inside.
 */
export function extractKey(folder: string): string {
  let state = `${String(knowledgeFormat)}\n`;
  for (const entry of readdirSync(folder, { recursive: true, encoding: 'utf8' }).sort()) {
    const { size, mtimeMs } = statSync(join(folder, entry));
    state += `${entry} ${String(size)} ${String(Math.trunc(mtimeMs))}\n`;
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
