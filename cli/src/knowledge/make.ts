import { mkdirSync, readdirSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
// The one place where the command line reaches into the server: the product has one parser for each published format,
// there. Feeds may not touch the database, so nothing of the server runs by this.
import { extractFiles } from '@fixpoint/server/feed/extract/extract.ts';
import { feedOf } from '@fixpoint/server/feed/feeds.ts';
import { now } from '../clock.ts';
import { codeOf, note } from '../output/stream.ts';
import { buildKnowledge, type SourcedFact } from './build.ts';

/** Every fact of the extract that the product carries, feed by feed. */
export async function* extractFacts(): AsyncGenerator<SourcedFact> {
  for (const file of extractFiles) {
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
