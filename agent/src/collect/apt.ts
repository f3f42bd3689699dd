import { parseSourceField } from '@fixpoint/core/inventory/dpkg-status.ts';
import type { Candidate, InstalledPackage } from '@fixpoint/core/inventory/inventory.ts';
import { compareVersions } from '@fixpoint/core/version/version.ts';
import { AgentFailure } from '../failure.ts';
import { runCommand, type CommandResult } from '../run-command.ts';

/** Newer versions that apt would install from the repositories configured on this host. Reads apt's lists only: no network. */

/** One block of `apt-cache policy`. */
export interface AptPolicy {
  readonly name: string;
  /** null for the host's own architecture, which apt does not write. */
  readonly arch: string | null;
  readonly installed: string | null;
  readonly candidate: string | null;
  /** Where the candidate comes from: `bookworm-security/main`; null when only from this host's own dpkg status. */
  readonly repository: string | null;
}

/** Parses the output of `apt-cache policy NAME…` (LC_ALL=C). */
export function parseAptPolicy(text: string): AptPolicy[] {
  const policies: AptPolicy[] = [];
  for (const block of text.split(/\n(?=\S)/u)) {
    const lines = block.split('\n');
    const header = /^([a-z0-9][a-z0-9+.-]*)(?::([a-z0-9-]+))?:$/u.exec(lines[0] ?? '');
    const name = header?.[1];
    if (name === undefined) continue;
    const candidate = versionAfter(lines, '  Candidate: ');
    policies.push({
      name,
      arch: header?.[2] ?? null,
      installed: versionAfter(lines, '  Installed: '),
      candidate,
      repository: candidate === null ? null : repositoryOf(lines, candidate),
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

/** In the version table: ` *** VERSION PRIORITY` or `     VERSION PRIORITY`, then where from, further in. */
function repositoryOf(lines: readonly string[], version: string): string | null {
  let inVersion = false;
  for (const line of lines) {
    const entry = /^ (?:\*\*\*|   ) (\S+) -?\d+$/u.exec(line);
    if (entry !== null) {
      if (inVersion) return null;
      inVersion = entry[1] === version;
    } else if (inVersion) {
      const source = /^\s+-?\d+ (?:\S+:\S+) (\S+) \S+ Packages$/u.exec(line);
      if (source?.[1] !== undefined) return source[1];
    }
  }
  return null;
}

export interface AptRecord {
  readonly name: string;
  readonly arch: string;
  readonly version: string;
  readonly source: string;
  readonly source_version: string;
  readonly download_bytes: number;
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
        download_bytes: Number.isSafeInteger(size) && size >= 0 ? size : 0,
      },
    ];
  });
}

/** What is newer than what is installed, by Debian's order. Pure. */
export function upgradable(
  policies: readonly AptPolicy[],
  installed: readonly InstalledPackage[],
  nativeArch: string,
): { readonly installed: InstalledPackage; readonly version: string; readonly repository: string }[] {
  const byKey = new Map(installed.map((p) => [`${p.name}:${p.arch}`, p]));
  return policies.flatMap(({ name, arch, candidate, repository }) => {
    const p = byKey.get(`${name}:${arch ?? nativeArch}`) ?? byKey.get(`${name}:all`);
    if (p === undefined || candidate === null || repository === null) return [];
    return compareVersions('dpkg', candidate, p.version) === 'greater'
      ? [{ installed: p, version: candidate, repository }]
      : [];
  });
}

const namesInOneCommand = 2_000;

/** Asks apt, in one or two processes for a usual host. A host without apt has no candidates. */
export async function collectCandidates(
  installed: readonly InstalledPackage[],
  nativeArch: string,
): Promise<Candidate[]> {
  const policies: AptPolicy[] = [];
  const names = installed.map((p) => (p.arch === 'all' ? p.name : `${p.name}:${p.arch}`));
  for (const chunk of chunks(names)) {
    const answer = await runCommand(['apt-cache', 'policy', ...chunk], { timeoutSeconds: 120 });
    if (!answer.ok && answer.code === 'command_missing') return [];
    policies.push(...parseAptPolicy(textOf(answer)));
  }
  const newer = upgradable(policies, installed, nativeArch);
  const records = new Map<string, AptRecord>();
  for (const chunk of chunks(newer.map((n) => `${n.installed.name}:${archFor(n.installed)}=${n.version}`))) {
    const answer = await runCommand(['apt-cache', 'show', ...chunk], { timeoutSeconds: 120 });
    for (const record of parseAptRecords(textOf(answer))) {
      records.set(`${record.name}:${record.arch}=${record.version}`, record);
      if (record.arch === 'all') records.set(`${record.name}:${nativeArch}=${record.version}`, record);
    }
  }
  return newer
    .flatMap(({ installed: p, version, repository }) => {
      const record =
        records.get(`${p.name}:${p.arch}=${version}`) ?? records.get(`${p.name}:${nativeArch}=${version}`);
      // Lists that changed between the two commands: the next collection will see them.
      if (record === undefined) return [];
      return [
        {
          name: p.name,
          arch: p.arch,
          version,
          source: record.source,
          source_version: record.source_version,
          repository,
          download_bytes: record.download_bytes,
        },
      ];
    })
    .sort((a, b) => compareText(a.name, b.name) || compareText(a.arch, b.arch));

  function archFor(p: InstalledPackage): string {
    return p.arch === 'all' ? nativeArch : p.arch;
  }
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

/** Order by code unit: the same on every host, whatever its locale. */
export function compareText(a: string, b: string): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}
