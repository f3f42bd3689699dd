import type { TaskFailure } from '@fixpoint/core/task/states.ts';
import type { Judgement, OrderedChanges, Simulated } from './executor.ts';

/** Pure readers of what rpm, dnf, yum and zypper write under LC_ALL=C.UTF-8; held to recorded output. */

/**
 * rpm goes on after most scripts that fail, and dnf exits with 0: `warning: %post(acme-1.1-1.x86_64) scriptlet failed, exit
 * status 3`. Older ones: `Non-fatal POSTIN scriptlet failure in rpm package acme`.
 */
const scriptFailure =
  /(?:%\w+\(\S+\) scriptlet failed|Error in \w+ scriptlet in rpm package|Non-fatal \w+ scriptlet failure)/u;

/** First match wins: from the most telling to the most general. */
const signs: readonly (readonly [RegExp, TaskFailure])[] = [
  [
    /RPMDB already locked|lock already held by|Existing lock|holding the (?:yum|dnf) lock|can't create transaction lock|System management is locked|Failed to obtain rpm transaction lock/u,
    'lock_held',
  ],
  [
    /No space left on device|needs \S+ more space on|more space needed on|Curl error \(23\)|Can't hardlink\/copy|Disk quota exceeded/u,
    'disk_full',
  ],
  [scriptFailure, 'maintainer_script_failed'],
  // With --cacheonly dnf says of a package that is not there also that its checksum is wrong.
  [/Error opening \S+\.rpm: No such file/u, 'download_failed'],
  [
    /checksum doesn't match|incorrect checksum|[Dd]igest verification failed|has wrong checksum|digest: BAD|reported file Content-Length|Problem opening package|Package does not match intended download/u,
    'hash_mismatch',
  ],
  [
    /is not signed|GPG check FAILED|not correct for this package|Signature verification failed|GPG signature verification error|Signing key not found|[Pp]ublic key (?:for \S+ is )?not (?:installed|available)|GPG key retrieval failed|signed with unknown key/u,
    'signature_invalid',
  ],
  // What the owner has locked or excluded.
  [/remove lock to allow|filtered out by exclude filtering|versionlock/u, 'plan_differs'],
  [
    /No match for argument|No packages marked for|Package '.*' not found|Package &apos;.*&apos; not found|resolves to no package|No provider of|No package \S+ available|not found on medium|404 for \S+\.rpm\b/u,
    'version_not_available',
  ],
  [
    /^\s*(?:<description>)?Problem(?: \d+)?: |Transaction (?:check|test) error|nothing provides|is needed by|conflicts (?:with|between)|Error: Package: |Depsolve/mu,
    'dependency_conflict',
  ],
  [
    /Couldn't (?:connect|resolve)|Could not resolve|Connection (?:failed|refused|timed out)|Failed to connect|Timeout (?:exceeded|was reached)|Failed to download metadata|[Cc]annot (?:download|retrieve|find a valid baseurl).*(?:repomd|metalink|mirrorlist|repo:)|no cache for|Cache-only enabled|Valid metadata not found|Could not refresh|Status code: (?:40[137]|5\d\d)|Permission to access/u,
    'repository_unreachable',
  ],
  [
    /Error downloading packages|Cannot download|Failed to provide Package|Can't provide file|No more mirrors to try/u,
    'download_failed',
  ],
];

/** Why a command failed, and the line that says so. */
export function classifyRpmFailure(output: string): {
  readonly failure: TaskFailure;
  readonly line: string;
} {
  const lines = output.split('\n');
  for (const [sign, failure] of signs) {
    const line = lines.find((l) => sign.test(l));
    if (line !== undefined) return { failure, line: plain(line) };
  }
  const last = lines.findLast((l) => /^(?:error|Error|Failed)\b/u.test(l) && !/^Error: ?$/u.test(l));
  const any = last ?? lines.findLast((l) => l.trim() !== '');
  return {
    failure: 'package_manager_broken',
    line: any === undefined ? 'it wrote nothing' : plain(any),
  };
}

/** The scripts that failed in a transaction which went on; null when none did. */
export function failedScripts(output: string): string | null {
  const lines = output.split('\n').filter((line) => scriptFailure.test(line));
  return lines.length === 0 ? null : [...new Set(lines.map(plain))].slice(0, 5).join('; ');
}

/** Without XML around it. */
function plain(line: string): string {
  return line
    .replaceAll(/<[^>]*>/gu, ' ')
    .replaceAll('&apos;', "'")
    .replaceAll('&quot;', '"')
    .replaceAll('&lt;', '<')
    .replaceAll('&gt;', '>')
    .replaceAll('&amp;', '&')
    .trim();
}

/**
 * What a transaction would do beyond the order; null when nothing. Held by architecture as well: hosts of rpm have libraries of
 * two architectures beside each other.
 */
export function differenceOfRpm(simulated: Simulated, changes: OrderedChanges): string | null {
  const wanted = new Map<string, string>([
    ...changes.packages.map((p) => [`${p.name}.${p.arch}`, p.to] as const),
    ...changes.added.map((p) => [`${p.name}.${p.arch}`, p.version] as const),
  ]);
  const leaving = new Set<string>(changes.removed.map((p) => `${p.name}.${p.arch}`));
  const problems = [
    ...simulated.removed
      .map(({ name, arch }) => `${name}.${String(arch)}`)
      .filter((key) => !leaving.has(key))
      .map((key) => `${key} would be removed`),
    ...simulated.changed.flatMap(({ name, arch, from, to }) => {
      const key = `${name}.${String(arch)}`;
      const version = wanted.get(key);
      if (version === undefined) {
        return [
          from === null ? `${key} ${to} would be newly installed` : `${key} would go from ${from} to ${to}`,
        ];
      }
      return version === to ? [] : [`${key} would go to ${to} instead of ${version}`];
    }),
  ];
  if (problems.length === 0) return null;
  const more = problems.length > 10 ? ` and ${String(problems.length - 10)} more` : '';
  return `${problems.slice(0, 10).join('; ')}${more}`;
}

export function failed(failure: TaskFailure, message: string): Judgement {
  return { ok: false, failure, message: message.slice(0, 1_500) };
}
