import type { TaskFailure } from '@fixpoint/core/task/states.ts';
import { withoutSecrets } from '../redact.ts';
import type { OrderedChanges, Simulated } from './executor.ts';
import type { OfferedFile } from './keeping.ts';

/** Pure readers of what apt-get and dpkg write under LC_ALL=C.UTF-8; held to recorded output. */

/**
 * Reads `apt-get -s`: `Inst NAME [FROM] (TO REPOSITORY [ARCH])`, `Remv NAME [VERSION]`. Names are written with `:ARCH` only
 * for architectures other than the host's own.
 */
export function parseSimulation(output: string): Simulated {
  const changed: Simulated['changed'][number][] = [];
  const removed: Simulated['removed'][number][] = [];
  for (const line of output.split('\n')) {
    const inst = /^Inst (\S+)(?: \[([^\]]+)\])? \((\S+) (?:.*\[([^\]]+)\])?/u.exec(line);
    if (inst?.[1] !== undefined && inst[3] !== undefined) {
      changed.push({ name: inst[1], arch: inst[4] ?? null, from: inst[2] ?? null, to: inst[3] });
    }
    const remv = /^(?:Remv|Purg) (\S+)(?: \[([^\]]+)\])?/u.exec(line);
    if (remv?.[1] !== undefined) removed.push({ name: remv[1], arch: null, version: remv[2] ?? null });
  }
  // With -s apt says neither how much it would fetch nor how much it would take.
  return { changed, removed, downloadBytes: null, diskBytes: null };
}

/**
 * Reads `apt-cache show`: by `name:arch`, what a repository's index says of the file. What only dpkg knows of has neither a
 * file name nor a digest there, and is left out.
 */
export function parseOffered(text: string): Map<string, OfferedFile & { readonly version: string }> {
  const offered = new Map<string, OfferedFile & { readonly version: string }>();
  for (const stanza of text.split(/\n\n+/u)) {
    const field = (label: string): string => new RegExp(`^${label}: *(\\S+)$`, 'mu').exec(stanza)?.[1] ?? '';
    const sha256 = field('SHA256').toLowerCase();
    const bytes = Number(field('Size'));
    if (!/^[0-9a-f]{64}$/u.test(sha256) || field('Filename') === '' || !Number.isSafeInteger(bytes)) continue;
    const key = `${field('Package')}:${field('Architecture')}`;
    const version = field('Version');
    const before = offered.get(key);
    offered.set(key, {
      version,
      sha256: [...new Set([...(before?.version === version ? before.sha256 : []), sha256])],
      bytes: Math.max(bytes, before?.version === version ? before.bytes : 0),
    });
  }
  return offered;
}

/** What apt would do beyond the order; null when nothing. */
export function differenceFromOrder(simulated: Simulated, changes: OrderedChanges): string | null {
  // What is written with its architecture is not the host's own: the name alone does not stand for it then.
  const written = [...simulated.changed, ...simulated.removed].flatMap(
    ({ name }) => name.split(':')[1] ?? [],
  );
  const foreign = new Set(written);
  const namesOf = (p: { readonly name: string; readonly arch: string }): string[] =>
    foreign.has(p.arch) ? [`${p.name}:${p.arch}`] : [p.name, `${p.name}:${p.arch}`];
  const wanted = new Map(
    [
      ...changes.packages,
      ...changes.added.map(({ name, arch, version }) => ({ name, arch, to: version })),
    ].flatMap((p) => namesOf(p).map((name) => [name, p.to] as const)),
  );
  const leaving = new Set(changes.removed.flatMap(namesOf));
  const problems = [
    ...simulated.removed
      .filter(({ name }) => !leaving.has(name))
      .map(({ name }) => `${name} would be removed`),
    ...simulated.changed.flatMap(({ name, from, to }) => {
      const version = wanted.get(name);
      if (version === undefined) {
        return [
          from === null ? `${name} ${to} would be newly installed` : `${name} would go from ${from} to ${to}`,
        ];
      }
      return version === to ? [] : [`${name} would go to ${to} instead of ${version}`];
    }),
  ];
  if (problems.length === 0) return null;
  const more = problems.length > 10 ? ` and ${String(problems.length - 10)} more` : '';
  return `${problems.slice(0, 10).join('; ')}${more}`;
}

/** First match wins: from the most telling to the most general. */
const signs: readonly (readonly [RegExp, TaskFailure])[] = [
  [
    /Could not get lock|Unable to (?:acquire|lock)|(?:frontend|database) lock was locked by another/u,
    'lock_held',
  ],
  [/No space left on device|enough free space in|Disk quota exceeded/u, 'disk_full'],
  [/Held packages were changed/u, 'plan_differs'],
  [/Hash Sum mismatch|File has unexpected size|Hashes of received file/u, 'hash_mismatch'],
  [
    /NO_PUBKEY|is not signed\.|BADSIG|EXPKEYSIG|REVKEYSIG|couldn't be verified|could not be authenticated/u,
    'signature_invalid',
  ],
  [
    /Version '.*' for '.*' was not found|Unable to locate package|has no installation candidate/u,
    'version_not_available',
  ],
  [
    /have unmet dependencies|held broken packages|dependency problems|pre-dependency problem/u,
    'dependency_conflict',
  ],
  [
    /maintainer script|(?:installation|removal|pre-|post-)\S* script subprocess|installed \S+ package .* script/u,
    'maintainer_script_failed',
  ],
  [
    /Could not (?:connect|resolve)|Unable to connect|Temporary failure resolving|Connection (?:refused|timed out|failed)|Network is unreachable|No route to host|40[37] {2}|50[234] {2}|Some index files failed/u,
    'repository_unreachable',
  ],
  // The words after it are the server's own.
  [/\b404 {2}\S/u, 'version_not_available'],
  [/Failed to fetch|Unable to fetch some archives|failed to download/u, 'download_failed'],
  [
    /dpkg was interrupted|Unmet dependencies|error processing|returned an error code|not fully installed/u,
    'package_manager_broken',
  ],
];

/** Why a command of the package manager failed, and the line that says so. */
export function classifyFailure(output: string): { readonly failure: TaskFailure; readonly line: string } {
  const lines = output.split('\n');
  for (const [sign, failure] of signs) {
    const matching = lines.filter((l) => sign.test(l));
    const line =
      matching.find((l) => /^[EW]: (?:Failed to fetch|GPG error|The repository)/u.test(l)) ?? matching[0];
    if (line !== undefined)
      return { failure, line: withoutSecrets(`${line.trim()}${beside(failure, line, lines)}`, []) };
  }
  const last =
    lines.findLast((l) => /^(?:E:|dpkg: error)/u.test(l)) ?? lines.findLast((l) => l.trim() !== '');
  return { failure: 'package_manager_broken', line: last?.trim() ?? 'it wrote nothing' };
}

/** What other lines add: which packages conflict, what a script said, which package could not be written. */
function beside(failure: TaskFailure, line: string, lines: readonly string[]): string {
  const at = lines.indexOf(line);
  if (failure === 'dependency_conflict') {
    const head = lines.findIndex((l) => /unmet dependencies:?|dependency problems prevent/u.test(l));
    const rest = head < 0 ? [] : lines.slice(head + 1);
    const end = rest.findIndex((l) => !l.startsWith(' '));
    const named = (end < 0 ? rest : rest.slice(0, end)).map((l) => l.trim()).slice(0, 5);
    return named.length === 0 ? '' : ` (${named.join('; ')})`;
  }
  if (failure === 'maintainer_script_failed') {
    const error = lines.findLastIndex((l, index) => index <= at && l.startsWith('dpkg: error processing'));
    const said = lines
      .slice(Math.max(0, error - 3), Math.max(0, error))
      .map((l) => l.trim())
      .filter(
        (l) =>
          l !== '' &&
          !/^(?:Setting up|Unpacking|Preparing to unpack|\(Reading database|Removing|Get:)/u.test(l),
      );
    return said.length === 0 ? '' : ` (it said: ${said.join(' ').slice(0, 300)})`;
  }
  if (failure === 'disk_full') {
    const archive = /^dpkg: error processing archive (\S+)/u.exec(lines[at - 1] ?? '')?.[1];
    return archive === undefined ? '' : ` (unpacking ${archive.replace(/^.*\//u, '')})`;
  }
  return '';
}

const outputMaximum = 16_000;

/** The end of an output as it may leave the host: bounded, and without what {@link withoutSecrets} takes out. */
export function reportableOutput(output: string, secrets: readonly string[]): string {
  const end = output.slice(-4 * outputMaximum);
  // A line that is cut may begin within a secret.
  const whole = end.length === output.length ? end : end.slice(end.indexOf('\n') + 1);
  const text = withoutSecrets(whole, secrets);
  return text.length > outputMaximum ? `…${text.slice(-outputMaximum)}` : text;
}
