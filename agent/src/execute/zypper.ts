import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { readZypperHeld } from '../collect/zypper.ts';
import { runCommand } from '../run-command.ts';
import { readTextIfThere, writeFileAtomically } from '../state-dir.ts';
import type { Executor, ExecutorCommand, OrderedChanges } from './executor.ts';
import { keyOf } from './keeping.ts';
import { proxyEnvironment } from './proxy-environment.ts';
import { createRpmKeeping, loadAndName, rpmFileName } from './rpm-keeping.ts';
import {
  bytesOfRpms,
  readInstalledFiles,
  readRpmState,
  repairCommand,
  rollBackCommand,
  shippedByRpms,
} from './rpm-packages.ts';
import {
  capabilityOf,
  judgeZypper,
  parseAutoInstalled,
  parseZypperOffered,
  parseZypperSummary,
} from './zypper-output.ts';

/**
 * Reaches exactly the ordered versions with zypper. Which repositories, keys, locks and vendors count is the host's own
 * configuration; no key is imported, no licence agreed to, and nothing is resolved by force. zypper(8).
 */

const autoInstalled = '/var/lib/zypp/AutoInstalled';
const zyppConfiguration = '/etc/zypp/zypp.conf';

/**
 * @param taskDir root's alone: holds the configuration of a limited download
 * @param downloadsDir root's alone, without blanks
 * @param keptPackagesDir where the packages lie that can be put back; see task/kept.ts
 */
export function createZypperExecutor(
  taskDir: string,
  downloadsDir: string,
  keptPackagesDir: string,
): Executor {
  const fetchedDir = join(downloadsDir, 'earlier');
  const configuration = join(taskDir, 'zypp.conf');
  /** It waits so long for another that holds its lock. */
  const environment: Readonly<Record<string, string>> = { ZYPP_LOCK_TIMEOUT: '60' };
  const prepared: { network: Readonly<Record<string, string>> } = { network: {} };
  const zypper = ['zypper', '--non-interactive', '--no-color', '--no-abbrev'] as const;
  const cache = (dir: string): string[] => ['--pkg-cache-dir', join(dir, 'cache')];
  const linked = (dir: string, words: readonly string[]): readonly [string, ...string[]] => [
    ...(['/bin/sh', '-c', loadAndName, 'fixpoint-zypper', dir] as const),
    ...words,
  ];
  const install = (options: readonly string[], { packages, added, removed }: OrderedChanges): string[] => [
    'install',
    '--no-recommends',
    '--no-force-resolution',
    '--no-allow-downgrade',
    '--no-allow-name-change',
    '--no-allow-arch-change',
    '--no-allow-vendor-change',
    ...options,
    ...packages.map((p) => capabilityOf({ ...p, version: p.to })),
    ...added.map(capabilityOf),
    // `!` is zypper's sign for one that is to go in the same transaction.
    ...removed.map((p) => `!${p.name}.${p.arch}`),
  ];
  const local = (...argv: readonly [string, ...string[]]): ExecutorCommand => ({ argv, env: environment });
  const network = (...argv: readonly [string, ...string[]]): ExecutorCommand => ({
    argv,
    env: { ...environment, ...prepared.network },
  });

  return {
    manager: 'zypper',

    prepare(distributionPoint, bandwidthBytesPerSecond) {
      for (const dir of [downloadsDir, fetchedDir]) {
        mkdirSync(join(dir, 'cache'), { recursive: true, mode: 0o700 });
      }
      if (bandwidthBytesPerSecond !== null) {
        writeFileAtomically(
          configuration,
          limitedConfiguration(readTextIfThere(zyppConfiguration) ?? '', bandwidthBytesPerSecond),
        );
      }
      prepared.network = {
        ...proxyEnvironment(distributionPoint),
        ...(bandwidthBytesPerSecond === null ? {} : { ZYPP_CONF: configuration }),
      };
    },

    command(step, changes) {
      switch (step) {
        case 'refresh':
          return network(...zypper, 'refresh');
        case 'simulate':
          return local(
            ...zypper,
            ...cache(downloadsDir),
            '--no-refresh',
            '--xmlout',
            ...install(['--dry-run'], changes),
          );
        case 'download':
          // Together these load, check signatures and look for files in each other's way; alone, the first does not do the last.
          return network(
            ...linked(downloadsDir, [
              ...zypper,
              ...cache(downloadsDir),
              '--no-refresh',
              ...install(['--download-only', '--dry-run'], changes),
            ]),
          );
        case 'keep':
          return network(
            ...linked(fetchedDir, [
              ...zypper,
              ...cache(fetchedDir),
              '--no-refresh',
              '--xmlout',
              'download',
              ...changes.packages.map((p) => capabilityOf({ ...p, version: p.from })),
              ...changes.removed.map(capabilityOf),
            ]),
          );
        case 'install':
          return local(...zypper, ...cache(downloadsDir), '--no-refresh', ...install([], changes));
        case 'configure':
          return repairCommand('begun', downloadsDir, changes);
        case 'complete':
          return repairCommand('all', downloadsDir, changes);
        case 'roll_back':
          return rollBackCommand('do', changes, (p) => join(keptPackagesDir, rpmFileName(p)));
      }
    },

    judge: judgeZypper,
    simulated: parseZypperSummary,
    state: readRpmState,
    downloadedBytes: () => bytesOfRpms(downloadsDir),
    shippedFiles: (packages) => shippedByRpms(downloadsDir, packages),
    installedFiles: readInstalledFiles,

    readAutomatic(packages) {
      const automatic = new Set(parseAutoInstalled(readTextIfThere(autoInstalled) ?? ''));
      return Promise.resolve(packages.map((p) => p.name).filter((name) => automatic.has(name)));
    },

    markAutomatic(names) {
      const text = readTextIfThere(autoInstalled) ?? '';
      const there = new Set(parseAutoInstalled(text));
      const missing = [...new Set(names)].filter((name) => !there.has(name));
      if (missing.length > 0) {
        writeFileAtomically(autoInstalled, `${text.replace(/\n?$/u, '\n')}${missing.join('\n')}\n`, 0o644);
      }
      return Promise.resolve();
    },

    keeping: createRpmKeeping({
      fetchedDir,
      downloadsDir,
      keptPackagesDir,
      cacheDirs: ['/var/cache/zypp/packages'],
      async offered(packages) {
        const answer = await runCommand(
          [
            ...zypper,
            '--no-refresh',
            '--xmlout',
            'search',
            '--details',
            '--match-exact',
            '--type',
            'package',
            ...new Set(packages.map((p) => p.name)),
          ],
          { timeoutSeconds: 120 },
        );
        const offered = parseZypperOffered(answer.stdout);
        return new Map(
          packages.filter((p) => offered.has(`${keyOf(p)}:${p.version}`)).map((p) => [keyOf(p), 0]),
        );
      },
      held: () => readZypperHeld('/'),
      lock: (name) => ['zypper', '--non-interactive', 'addlock', name],
    }),

    cleanUp() {
      prepared.network = {};
      rmSync(configuration, { force: true });
      rmSync(downloadsDir, { recursive: true, force: true });
    },
  };
}

/** The host's own configuration of libzypp with a limit in it. zypp.conf: `download.max_download_speed`, bytes per second. */
export function limitedConfiguration(text: string, bytesPerSecond: number): string {
  const lines = text.split('\n').filter((line) => !/^\s*download\.max_download_speed\s*=/u.test(line));
  const setting = `download.max_download_speed = ${String(bytesPerSecond)}`;
  const main = lines.findIndex((line) => /^\s*\[main\]/u.test(line));
  if (main < 0) return ['[main]', setting, ...lines].join('\n');
  return [...lines.slice(0, main + 1), setting, ...lines.slice(main + 1)].join('\n');
}
