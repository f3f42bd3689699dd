import { mkdirSync, readdirSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { TaskFailure } from '@fixpoint/core/task/states.ts';
import { AgentFailure, codeOf } from '../failure.ts';
import { runCommand } from '../run-command.ts';
import type { Executor, ExecutorStep, Judgement, OrderedChanges, Simulated } from './executor.ts';
import { judgeBySigns } from './judge-by-signs.ts';
import { proxyEnvironment } from './proxy-environment.ts';

/**
 * Reaches the ordered versions with pacman, built to pacman(8) and never run by us. Arch supports only upgrades as a whole: an
 * order for some packages is carried out when pacman finds nothing else to change, and refused otherwise. There is no
 * inventory of pacman's hosts yet, so no order reaches this.
 */

/** A lock that is left behind by a pacman that is gone is taken away; one that is held is not. */
const configureScript = `
if [ -e /var/lib/pacman/db.lck ] && ! pgrep -x pacman > /dev/null; then rm -f /var/lib/pacman/db.lck; fi
`;

/** Exactly the files that were loaded; a signature beside a package is no package. */
const installScript = `
dir=$1; shift
set -- "$@" $(find "$dir" -name '*.pkg.tar.*' ! -name '*.sig')
exec "$@"
`;

export function createPacmanExecutor(downloadsDir: string): Executor {
  const prepared: { network: Readonly<Record<string, string>> } = { network: {} };
  const pacman = ['pacman', '--noconfirm', '--noprogressbar', '--color', 'never'] as const;
  const exact = ({ packages, added }: OrderedChanges): string[] => [
    ...packages.map((p) => `${p.name}=${p.to}`),
    ...added.map((p) => `${p.name}=${p.version}`),
  ];
  return {
    manager: 'pacman',
    prepare(distributionPoint) {
      mkdirSync(downloadsDir, { recursive: true, mode: 0o700 });
      prepared.network = proxyEnvironment(distributionPoint);
    },
    command(step, changes) {
      switch (step) {
        case 'refresh':
          return { argv: [...pacman, '--sync', '--refresh'], env: prepared.network };
        case 'simulate':
          return {
            argv: [...pacman, '--sync', '--print', '--print-format', '%n %v %s', ...exact(changes)],
            env: {},
          };
        case 'download':
          return {
            argv: [...pacman, '--sync', '--downloadonly', '--cachedir', downloadsDir, ...exact(changes)],
            env: prepared.network,
          };
        case 'install':
        case 'complete':
          return {
            argv: [
              '/bin/sh',
              '-c',
              installScript,
              'fixpoint-pacman',
              downloadsDir,
              ...pacman,
              '--upgrade',
              '--needed',
            ],
            env: {},
          };
        case 'configure':
          return { argv: ['/bin/sh', '-c', configureScript], env: {} };
        case 'keep':
        case 'roll_back':
          throw new Error('with pacman nothing is kept that could be put back');
      }
    },
    judge: judgePacman,
    simulated: parsePacmanPrint,
    async state() {
      const answer = await runCommand(['pacman', '--query', '--info'], { timeoutSeconds: 120 });
      if (!answer.ok) {
        throw new AgentFailure(
          'pacman_database_unreadable',
          `pacman's database cannot be read: ${answer.message}`,
          'Run `pacman -Qk` on the host.',
        );
      }
      return { versions: parsePacmanQuery(answer.stdout), unfinished: new Set() };
    },
    downloadedBytes() {
      try {
        return readdirSync(downloadsDir).reduce(
          (sum, name) => sum + statSync(join(downloadsDir, name)).size,
          0,
        );
      } catch (error) {
        if (codeOf(error) === 'ENOENT') return 0;
        throw error;
      }
    },
    shippedFiles: () => Promise.resolve([]),
    installedFiles: () => Promise.resolve([]),
    // An upgrade leaves the reason of an installation.
    readAutomatic: () => Promise.resolve([]),
    markAutomatic: () => Promise.resolve(),
    cleanUp() {
      prepared.network = {};
      rmSync(downloadsDir, { recursive: true, force: true });
    },
  };
}

/** Reads `--print-format '%n %v %s'`: name, version and download size in bytes. pacman does not say from which version. */
export function parsePacmanPrint(output: string): Simulated {
  let bytes = 0;
  const changed = output.split('\n').flatMap((line) => {
    const [, name, to, size] = /^([a-z\d@._+-]+) (\S+) (\d+)$/u.exec(line) ?? [];
    if (name === undefined || to === undefined) return [];
    bytes += Number(size);
    return [{ name, arch: null, from: null, to }];
  });
  return { changed, removed: [], downloadBytes: bytes, diskBytes: null };
}

/** Reads `pacman --query --info`: stanzas with `Name`, `Version` and `Architecture`. */
export function parsePacmanQuery(text: string): Map<string, string> {
  return new Map(
    text.split(/\n\n+/u).flatMap((stanza): [string, string][] => {
      const field = (label: string): string =>
        new RegExp(`^${label}\\s*: (.*)$`, 'mu').exec(stanza)?.[1]?.trim() ?? '';
      return field('Name') === '' ? [] : [[`${field('Name')}:${field('Architecture')}`, field('Version')]];
    }),
  );
}

const signs: readonly (readonly [RegExp, TaskFailure])[] = [
  [/unable to lock database/u, 'lock_held'],
  [/not enough free disk space|No space left on device|Partition .* too full/u, 'disk_full'],
  [/error: command failed to execute correctly|scriptlet .* failed/u, 'maintainer_script_failed'],
  [
    /invalid or corrupted package \(PGP signature\)|signature from .* is (?:unknown trust|invalid)|key .* could not be imported|required key missing/u,
    'signature_invalid',
  ],
  [/invalid or corrupted (?:package|database)|is corrupted|wrong checksum/u, 'hash_mismatch'],
  [/target not found|The requested URL returned error: 404/u, 'version_not_available'],
  [
    /could not satisfy dependencies|unresolvable package conflicts|are in conflict|conflicting files|exists in filesystem|breaks dependency/u,
    'dependency_conflict',
  ],
  [
    /failed to synchronize all databases|Could not resolve host|Failed to connect|failed retrieving file|failed to retrieve some files/u,
    'repository_unreachable',
  ],
];

/** Reads the end of one command of pacman. */
export function judgePacman(
  step: ExecutorStep,
  exitCode: number,
  output: string,
  changes: OrderedChanges,
): Judgement {
  // pacman goes on after a script that fails, and ends with 0.
  const failedScript = /error: command failed to execute correctly/u;
  return judgeBySigns(
    { failures: signs, failedScript, simulated: parsePacmanPrint },
    step,
    exitCode,
    output,
    changes,
  );
}
