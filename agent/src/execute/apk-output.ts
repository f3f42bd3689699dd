import type { TaskFailure } from '@fixpoint/core/task/states.ts';
import type { ExecutorStep, Judgement, OrderedChanges, Simulated } from './executor.ts';
import { judgeBySigns } from './judge-by-signs.ts';

/** Pure readers of what apk writes, as published with apk-tools and in reports about it; see recorded/README.md. */

/**
 * Reads `(1/2) Upgrading NAME[@TAG] (OLD -> NEW)`, `Installing NAME (NEW)`, `Purging NAME (OLD)`; also `Downgrading`, `Replacing` (another
 * build of the same version) and `Reinstalling`.
 */
export function parseApkSimulation(output: string): Simulated {
  const changed: Simulated['changed'][number][] = [];
  const removed: Simulated['removed'][number][] = [];
  for (const line of output.split('\n')) {
    const [, what, name, first, second] =
      /^\(\d+\/\d+\) (?:\[APK unavailable, skipped\] )?(\w+) ([^\s@]+)(?:@\S+)? \((\S+)(?: -> (\S+))?\)/u.exec(
        line,
      ) ?? [];
    if (what === undefined || name === undefined || first === undefined) continue;
    if (what === 'Purging') removed.push({ name, arch: null, version: first });
    else if (what === 'Installing') changed.push({ name, arch: null, from: null, to: first });
    else changed.push({ name, arch: null, from: first, to: second ?? first });
  }
  return { changed, removed, downloadBytes: null, diskBytes: null };
}

/** Packages of lib/apk/db/installed whose `f:` says that files (`f`), scripts (`s`) or attributes (`x`) are broken; `name:arch`. */
export function parseUnfinished(text: string): ReadonlySet<string> {
  return new Set(
    text.split(/\n\n+/u).flatMap((stanza) => {
      const field = (label: string): string => new RegExp(`^${label}:(.*)$`, 'mu').exec(stanza)?.[1] ?? '';
      return /[fsxS]/u.test(field('f')) ? [`${field('P')}:${field('A')}`] : [];
    }),
  );
}

const signs: readonly (readonly [RegExp, TaskFailure])[] = [
  [/Unable to lock database: (?:Resource )?tempor/u, 'lock_held'],
  [/No space left on device|Disk quota exceeded/u, 'disk_full'],
  [/script exited with error|: script terminated/u, 'maintainer_script_failed'],
  [/UNTRUSTED signature|BAD signature|v2 package integrity error: untrusted/u, 'signature_invalid'],
  [/BAD archive|package integrity error|checksum mismatch|IO ERROR|hash mismatch/u, 'hash_mismatch'],
  [/package mentioned in index not found|no such package/u, 'version_not_available'],
  [/unable to select packages|unsatisfiable constraints|trying to overwrite/u, 'dependency_conflict'],
  [
    /temporary error \(try again later\)|network error|could not connect|DNS lookup error|Connection refused|remote server returned error|Host is unreachable|updating and opening/u,
    'repository_unreachable',
  ],
  [/Unable to read database|Failed to open apk database|database format error/u, 'package_manager_broken'],
];

export function judgeApk(
  step: ExecutorStep,
  exitCode: number,
  output: string,
  changes: OrderedChanges,
): Judgement {
  // A script that fails counts as an error, and is also only a warning of some versions.
  const failedScript = /script exited with error/u;
  return judgeBySigns(
    { failures: signs, failedScript, simulated: parseApkSimulation },
    step,
    exitCode,
    output,
    changes,
  );
}
