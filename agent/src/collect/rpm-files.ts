import { join } from 'node:path';
import { parseNevra } from '@fixpoint/core/inventory/rpm-query.ts';
import { runCommand } from '../run-command.ts';
import { readTextIfThere } from '../state-dir.ts';
import { withoutUsr, type LoggedUpgrade } from './maps.ts';
import type { PackageFiles, ShippedBy } from './package-source.ts';
import { stampOf } from './stamp.ts';

/** Which package a file belongs to, and what a package's files must be: rpm's database, dnf's log. */

export function rpmCommand(root: string, ...args: string[]): readonly [string, ...string[]] {
  return root === '/' ? ['rpm', ...args] : ['rpm', '--root', root, ...args];
}

/** Where the database is and was: `rpm --eval %_dbpath` of the distributions, with each of rpm's back ends. */
const databaseFiles = ['var/lib/rpm', 'usr/lib/sysimage/rpm'].flatMap((folder) =>
  ['rpmdb.sqlite', 'rpmdb.sqlite-wal', 'Packages', 'Packages.db'].map((file) => `${folder}/${file}`),
);

/** Changes whenever rpm has written its database. */
export function rpmDatabaseStamp(root: string): string {
  return databaseFiles.map((file) => stampOf(join(root, file))).join(' ');
}

/** Bits of FILEFLAGS, as rpm's lib/rpmfiles.h has them. */
const configFlag = 1;
const ghostFlag = 64;

/** Reads lines of `FILE DIGEST FLAGS`, with tabs between. Files without a digest (folders, links) and ghosts are left out. Pure. */
export function parseRpmFiles(text: string): ShippedBy {
  const sums = new Map<string, string>();
  const changeable = new Set<string>();
  for (const line of text.split('\n')) {
    const [path, digest, flagsText] = line.split('\t');
    if (path === undefined || digest === undefined || flagsText === undefined) continue;
    const flags = Number(flagsText);
    if ((flags & configFlag) !== 0) changeable.add(path);
    if ((flags & ghostFlag) === 0 && /^(?:[0-9a-f]{32}|[0-9a-f]{40}|[0-9a-f]{64})$/u.test(digest))
      sums.set(path, digest);
  }
  return { sums, changeable };
}

/**
 * The upgrades in dnf.rpm.log: `TIME SUBDEBUG Upgrade: NEW` and, once its files are gone, `TIME SUBDEBUG Upgraded: OLD`.
 * Versions are as this agent writes them. Pure.
 */
export function parseDnfLog(text: string): LoggedUpgrade[] {
  const upgrades: LoggedUpgrade[] = [];
  const to = new Map<string, string>();
  for (const line of text.split('\n')) {
    const parts =
      /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(Z|[+-]\d\d:?\d\d) \w+ (Upgrade|Upgraded|Downgrade|Downgraded): (\S+)$/u.exec(
        line,
      );
    const nevra = parts === null ? null : parseNevra(parts[4] ?? '');
    if (parts === null || nevra === null) continue;
    const key = `${nevra.name}:${nevra.arch}`;
    if (parts[3] === 'Upgrade' || parts[3] === 'Downgrade') {
      to.set(key, nevra.version);
      continue;
    }
    const zone = (parts[2] ?? 'Z').replace(/^([+-]\d\d)(\d\d)$/u, '$1:$2');
    const at = Date.parse(`${parts[1] ?? ''}${zone}`);
    if (!Number.isFinite(at)) continue;
    upgrades.push({
      at,
      name: nevra.name,
      arch: nevra.arch,
      from: nevra.version,
      to: to.get(key) ?? '',
    });
  }
  return upgrades;
}

const listBytesMaximum = 512 * 1024 * 1024;

export function createRpmFiles(root: string): PackageFiles {
  let stamp = '';
  /** By path without /usr. */
  const known = new Map<string, string | null>();
  const logs = ['var/log/dnf.rpm.log.1', 'var/log/dnf.rpm.log'].map((path) => join(root, path));
  let upgrades: { readonly stamp: string; readonly entries: readonly LoggedUpgrade[] } | null = null;

  return {
    stamp: () => rpmDatabaseStamp(root),
    async ownersOf(paths) {
      const now = rpmDatabaseStamp(root);
      if (now !== stamp) {
        known.clear();
        stamp = now;
      }
      const wanted = new Set(paths.map(withoutUsr).filter((path) => !known.has(path)));
      if (wanted.size > 0) {
        // `rpm -qf` does not say which of several answers is for which path, and knows none that is gone from the disk.
        const answer = await runCommand(
          rpmCommand(root, '-qa', '--queryformat', String.raw`[%{=NAME}:%{=ARCH}\t%{FILENAMES}\n]`),
          { timeoutSeconds: 120, maxOutputBytes: listBytesMaximum },
        );
        if (!answer.ok) throw new Error(`the files of packages cannot be read: ${answer.message}`);
        for (const path of wanted) known.set(path, null);
        for (const line of answer.stdout.split('\n')) {
          const at = line.indexOf('\t');
          const path = withoutUsr(line.slice(at + 1));
          if (at > 0 && wanted.has(path)) known.set(path, line.slice(0, at));
        }
      }
      return new Map(paths.map((path) => [path, known.get(withoutUsr(path)) ?? null]));
    },
    async shippedBy(p) {
      const answer = await runCommand(
        rpmCommand(
          root,
          '-q',
          '--queryformat',
          String.raw`[%{FILENAMES}\t%{FILEDIGESTS}\t%{FILEFLAGS}\n]`,
          `${p.name}.${p.arch}`,
        ),
        { timeoutSeconds: 60 },
      );
      if (!answer.ok) throw new Error(`the files of ${p.name} cannot be read: ${answer.message}`);
      return parseRpmFiles(answer.stdout);
    },
    // rpm has none.
    diversions: () => Promise.resolve(new Map()),
    upgrades() {
      const now = logs.map(stampOf).join();
      if (upgrades?.stamp !== now) {
        upgrades = { stamp: now, entries: logs.flatMap((path) => parseDnfLog(readTextIfThere(path) ?? '')) };
      }
      return upgrades.entries;
    },
  };
}
