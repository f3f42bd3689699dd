import {
  createReadStream,
  mkdirSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';
// The one place where the command line reaches into the server: the product has one parser for each published format,
// there. Feeds may not touch the database, so nothing of the server runs by this.
import { extractFiles } from '@fixpoint/server/feed/extract/extract.ts';
import { FeedFormatError } from '@fixpoint/server/feed/feed.ts';
import { feedOf, feeds } from '@fixpoint/server/feed/feeds.ts';
import type { FeedId } from '@fixpoint/core/knowledge/facts.ts';
import { now } from '../clock.ts';
import { exitCodes } from '../exit-codes.ts';
import { Failure } from '../failure.ts';
import { codeOf, note } from '../output/stream.ts';
import { buildKnowledge, type SourcedFact } from './build.ts';

/** A published file of a feed that the user has. */
export interface FeedInput {
  readonly feed: FeedId;
  readonly path: string;
}

/** Every fact of files of feeds, one after the other. */
export async function* inputFacts(inputs: readonly FeedInput[]): AsyncGenerator<SourcedFact> {
  for (const { feed, path } of inputs) {
    const stream = createReadStream(path);
    let rejected = 0;
    try {
      for await (const item of feedOf(feed).parse({ name: basename(path), bytes: stream })) {
        if (item.outcome === 'rejection') rejected++;
        else for (const fact of item.facts) yield { feed, record: item.id, fact };
      }
    } catch (error) {
      if (!(error instanceof FeedFormatError) && codeOf(error) === '') throw error;
      const { code, whatToDo } =
        error instanceof FeedFormatError
          ? error
          : { code: 'feed_file_unreadable', whatToDo: 'Name a file that this account may read.' };
      const message = error instanceof Error ? error.message : codeOf(error);
      throw new Failure(
        exitCodes.inputUnusable,
        code,
        `${path} cannot be read as ${feed}: ${message}`,
        whatToDo,
      );
    } finally {
      stream.destroy();
    }
    if (rejected > 0) note(`note: ${String(rejected)} records of ${basename(path)} could not be read`);
  }
}

/** Feeds by their ids, for messages. */
export function knownFeeds(): readonly FeedId[] {
  return feeds.map(({ id }) => id);
}

/**
 * The knowledge of the carried extract and of files of feeds together, or of the files alone. What a file of a feed says takes
 * the place of what the extract has of the same feed.
 */
export async function makeKnowledgeFrom(
  inputs: readonly FeedInput[],
  withExtract: boolean,
): Promise<ReadonlyMap<string, Uint8Array>> {
  const given = new Set(inputs.map(({ feed }) => feed));
  const carried = withExtract ? extractFiles.filter(({ feed }) => !given.has(feed)) : [];
  async function* all(): AsyncGenerator<SourcedFact> {
    yield* extractFacts(carried);
    yield* inputFacts(inputs);
  }
  return buildKnowledge(all(), new Map(carried.map((file) => [file.feed, file.asOf])));
}

/** Every fact of the extract that the product carries, feed by feed. */
export async function* extractFacts(files = extractFiles): AsyncGenerator<SourcedFact> {
  for (const file of files) {
    let rejected = 0;
    for await (const item of feedOf(file.feed).parse(file.open())) {
      if (item.outcome === 'rejection') rejected++;
      else for (const fact of item.facts) yield { feed: file.feed, record: item.id, fact };
    }
    if (rejected > 0) note(`note: ${String(rejected)} records of ${basename(file.path)} could not be read`);
  }
}

/**
 * Makes the knowledge files of all releases from the extract, and keeps them in `folder`. Answers them by name. A cache
 * that cannot be written costs time at the next scan and nothing else.
 */
export async function makeKnowledge(folder: string): Promise<ReadonlyMap<string, Uint8Array>> {
  note(
    "note: preparing the local knowledge from Fixpoint's own data; this is needed once and takes some seconds",
  );
  const files = await buildKnowledge(
    extractFacts(),
    new Map(extractFiles.map((file) => [file.feed, file.asOf])),
  );
  try {
    keep(folder, files);
  } catch (error) {
    note(`note: it cannot be kept in ${folder} (${codeOf(error)}), so the next scan prepares it again`);
  }
  return files;
}

/** Written apart and renamed as one, so that a folder that is there is whole, whoever else does the same right now. */
function keep(folder: string, files: ReadonlyMap<string, Uint8Array>): void {
  const parent = dirname(folder);
  const apart = join(parent, `making-${String(process.pid)}`);
  mkdirSync(apart, { recursive: true, mode: 0o700 });
  try {
    for (const [name, bytes] of files) writeFileSync(join(apart, name), bytes);
    renameSync(apart, folder);
  } catch (error) {
    rmSync(apart, { recursive: true, force: true });
    // Somebody else was first; theirs is the same.
    if (codeOf(error) !== 'ENOTEMPTY' && codeOf(error) !== 'EEXIST') throw error;
  }
  removeOthers(parent, basename(folder));
}

const keptForDays = 7;

/** What earlier versions left behind, once nobody can be reading it any more. */
function removeOthers(parent: string, current: string): void {
  for (const name of readdirSync(parent)) {
    if (name === current) continue;
    const path = join(parent, name);
    const ageDays = (now().getTime() - statSync(path).mtimeMs) / 86_400_000;
    if (ageDays > keptForDays) rmSync(path, { recursive: true, force: true });
  }
}
