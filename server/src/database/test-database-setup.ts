/** vitest's globalSetup: names a folder for the databases of this run, and cleans up after the run and after dead ones. */
import {
  chmodSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { findOrphan, stopPostmaster } from './postmaster.ts';
import { processIdentity } from './process-identity.ts';
import { DATABASES_FOLDER_VARIABLE } from './test-database.ts';

const PREFIX = 'fixpoint-tests-';
const log = pino({ level: 'silent' });

export default async function setup(): Promise<() => Promise<void>> {
  for (const name of readdirSync(tmpdir())) {
    if (!name.startsWith(PREFIX)) continue;
    try {
      await removeIfDead(join(tmpdir(), name));
    } catch (error) {
      // Another user's, or another run clears the same one away at this moment, or workers of the dead run still write
      // into it. A later run will manage; this one has nothing to do with it.
      console.warn(`could not clear ${join(tmpdir(), name)} away: ${String(error)}`);
    }
  }
  const folder = mkdtempSync(join(tmpdir(), PREFIX));
  chmodSync(folder, 0o711);
  writeFileSync(
    join(folder, 'run.json'),
    JSON.stringify({ pid: process.pid, identity: processIdentity(process.pid) }),
  );
  process.env[DATABASES_FOLDER_VARIABLE] = folder;
  return async () => {
    await remove(folder);
  };
}

/** Removes what a killed run left. One without `run.json` is another's that is just being made. */
async function removeIfDead(folder: string): Promise<void> {
  const file = join(folder, 'run.json');
  if (!existsSync(file)) return;
  const { pid, identity }: { pid: number; identity: string } = JSON.parse(readFileSync(file, 'utf8'));
  if (processIdentity(pid) !== identity) await remove(folder);
}

async function remove(folder: string): Promise<void> {
  const folders = readdirSync(folder, { withFileTypes: true }).filter((entry) => entry.isDirectory());
  for (const owner of [folder, ...folders.map(({ name }) => join(folder, name))]) {
    const orphan = await findOrphan(join(owner, 'postgres/data'), log);
    if (orphan !== undefined) await stopPostmaster(orphan, log);
  }
  rmSync(folder, { recursive: true, force: true });
}
