import { compareText } from '@fixpoint/core/knowledge/compare-text.ts';
import { join } from 'node:path';
import type { Candidate, InstalledPackage } from '@fixpoint/core/inventory/inventory.ts';
import { originOfRpm } from '@fixpoint/core/inventory/origin.ts';
import { parseNevra, parseSourceRpm, writeEvr } from '@fixpoint/core/inventory/rpm-query.ts';
import { compareVersions } from '@fixpoint/core/version/version.ts';
import { runCommand } from '../run-command.ts';
import { readTextIfThere } from '../state-dir.ts';
import { type CollectProblem } from './package-source.ts';

/** What dnf, or the yum of older systems, would update to. It fetches lists anew when they are older than its configuration allows. */

export const dnfStampPaths = [
  'etc/dnf',
  'etc/dnf/plugins',
  'etc/yum.conf',
  'etc/yum.repos.d',
  'var/cache/dnf',
];

const queryFormat = [
  '%{name}',
  '%{epoch}',
  '%{version}',
  '%{release}',
  '%{arch}',
  '%{sourcerpm}',
  '%{repoid}',
  '%{downloadsize}',
  '%{vendor}\\n',
].join('\\t');

export interface RepositoryPackage extends Candidate {
  /** null where the package manager does not tell. */
  readonly vendor: string | null;
}

/** Parses `dnf repoquery --upgrades --qf` with the format above. Empty lines are dnf 4's own line ends. Pure. */
export function parseRepoquery(text: string): RepositoryPackage[] {
  return text.split('\n').flatMap((line) => {
    const [name, epoch, version, release, arch, sourceRpm, repository, size, vendor] = line.split('\t');
    if (!name || epoch === undefined || !version || !release || !arch || sourceRpm === undefined) return [];
    const evr = writeEvr(epoch, version, release);
    const bytes = Number(size);
    return [
      {
        name,
        arch,
        version: evr,
        ...parseSourceRpm(sourceRpm, epoch, { name, version: evr }),
        repository: repository ?? '',
        download_bytes: Number.isSafeInteger(bytes) && bytes >= 0 ? bytes : 0,
        vendor:
          vendor === undefined || vendor === '' || vendor === '(none)' || vendor === 'None' ? null : vendor,
      },
    ];
  });
}

/**
 * Parses `list --upgrades` of dnf 4 and `list updates` of yum 3: `NAME.ARCH  [EPOCH:]VERSION-RELEASE  REPOSITORY`, where a long
 * name goes on in the next line. They tell neither source nor size: the source is that of what is installed. Pure.
 */
export function parseListUpgrades(text: string, installed: readonly InstalledPackage[]): RepositoryPackage[] {
  const byKey = new Map(installed.map((p) => [`${p.name}.${p.arch}`, p]));
  return text
    .replaceAll(/\n[ \t]+/gu, ' ')
    .split('\n')
    .flatMap((line) => {
      const [key, version, repository, ...more] = line.trim().split(/\s+/u);
      const p = byKey.get(key ?? '');
      if (p === undefined || version === undefined || repository === undefined || more.length > 0) return [];
      const evr = version.replace(/^0:/u, '');
      return [{ ...bare(p), version: evr, source_version: evr, repository, download_bytes: 0, vendor: null }];
    });
}

function bare(p: InstalledPackage): { name: string; arch: string; source: string } {
  return { name: p.name, arch: p.arch, source: p.source };
}

/**
 * Of what repositories offer, the newest that is newer than what is installed; for what the distribution built, only what it
 * built too, where that is told. Pure.
 */
export function newerPackages(
  offered: readonly RepositoryPackage[],
  installed: readonly InstalledPackage[],
  os: string,
): Candidate[] {
  const byKey = new Map(installed.map((p) => [`${p.name}:${p.arch}`, p]));
  const newest = new Map<string, Candidate>();
  for (const { vendor, ...one } of offered) {
    const key = `${one.name}:${one.arch}`;
    const p = byKey.get(key);
    if (p === undefined || compareVersions('rpm', one.version, p.version) !== 'greater') continue;
    if (p.origin === undefined && vendor !== null && originOfRpm(os, vendor).origin === 'third_party')
      continue;
    const other = newest.get(key);
    if (other !== undefined && compareVersions('rpm', one.version, other.version) !== 'greater') continue;
    newest.set(key, one);
  }
  return [...newest.values()].sort((a, b) => compareText(a.name, b.name) || compareText(a.arch, b.arch));
}

export interface ReadCandidates {
  readonly candidates: Candidate[];
  readonly problems: CollectProblem[];
}

export async function readDnfCandidates(
  manager: 'dnf' | 'yum',
  root: string,
  os: string,
  installed: readonly InstalledPackage[],
): Promise<ReadCandidates> {
  const options =
    root === '/' ? [] : ['--installroot', root, `--setopt=reposdir=${join(root, 'etc/yum.repos.d')}`];
  const ask = (program: string, ...args: string[]) =>
    runCommand([program, '--assumeno', '--quiet', ...options, ...args], { timeoutSeconds: 300 });
  const failures: string[] = [];
  if (manager === 'dnf') {
    // First with lists as new as the configuration wants them, then with those that are there.
    for (const cache of [[], ['--cacheonly']]) {
      const answer = await ask('dnf', ...cache, 'repoquery', '--upgrades', '--qf', queryFormat);
      if (answer.ok) {
        const problems = failures.map((message) => ({ code: 'repositories_unreachable', message }));
        return { candidates: newerPackages(parseRepoquery(answer.stdout), installed, os), problems };
      }
      failures.push(answer.message.slice(0, 1_000));
    }
  } else {
    const answer = await ask('yum', 'list', 'updates');
    // `No matching Packages to list` ends with 1.
    if (answer.ok || /No matching Packages/u.test(answer.stderr)) {
      return {
        candidates: newerPackages(parseListUpgrades(answer.stdout, installed), installed, os),
        problems: [],
      };
    }
    failures.push(answer.message.slice(0, 1_000));
  }
  return {
    candidates: [],
    problems: [
      {
        code: 'repositories_unreadable',
        message: `what ${manager} would update to is not known: ${failures.at(-1) ?? ''}`,
      },
    ],
  };
}

/** Names in dnf's and yum's lists of version locks: `name-[epoch:]version-release.arch`; a line with `!` excludes versions. Pure. */
export function parseVersionLocks(text: string): string[] {
  const names = text.split('\n').flatMap((line) => {
    const lock = line.trim();
    if (lock === '' || lock.startsWith('#') || lock.startsWith('!')) return [];
    // yum wrote `EPOCH:NAME-VERSION-RELEASE.*`.
    const locked = lock.replace(/^\d+:/u, '');
    const name = parseNevra(locked.replace(/\.\*$/u, '.any'))?.name ?? locked;
    return /^[\w.+-]+$/u.test(name) ? [name] : [];
  });
  return [...new Set(names)].sort(compareText);
}

/** `[[packages]]` tables with `name = "…"` of dnf 5's versionlock.toml. Pure. */
export function parseVersionLockToml(text: string): string[] {
  return [...text.matchAll(/^\s*name\s*=\s*["']([\w.+-]+)["']/gmu)].flatMap((match) => match[1] ?? []);
}

export function readDnfHeld(root: string): string[] {
  const read = (path: string): string => readTextIfThere(join(root, path)) ?? '';
  return [
    ...new Set([
      ...parseVersionLocks(read('etc/dnf/plugins/versionlock.list')),
      ...parseVersionLocks(read('etc/yum/pluginconf.d/versionlock.list')),
      ...parseVersionLockToml(read('etc/dnf/versionlock.toml')),
    ]),
  ].sort(compareText);
}
