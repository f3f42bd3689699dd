import {
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import {
  isDistributionIndex,
  originsOfDebs,
  type DebEvidence,
  type DebHost,
  type DebIndex,
} from '@fixpoint/core/inventory/deb-origin.ts';
import type { DpkgStatus } from '@fixpoint/core/inventory/dpkg-status.ts';
import type { PackageOrigin } from '@fixpoint/core/inventory/origin.ts';
import { compareVersions } from '@fixpoint/core/version/version.ts';
import { now } from '../clock.ts';
import { cacheFolder, hash } from '../knowledge/local.ts';
import { codeOf, note } from '../output/stream.ts';
import { listInRoot, readInRoot, resolveInRoot } from './root.ts';

/**
 * Who built each package of a dpkg root: the evidence for core/src/inventory/deb-origin.ts, from the package lists that the
 * root's apt has downloaded, else from versions and maintainers alone. Lists hold some fifty megabytes, so what is concluded is
 * kept in the user's cache under the state of lists and dpkg status, and the next scan of the same root reads a few bytes.
 *
 * Two builds under one version are told apart by their installed size, which both dpkg and the lists give.
 */

const listsFolder = '/var/lib/apt/lists';
const declaredOrigins = '/etc/fixpoint-agent/distribution-origins';
const dpkgStatus = '/var/lib/dpkg/status';
/** What is kept was concluded by these rules. */
const rules = join(import.meta.dirname, '../../../core/src/inventory/deb-origin.ts');
/** Counts up with every change to what is given to the rules as evidence. */
const evidenceEdition = 2;

/** What os-release(5) of the root tells. */
export type DebSystem = Pick<DebHost, 'os'> & { readonly codename: string };

/** Answers in the order of `packages`; only slow processes read lists, so it may refuse by throwing. */
export type ReadLists = (
  root: string,
  system: DebSystem,
  status: DpkgStatus,
  text: string,
) => PackageOrigin[] | null;

/** Answers in the order of `packages`. */
export function debOrigins(
  root: string,
  system: DebSystem,
  status: DpkgStatus,
  text: string,
  read: ReadLists,
): readonly PackageOrigin[] {
  const names = listInRoot(root, listsFolder);
  const hasLists = names.some((name) => /_Packages(?:\.\w+)?$/u.test(name));
  const conclude = (): PackageOrigin[] =>
    (hasLists ? read(root, system, status, text) : null) ?? originsByMarks(system.os, status);
  const dpkg = resolveInRoot(root, dpkgStatus);
  // A distroless image has its packages in many files, and is small.
  if (dpkg === null || !existsSync(dpkg)) return conclude();
  const lists = names.filter((name) => /_(?:Packages(?:\.\w+)?|InRelease|Release)$/u.test(name));
  const paths = [...lists.map((name) => `${listsFolder}/${name}`), declaredOrigins].map((path) =>
    resolveInRoot(root, path),
  );
  const state = [dpkg, rules, ...paths].map((path) => {
    const stat = path === null ? undefined : statSync(path, { throwIfNoEntry: false });
    return stat === undefined
      ? ''
      : `${path ?? ''} ${String(stat.size)} ${String(stat.mtimeMs)} ${String(stat.dev)} ${String(stat.ino)}`;
  });
  const folder = join(cacheFolder(), 'origins');
  const subject = [evidenceEdition, system.os, system.codename, status.packages.length].join(' ');
  const file = join(folder, hash([subject, ...state].join('\n')));
  const kept = readKept(file, status.packages.length);
  if (kept !== null) return kept;
  const origins = conclude();
  keep(folder, file, origins);
  return origins;
}

function originsByMarks(os: string, { packages, maintainers }: DpkgStatus): PackageOrigin[] {
  return originsOfDebs(
    packages.map((p) => ({
      version: p.version,
      source: p.source,
      maintainer: maintainers.get(`${p.name}:${p.arch}`) ?? '',
      offeredBy: [],
      isOtherBuildOffered: false,
      distributionMaintainers: [],
      maintainersOfSource: [],
    })),
    { os, hasDistributionIndex: false, hasMainArchive: false, declaredOrigins: [] },
  );
}

/** Null when there is none. Only what the distribution did not build is written down. */
function readKept(file: string, count: number): PackageOrigin[] | null {
  try {
    const value: unknown = JSON.parse(readFileSync(file, 'utf8'));
    if (!Array.isArray(value)) return null;
    const origins = Array.from({ length: count }, (): PackageOrigin => ({ origin: 'distribution' }));
    for (const entry of value as readonly unknown[]) {
      if (!Array.isArray(entry)) return null;
      const [at, origin, vendor] = entry as readonly unknown[];
      if (typeof at !== 'number' || !(typeof vendor === 'string' || vendor === null)) return null;
      if (origin !== 'third_party' && origin !== 'unknown') return null;
      origins[at] = { origin, vendor };
    }
    return origins;
  } catch {
    return null;
  }
}

const keptForDays = 7;

function keep(folder: string, file: string, origins: readonly PackageOrigin[]): void {
  const value = origins.flatMap((one, i) =>
    one.origin === 'distribution' ? [] : [[i, one.origin, one.vendor]],
  );
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    const apart = `${file}.${String(process.pid)}`;
    writeFileSync(apart, JSON.stringify(value));
    renameSync(apart, file);
    for (const name of readdirSync(folder)) {
      const { mtimeMs } = statSync(join(folder, name));
      if ((now().getTime() - mtimeMs) / 86_400_000 > keptForDays) rmSync(join(folder, name), { force: true });
    }
  } catch (error) {
    if (codeOf(error) === '') throw error;
  }
}

/** As much of a stanza of a list as is evidence. */
interface Offer {
  readonly index: DebIndex;
  readonly arch: string;
  readonly version: string;
  readonly size: string;
  readonly maintainer: string;
}

/** Reads the lists themselves: seconds for a whole distribution. Null when one of them cannot be read. */
export function readLists(
  root: string,
  system: DebSystem,
  status: DpkgStatus,
  text: string,
  runTool: RunTool,
): PackageOrigin[] | null {
  const { packages, maintainers } = status;
  const wanted = new Set(packages.flatMap((p) => [p.name, p.source]));
  const offers = new Map<string, Offer[]>();
  const names = listInRoot(root, listsFolder);
  const indexes: DebIndex[] = [];
  for (const name of names) {
    if (!/_Packages(?:\.\w+)?$/u.test(name)) continue;
    const real = resolveInRoot(root, `${listsFolder}/${name}`);
    const list = real === null ? null : readList(real, runTool);
    if (list === null) {
      note(
        `note: the package list ${name} cannot be read here, so who built a package is told by its version and maintainer alone`,
      );
      return null;
    }
    const index = indexOf(root, name, names);
    indexes.push(index);
    addOffers(list, index, wanted, offers);
  }
  const declared = (readInRoot(root, declaredOrigins) ?? '')
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('#'));
  const isOfDistribution = (index: DebIndex): boolean =>
    isDistributionIndex({ ...system, declaredOrigins: declared }, index);
  const sizes = installedSizes(text);
  const ownOffers = (name: string): Offer[] =>
    (offers.get(name) ?? []).filter((o) => isOfDistribution(o.index));
  const ownMaintainers = (name: string): string[] => [...new Set(ownOffers(name).map((o) => o.maintainer))];
  const evidence = packages.map((p): DebEvidence => {
    const key = `${p.name}:${p.arch}`;
    const size = sizes.get(key) ?? '';
    const sameVersion = (offers.get(p.name) ?? []).filter(
      (o) => o.version === p.version && o.arch === p.arch,
    );
    const isSame = (o: Offer): boolean => o.size === '' || size === '' || o.size === size;
    const own = ownMaintainers(p.name);
    const fits = (o: Offer): boolean => o.arch === p.arch || o.arch === 'all' || p.arch === 'all';
    const rivals = ownOffers(p.name).filter(fits);
    return {
      version: p.version,
      source: p.source,
      maintainer: maintainers.get(key) ?? '',
      offeredBy: sameVersion.filter(isSame).map((o) => o.index),
      isOtherBuildOffered: sameVersion.some((o) => !isSame(o) && isOfDistribution(o.index)),
      isNewerThanOffered:
        rivals.length > 0 && rivals.every((o) => compareVersions('dpkg', p.version, o.version) === 'greater'),
      distributionMaintainers: own,
      maintainersOfSource: own.length === 0 ? ownMaintainers(p.source) : [],
    };
  });
  return originsOfDebs(evidence, {
    ...system,
    hasDistributionIndex: indexes.some(isOfDistribution),
    // It is in every installation and in every main archive, and seldom in any other.
    hasMainArchive: ownOffers('base-files').length > 0,
    declaredOrigins: declared,
  });
}

type RunTool = typeof import('../run-command.ts').runTool;

const decompressors: Readonly<Record<string, readonly (readonly [string, ...string[]])[]>> = {
  lz4: [
    ['/usr/lib/apt/apt-helper', 'cat-file'],
    ['lz4', '-dc'],
  ],
  xz: [
    ['/usr/lib/apt/apt-helper', 'cat-file'],
    ['xz', '-dc'],
  ],
  bz2: [
    ['/usr/lib/apt/apt-helper', 'cat-file'],
    ['bzip2', '-dc'],
  ],
};

function readList(path: string, runTool: RunTool): string | null {
  const extension = /_Packages\.(\w+)$/u.exec(path)?.[1];
  if (extension === undefined) return readFileSync(path, 'utf8');
  const zlib = process.getBuiltinModule('node:zlib');
  if (extension === 'gz') return zlib.gunzipSync(readFileSync(path)).toString('utf8');
  if (extension === 'zst') return zlib.zstdDecompressSync(readFileSync(path)).toString('utf8');
  for (const [program, ...options] of decompressors[extension] ?? []) {
    const answer = runTool(program, [...options, path], 60);
    if (answer.failure === null && answer.exitCode === 0) return answer.stdout;
  }
  return null;
}

/** By the Release file whose name the list's name goes on from: `HOST_PATH_dists_SUITE_` and what follows. */
function indexOf(root: string, list: string, names: readonly string[]): DebIndex {
  const [release] = names
    .filter((name) => /_(?:In)?Release$/u.test(name) && list.startsWith(name.replace(/(?:In)?Release$/u, '')))
    .sort((a, b) => b.length - a.length);
  const text = release === undefined ? '' : (readInRoot(root, `${listsFolder}/${release}`) ?? '');
  const field = (name: string): string => new RegExp(`^${name}: *(.*)$`, 'mu').exec(text)?.[1]?.trim() ?? '';
  return {
    origin: field('Origin'),
    label: field('Label'),
    site: list.split('_')[0] ?? '',
    codename: field('Codename'),
  };
}

function addOffers(
  list: string,
  index: DebIndex,
  wanted: ReadonlySet<string>,
  offers: Map<string, Offer[]>,
): void {
  for (let start = 0; start < list.length;) {
    const next = list.indexOf('\n\n', start);
    const end = next < 0 ? list.length : next;
    if (list.startsWith('Package: ', start)) {
      const name = list.slice(start + 9, list.indexOf('\n', start)).trim();
      if (wanted.has(name)) {
        const stanza = list.slice(start, end);
        const field = (key: string): string =>
          new RegExp(`^${key}: *(.*)$`, 'mu').exec(stanza)?.[1]?.trim() ?? '';
        const offer: Offer = {
          index,
          arch: field('Architecture'),
          version: field('Version'),
          size: field('Installed-Size'),
          maintainer: field('Maintainer'),
        };
        const known = offers.get(name);
        if (known === undefined) offers.set(name, [offer]);
        else known.push(offer);
      }
    }
    start = end + 2;
  }
}

/** `name:arch` → Installed-Size of the dpkg status. */
function installedSizes(text: string): Map<string, string> {
  const sizes = new Map<string, string>();
  for (const stanza of text.split('\n\n')) {
    const field = (key: string): string =>
      new RegExp(`^${key}: *(.*)$`, 'mu').exec(stanza)?.[1]?.trim() ?? '';
    sizes.set(`${field('Package')}:${field('Architecture')}`, field('Installed-Size'));
  }
  return sizes;
}
