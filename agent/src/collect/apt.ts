import { compareText } from '@fixpoint/core/knowledge/compare-text.ts';
import type { DebIndex } from '@fixpoint/core/inventory/deb-origin.ts';
import { unmetDependencies } from '@fixpoint/core/inventory/deb-depends.ts';
import { parseSourceField } from '@fixpoint/core/inventory/dpkg-status.ts';
import type { Candidate, InstalledPackage } from '@fixpoint/core/inventory/inventory.ts';
import { compareVersions } from '@fixpoint/core/version/version.ts';
import { AgentFailure } from '../failure.ts';
import { runCommand, type CommandResult } from '../run-command.ts';

/** What apt knows of the repositories configured on this host. Reads apt's lists only: no network. */

/** One line of a version table, with where that version can come from. */
export interface AptVersion {
  readonly version: string;
  readonly isInstalled: boolean;
  readonly priority: number;
  /** As apt describes its indexes: `http://host/debian bookworm/main amd64 Packages`. Empty when only dpkg's status has it. */
  readonly indexes: readonly string[];
}

/** One block of `apt-cache policy`. */
export interface AptPolicy {
  readonly name: string;
  /** null for the host's own architecture, which apt does not write. */
  readonly arch: string | null;
  readonly installed: string | null;
  readonly candidate: string | null;
  /** In apt's order. Two builds of the same version are two entries. */
  readonly versions: readonly AptVersion[];
}

/** Parses the output of `apt-cache policy NAME…` (LC_ALL=C). */
export function parseAptPolicy(text: string): AptPolicy[] {
  const policies: AptPolicy[] = [];
  for (const block of text.split(/\n(?=\S)/u)) {
    const lines = block.split('\n');
    const header = /^([a-z0-9][a-z0-9+.-]*)(?::([a-z0-9-]+))?:$/u.exec(lines[0] ?? '');
    const name = header?.[1];
    if (name === undefined) continue;
    policies.push({
      name,
      arch: header?.[2] ?? null,
      installed: versionAfter(lines, '  Installed: '),
      candidate: versionAfter(lines, '  Candidate: '),
      versions: versionTable(lines),
    });
  }
  return policies;
}

function versionAfter(lines: readonly string[], label: string): string | null {
  const value =
    lines
      .find((line) => line.startsWith(label))
      ?.slice(label.length)
      .trim() ?? '(none)';
  return value === '(none)' || value === '' ? null : value;
}

/** ` *** VERSION PRIORITY` or `     VERSION PRIORITY`, then where from, further in. */
function versionTable(lines: readonly string[]): AptVersion[] {
  const versions: (AptVersion & { indexes: string[] })[] = [];
  for (const line of lines) {
    const entry = /^ (\*\*\*|   ) (\S+) (-?\d+)$/u.exec(line);
    if (entry?.[2] !== undefined) {
      versions.push({
        version: entry[2],
        isInstalled: entry[1] === '***',
        priority: Number(entry[3]),
        indexes: [],
      });
      continue;
    }
    const index = /^\s+-?\d+ (.* Packages)$/u.exec(line)?.[1];
    if (index !== undefined) versions.at(-1)?.indexes.push(index);
  }
  return versions;
}

/** `bookworm-security/main` of `http://host/debian-security bookworm-security/main amd64 Packages`. */
export function repositoryOf(index: string): string {
  return /^\S+ (\S+) (?:\S+ )?Packages$/u.exec(index)?.[1] ?? index.slice(0, 256);
}

/** Index as apt describes it → what its Release file says. */
export type AptIndexes = ReadonlyMap<string, DebIndex>;

/** Parses the output of `apt-get indextargets`: a stanza for each index, of which those of binary packages count. */
export function parseIndexTargets(text: string): Map<string, DebIndex> {
  const indexes = new Map<string, DebIndex>();
  for (const stanza of text.split(/\n\n+/u)) {
    const field = (label: string): string =>
      new RegExp(`^${label}: *(.*)$`, 'mu').exec(stanza)?.[1]?.trim() ?? '';
    const description = field('Description');
    if (field('Created-By') !== 'Packages' || description === '') continue;
    const site = /^[a-z+]+:\/\/(?:[^/@]*@)?([^/:]+)/u.exec(field('Site'))?.[1] ?? '';
    indexes.set(description, {
      origin: field('Origin'),
      label: field('Label'),
      site,
      codename: field('Codename'),
    });
  }
  return indexes;
}

export interface AptRecord {
  readonly name: string;
  readonly arch: string;
  readonly version: string;
  readonly source: string;
  readonly source_version: string;
  readonly maintainer: string;
  readonly download_bytes: number;
  /** Values of Depends and Pre-Depends. */
  readonly depends: readonly string[];
}

/** Parses the output of `apt-cache show NAME=VERSION…`. */
export function parseAptRecords(text: string): AptRecord[] {
  return text.split(/\n\n+/u).flatMap((stanza) => {
    const field = (label: string): string =>
      new RegExp(`^${label}: *(.*)$`, 'mu').exec(stanza)?.[1]?.trim() ?? '';
    const name = field('Package');
    const version = field('Version');
    if (name === '' || version === '') return [];
    const size = Number(field('Size'));
    return [
      {
        name,
        arch: field('Architecture'),
        version,
        ...parseSourceField(field('Source'), name, version),
        maintainer: field('Maintainer'),
        download_bytes: Number.isSafeInteger(size) && size >= 0 ? size : 0,
        depends: [field('Depends'), field('Pre-Depends')].filter((value) => value !== ''),
      },
    ];
  });
}

export interface Newer {
  readonly installed: InstalledPackage;
  readonly version: string;
  readonly repository: string;
}

/**
 * What is newer than what is installed, by Debian's order: what apt would install. In place of what the distribution built,
 * only what it built too: another's version of the same name is no fix by the distribution's data. Pure.
 */
export function upgradable(
  policies: readonly AptPolicy[],
  installed: readonly InstalledPackage[],
  nativeArch: string,
  isOfDistribution: (index: string) => boolean = () => true,
): Newer[] {
  const byKey = new Map(installed.map((p) => [`${p.name}:${p.arch}`, p]));
  return policies.flatMap((policy) => {
    const { name, arch, candidate, versions } = policy;
    const p = byKey.get(`${name}:${arch ?? nativeArch}`) ?? byKey.get(`${name}:all`);
    if (p === undefined || candidate === null) return [];
    const mayReplace = (one: AptVersion): boolean =>
      one.indexes.length > 0 &&
      compareVersions('dpkg', one.version, p.version) === 'greater' &&
      (p.origin !== undefined || one.indexes.some(isOfDistribution));
    const choices = versions.filter(mayReplace);
    let best = choices.find((one) => one.version === candidate);
    if (best === undefined) {
      // Apt would take another's, or holds back: where it would take another's, the distribution's newest is left.
      const wanted = versions.find((one) => one.version === candidate);
      if (wanted === undefined || wanted.isInstalled || p.origin !== undefined) return [];
      if (wanted.indexes.some(isOfDistribution)) return [];
      best = choices.find((one) => one.priority >= 0);
    }
    if (best === undefined) return [];
    const index = best.indexes.find((one) => p.origin !== undefined || isOfDistribution(one));
    return [
      { installed: p, version: best.version, repository: repositoryOf(index ?? best.indexes[0] ?? '') },
    ];
  });
}

const namesInOneCommand = 2_000;

/** `apt-cache policy` of these names, in one process for a usual host; null on a host without apt. */
export async function readPolicies(names: readonly string[]): Promise<AptPolicy[] | null> {
  const policies: AptPolicy[] = [];
  for (const chunk of chunks(names)) {
    const answer = await runCommand(['apt-cache', 'policy', ...chunk], { timeoutSeconds: 120 });
    if (!answer.ok && answer.code === 'command_missing') return null;
    policies.push(...parseAptPolicy(textOf(answer)));
  }
  return policies;
}

/** What the indexes say of these, each `NAME[:ARCH]=VERSION`. */
export async function readRecords(references: readonly string[]): Promise<AptRecord[]> {
  const records: AptRecord[] = [];
  for (const chunk of chunks(references)) {
    const answer = await runCommand(['apt-cache', 'show', ...chunk], { timeoutSeconds: 120 });
    records.push(...parseAptRecords(textOf(answer)));
  }
  return records;
}

/** The indexes that apt reads on this host; null on a host without apt. */
export async function readIndexes(): Promise<AptIndexes | null> {
  const answer = await runCommand(['apt-get', 'indextargets', 'Created-By: Packages'], {
    timeoutSeconds: 60,
  });
  if (!answer.ok && answer.code === 'command_missing') return null;
  return parseIndexTargets(textOf(answer));
}

/** At most so many are told, as the contract has it. */
const mostRequirements = 200;

function requirementsOf(
  record: AptRecord,
  versions: ReadonlyMap<string, string>,
): Pick<Candidate, 'requires'> {
  const requires = unmetDependencies(record.depends, versions).filter((text) => text.length <= 1024);
  return requires.length === 0 ? {} : { requires: requires.slice(0, mostRequirements) };
}

/** The candidates for what is newer, with what their records say. Asks apt for the records that are not known yet. */
export async function describeCandidates(
  newer: readonly Newer[],
  nativeArch: string,
  installed: readonly InstalledPackage[],
  known: readonly AptRecord[] = [],
): Promise<Candidate[]> {
  const versions = new Map(installed.map((p) => [p.name, p.version]));
  const records = new Map<string, AptRecord>();
  const add = (record: AptRecord): void => {
    records.set(`${record.name}:${record.arch}=${record.version}`, record);
    if (record.arch === 'all') records.set(`${record.name}:${nativeArch}=${record.version}`, record);
  };
  const recordOf = ({ installed: p, version }: Newer): AptRecord | undefined =>
    records.get(`${p.name}:${p.arch}=${version}`) ?? records.get(`${p.name}:${nativeArch}=${version}`);
  for (const record of known) add(record);
  const missing = newer.filter((one) => recordOf(one) === undefined);
  for (const record of await readRecords(
    missing.map((one) => reference(one.installed, one.version, nativeArch)),
  ))
    add(record);
  return newer
    .flatMap((one) => {
      const record = recordOf(one);
      // Lists that changed between the two commands: the next collection will see them.
      if (record === undefined) return [];
      return [
        {
          name: one.installed.name,
          arch: one.installed.arch,
          version: one.version,
          source: record.source,
          source_version: record.source_version,
          repository: one.repository,
          download_bytes: record.download_bytes,
          ...requirementsOf(record, versions),
        },
      ];
    })
    .sort((a, b) => compareText(a.name, b.name) || compareText(a.arch, b.arch));
}

/** How apt takes a name and version on its command line. */
export function reference(
  p: { readonly name: string; readonly arch: string },
  version: string,
  nativeArch: string,
): string {
  return `${p.name}:${p.arch === 'all' ? nativeArch : p.arch}=${version}`;
}

function textOf(answer: CommandResult): string {
  // `apt-cache` exits with 100 when it knows none of the names; what it does know is in the output all the same.
  if (answer.ok || (answer.code === 'command_failed' && answer.exitCode === 100)) return answer.stdout;
  throw new AgentFailure(
    'apt_unreadable',
    `apt's lists cannot be read: ${answer.message}`,
    'Run `apt-cache policy` on the host and repair what it names.',
  );
}

function chunks(names: readonly string[]): string[][] {
  const result: string[][] = [];
  for (let i = 0; i < names.length; i += namesInOneCommand)
    result.push(names.slice(i, i + namesInOneCommand));
  return result;
}
