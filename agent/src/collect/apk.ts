import { compareText } from '@fixpoint/core/knowledge/compare-text.ts';
import { join } from 'node:path';
import { parseApkInstalled, type ApkInstalled } from '@fixpoint/core/inventory/apk-installed.ts';
import type { Candidate, InstalledKernel, InstalledPackage } from '@fixpoint/core/inventory/inventory.ts';
import {
  isApkRepositoryOfDistribution,
  originOfApk,
  withOrigin,
  type ApkEvidence,
} from '@fixpoint/core/inventory/origin.ts';
import { compareVersions } from '@fixpoint/core/version/version.ts';
import { AgentFailure } from '../failure.ts';
import { runCommand } from '../run-command.ts';
import { readTextIfThere } from '../state-dir.ts';
import { readOsRelease } from './host.ts';
import { withoutUsr } from './maps.ts';
import {
  sortPackages,
  type CollectedPackages,
  type PackageFiles,
  type PackageSource,
  type ShippedBy,
} from './package-source.ts';
import { stampOf, stampsIn } from './stamp.ts';

/** Alpine and Wolfi: apk's database, and what apk would upgrade to. */

const databasePaths = ['lib/apk/db/installed', 'usr/lib/apk/db/installed'];

export function createApkSource(root = '/'): PackageSource {
  const files = createApkFiles(root);
  return {
    manager: 'apk',
    takesOrders: true,
    stamp: () =>
      [
        files.stamp(),
        ...['etc/apk/repositories', 'etc/apk/world'].map((path) => stampOf(join(root, path))),
        ...stampsIn(join(root, 'var/cache/apk')),
        ...stampsIn(join(root, 'etc/apk/cache')),
      ].join('|'),
    collect: () => collect(root),
    files,
  };
}

function readDatabase(root: string): ApkInstalled {
  const text = databasePaths.map((path) => readTextIfThere(join(root, path))).find((one) => one !== null);
  const parsed = parseApkInstalled(text ?? '');
  if (parsed.ok) return parsed.installed;
  throw new AgentFailure(parsed.code, parsed.message, parsed.what_to_do);
}

async function collect(root: string): Promise<CollectedPackages> {
  const { os, os_release: osRelease } = readOsRelease(root);
  const { packages: installed, files } = readDatabase(root);
  const world = readTextIfThere(join(root, 'etc/apk/world')) ?? '';
  const common = {
    held: parseWorldPins(world),
    kernels: kernelsOfApk(installed, files),
    // All of one host have it, but those that fit every architecture.
    arch: installed.find((p) => p.arch !== 'noarch')?.arch ?? 'noarch',
  };
  const options = root === '/' ? [] : ['--root', root];
  // Indexes that are there; refreshing them is the administrator's (`apk update`).
  const policy = await runCommand(
    ['apk', ...options, '--no-network', 'policy', ...installed.map((p) => p.name)],
    {
      timeoutSeconds: 120,
    },
  );
  const upgrades = await runCommand(['apk', ...options, '--no-network', 'list', '--upgradable'], {
    timeoutSeconds: 120,
  });
  const policies = policy.ok ? parseApkPolicy(policy.stdout) : new Map<string, ApkPolicy>();
  const packages = installed.map((p) =>
    withOrigin(p, originOfApk(os, evidenceOf(os, p, policies, pinnedToFiles(world), policy.ok), osRelease)),
  );
  const problems = [policy, upgrades].flatMap((answer) =>
    answer.ok ? [] : [{ code: 'repositories_unreadable', message: answer.message.slice(0, 1_000) }],
  );
  const candidates = upgrades.ok ? parseApkUpgradable(upgrades.stdout, installed, policies) : [];
  return { ...common, packages: sortPackages(packages), candidates, problems: problems.slice(0, 1) };
}

export type ApkPolicy = readonly { readonly version: string; readonly repositories: readonly string[] }[];

/**
 * Parses `apk policy NAME…`: `NAME policy:`, then versions further in, then further in again where each is: the database
 * (`lib/apk/db/installed`), a cache, or the URL of a repository. A tag (`@edge`) may stand before a URL. Pure.
 */
export function parseApkPolicy(text: string): Map<string, ApkPolicy> {
  const policies = new Map<string, { version: string; repositories: string[] }[]>();
  let versions: { version: string; repositories: string[] }[] = [];
  for (const line of text.split('\n')) {
    const name = /^(\S+) policy:$/u.exec(line)?.[1];
    if (name !== undefined) {
      versions = [];
      policies.set(name, versions);
      continue;
    }
    const version = /^ {2}(\S+):$/u.exec(line)?.[1];
    if (version !== undefined) versions.push({ version, repositories: [] });
    const repository = /^ {4}(?:@\S+ )?(\S+:\/\/\S+|\/\S+)$/u.exec(line)?.[1];
    if (repository !== undefined) versions.at(-1)?.repositories.push(repository);
  }
  return policies;
}

function evidenceOf(
  os: string,
  p: InstalledPackage,
  policies: ReadonlyMap<string, ApkPolicy>,
  pinned: ReadonlySet<string>,
  hasPolicies: boolean,
): ApkEvidence {
  const versions = policies.get(p.name) ?? [];
  const isOfDistribution = (repository: string): boolean => isApkRepositoryOfDistribution(os, repository);
  const hasIndex = [...policies.values()].flat().some((one) => one.repositories.some(isOfDistribution));
  return {
    offeredBy: versions.find((one) => one.version === p.version)?.repositories ?? [],
    // Without any index of the distribution (a container's image) there is no sign against it.
    isNameOfDistribution:
      !hasPolicies || !hasIndex || versions.some((one) => one.repositories.some(isOfDistribution)),
    isPinnedToFile: pinned.has(p.name),
  };
}

/**
 * Parses `apk list --upgradable`: `NAME-VERSION ARCH {SOURCE} (LICENCE) [upgradable from: NAME-VERSION]`. Pure.
 */
export function parseApkUpgradable(
  text: string,
  installed: readonly InstalledPackage[],
  policies: ReadonlyMap<string, ApkPolicy> = new Map(),
): Candidate[] {
  const byName = new Map(installed.map((p) => [p.name, p]));
  return text
    .split('\n')
    .flatMap((line) => {
      const parts = /^(\S+)-(\d[^-\s]*-r\d+) (\S+) \{([^}]*)\} .*\[upgradable from: \S+\]\s*$/u.exec(line);
      const [, name, version, , source] = parts ?? [];
      const p = byName.get(name ?? '');
      if (p === undefined || version === undefined) return [];
      if (compareVersions('apk', version, p.version) !== 'greater') return [];
      const repository = policies
        .get(p.name)
        ?.find((one) => one.version === version)
        ?.repositories.at(0);
      return [
        {
          name: p.name,
          arch: p.arch,
          version,
          // Alpine writes the folder in the source tree: `main/musl` or `musl`.
          source: source?.split('/').at(-1) || p.source,
          source_version: version,
          repository: repository ?? '',
          download_bytes: 0,
        },
      ];
    })
    .sort((a, b) => compareText(a.name, b.name));
}

/** Names in /etc/apk/world that are held at a version: `name=1.2-r3`, `name<2`, `name~1.2`. Pure. */
export function parseWorldPins(text: string): string[] {
  const names = text.split(/\s+/u).flatMap((entry) => {
    const [, name, operator] = /^([\w.+-]+?)(?:@[\w-]+)?(=|<=|<|~=|~|=~)[^>]/u.exec(entry) ?? [];
    return name === undefined || operator === undefined ? [] : [name];
  });
  return [...new Set(names)].sort(compareText);
}

/** `name><Q1…`: installed from a file with that digest. */
function pinnedToFiles(text: string): Set<string> {
  return new Set(text.split(/\s+/u).flatMap((entry) => /^([\w.+-]+)></u.exec(entry)?.[1] ?? []));
}

/**
 * The kernels: packages `linux-FLAVOUR` that own a folder of modules or an image. Version 6.1.55-r0 of linux-lts says
 * `6.1.55-0-lts` when it runs. Pure.
 */
export function kernelsOfApk(
  packages: readonly InstalledPackage[],
  files: ApkInstalled['files'],
): InstalledKernel[] {
  return packages.flatMap((p) => {
    const flavour = /^linux-(\w+)$/u.exec(p.name)?.[1];
    const number = /^(\d[\w.]*)-r(\d+)$/u.exec(p.version);
    if (flavour === undefined || number === null || p.source !== p.name) return [];
    const paths = [...(files.get(`${p.name}:${p.arch}`)?.keys() ?? [])];
    if (!paths.some((path) => /^\/boot\/vmlinuz-|\/lib\/modules\/[^/]+\/(?:kernel\/|modules\.)/u.test(path)))
      return [];
    return [
      {
        name: p.name,
        version: p.version,
        source: p.source,
        source_version: p.source_version,
        release: `${number[1] ?? ''}-${number[2] ?? ''}-${flavour}`,
      },
    ];
  });
}

function createApkFiles(root: string): PackageFiles {
  let read: {
    readonly stamp: string;
    readonly installed: ApkInstalled;
    readonly owners: Map<string, string>;
  } | null = null;
  const stamp = (): string => databasePaths.map((path) => stampOf(join(root, path))).join(' ');
  const load = () => {
    const now = stamp();
    if (read?.stamp !== now) {
      const installed = readDatabase(root);
      const owners = new Map<string, string>();
      for (const [key, paths] of installed.files) {
        for (const path of paths.keys()) owners.set(withoutUsr(path), key);
      }
      read = { stamp: now, installed, owners };
    }
    return read;
  };
  return {
    stamp,
    ownersOf(paths) {
      const { owners } = load();
      return Promise.resolve(new Map(paths.map((path) => [path, owners.get(withoutUsr(path)) ?? null])));
    },
    shippedBy(p): Promise<ShippedBy> {
      const own = load().installed.files.get(`${p.name}:${p.arch}`) ?? new Map<string, string>();
      const sums = new Map([...own].filter(([, digest]) => digest !== ''));
      // apk keeps the administrator's version of everything below its protected paths, of which /etc is the usual one.
      return Promise.resolve({
        sums,
        changeable: new Set([...own.keys()].filter((path) => path.startsWith('/etc/'))),
      });
    },
    diversions: () => Promise.resolve(new Map()),
    // apk keeps no log of versions.
    upgrades: () => [],
  };
}
