import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { readDnfHeld } from '../collect/dnf.ts';
import { runCommand } from '../run-command.ts';
import {
  judgeDnf,
  nevraOf,
  parseDnfTransaction,
  parseSizes,
  sizesQuery,
  sizesQueryOfYum,
  type PackageSize,
} from './dnf-output.ts';
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

/**
 * Reaches exactly the ordered versions with dnf, or with yum where there is no dnf. Which repositories, keys, locks and
 * modules count is the host's own configuration, and so is gpgcheck. dnf.conf(5), dnf(8).
 */

/** A lock of another dnf ends it with 200; it is tried again for a minute, as apt is. */
const waitForLock = `
for round in 1 2 3 4 5 6 7 8 9 10 11 12; do
  "$@"; code=$?
  [ $code -eq 200 ] || exit $code
  sleep 5
done
exit 200
`;

/**
 * Says what of the transaction is installed, which dnf does not, and then what dnf says. Told not to go on, dnf ends with 1
 * and \`Operation aborted\`: then all went well.
 */
const simulateScript = `
out=$("$@" 2>&1); code=$?
names=$(printf '%s\\n' "$out" | awk '/^ [^ ]/ { print $1 }' | sort -u)
[ -z "$names" ] || rpm -q --queryformat 'was %{NAME} %{ARCH} %|EPOCH?{%{EPOCH}:}:{}|%{VERSION}-%{RELEASE}\\n' $names 2>/dev/null | grep '^was '
printf '%s\\n' "$out"
[ $code -eq 1 ] && case $out in *'Operation aborted'*|*'Exiting on user command'*) exit 0 ;; esac
exit $code
`;

/** yum 3 knows no folder of a transaction's own: what it has loaded into its cache is linked there. */
const linkFromCache = `
dir=$1; shift
"$@"; code=$?
find /var/cache/yum -name '*.rpm' -exec ln -f {} "$dir" ';' 2>/dev/null
exit $code
`;

/**
 * @param downloadsDir root's alone, without blanks
 * @param keptPackagesDir where the packages lie that can be put back; see task/kept.ts
 */
export function createDnfExecutor(
  manager: 'dnf' | 'yum',
  downloadsDir: string,
  keptPackagesDir: string,
): Executor {
  const fetchedDir = join(downloadsDir, 'earlier');
  const prepared: { network: Readonly<Record<string, string>>; throttle: readonly string[] } = {
    network: {},
    throttle: [],
  };
  const upgrade = manager === 'dnf' ? 'upgrade' : 'update';
  const exact = [
    '--setopt=install_weak_deps=False',
    // Else the newest that can be had would be taken where the ordered one cannot.
    '--setopt=best=True',
    // Earlier kernels are not part of the order, so none is taken away for a new one.
    '--setopt=installonly_limit=0',
    // Else the next transaction of anybody takes the downloads away.
    '--setopt=keepcache=True',
    // Deltas are put together on the host, and are none of the packages that were planned.
    '--setopt=deltarpm=False',
  ] as const;
  const into = (dir: string): string[] => (manager === 'dnf' ? [`--setopt=destdir=${dir}`] : []);
  const waiting = (...words: readonly string[]): readonly [string, ...string[]] => [
    '/bin/sh',
    '-c',
    waitForLock,
    'fixpoint-dnf',
    ...words,
  ];

  function command(words: readonly [string, ...string[]], network: boolean): ExecutorCommand {
    return { argv: words, env: network ? prepared.network : {} };
  }

  /** Without what is to come newly: dnf takes that as what others need, which it then stays. The simulation has told that it comes. */
  function transaction({ packages, removed }: OrderedChanges): string[] {
    return [
      ...(removed.length === 0 || manager === 'yum' ? [] : ['--allowerasing']),
      upgrade,
      ...packages.map((p) => nevraOf({ ...p, version: p.to })),
    ];
  }

  /** Of what the repositories offer, as they were last read. */
  async function readSizes(nevras: readonly string[]): Promise<ReadonlyMap<string, PackageSize>> {
    if (nevras.length === 0) return new Map();
    const answer = await runCommand(
      manager === 'dnf'
        ? ['dnf', '--quiet', '--cacheonly', 'repoquery', '--available', '--qf', sizesQuery, ...nevras]
        : ['repoquery', '--quiet', '--cache', '--qf', sizesQueryOfYum, ...nevras],
      { timeoutSeconds: 120 },
    );
    return new Map(parseSizes(answer.stdout).map((one) => [one.nevra, one]));
  }

  return {
    manager,

    prepare(distributionPoint, bandwidthBytesPerSecond) {
      mkdirSync(fetchedDir, { recursive: true, mode: 0o700 });
      prepared.network = proxyEnvironment(distributionPoint);
      prepared.throttle =
        bandwidthBytesPerSecond === null
          ? []
          : manager === 'dnf'
            ? [`--setopt=throttle=${String(bandwidthBytesPerSecond)}`]
            : [`--setopt=bandwidth=${String(bandwidthBytesPerSecond)}`, '--setopt=throttle=1.0'];
    },

    command(step, changes) {
      const run = [manager, '--assumeyes', '--setopt=exit_on_lock=True'] as const;
      switch (step) {
        case 'refresh':
          return command(
            waiting(...run, ...prepared.throttle, 'makecache', ...(manager === 'dnf' ? ['--refresh'] : [])),
            true,
          );
        case 'simulate':
          return command(
            [
              '/bin/sh',
              '-c',
              simulateScript,
              'fixpoint-simulate',
              manager,
              '--assumeno',
              '--cacheonly',
              ...exact,
              ...transaction(changes),
            ],
            false,
          );
        case 'download': {
          // Not --downloadonly, which checks no signatures, and no space and no files in each other's way either.
          const words = [
            ...run,
            ...exact,
            ...into(downloadsDir),
            ...prepared.throttle,
            '--setopt=tsflags=test',
            ...transaction(changes),
          ];
          if (manager === 'dnf') return command(waiting(...words), true);
          return command(['/bin/sh', '-c', linkFromCache, 'fixpoint-yum', downloadsDir, ...words], true);
        }
        case 'keep': {
          const words = [
            ...run,
            ...exact,
            ...into(fetchedDir),
            ...prepared.throttle,
            '--setopt=tsflags=test',
            'reinstall',
            ...changes.packages.map((p) => nevraOf({ ...p, version: p.from })),
            ...changes.removed.map(nevraOf),
          ];
          const load =
            manager === 'dnf'
              ? waiting(...words)
              : (['/bin/sh', '-c', linkFromCache, 'fixpoint-yum', fetchedDir, ...words] as const);
          return command(['/bin/sh', '-c', loadAndName, 'fixpoint-keep', fetchedDir, ...load], true);
        }
        case 'install':
          return command(
            waiting(...run, '--cacheonly', ...exact, ...into(downloadsDir), ...transaction(changes)),
            false,
          );
        case 'configure':
          return repairCommand('begun', downloadsDir, changes);
        case 'complete':
          return repairCommand('all', downloadsDir, changes);
        case 'roll_back':
          return rollBackCommand('do', changes, (p) => join(keptPackagesDir, rpmFileName(p)));
      }
    },

    judge: judgeDnf,
    simulated: parseDnfTransaction,

    async sizes(simulated) {
      const coming = simulated.changed.map((p) => nevraOf({ ...p, arch: p.arch ?? 'noarch', version: p.to }));
      if (coming.length === 0) return { downloadBytes: 0, diskBytes: 0 };
      const sizes = await readSizes(coming);
      const leaving = [
        ...simulated.changed.flatMap((p) => (p.from === null ? [] : [{ ...p, version: p.from }])),
        ...simulated.removed.flatMap((p) => (p.version === null ? [] : [{ ...p, version: p.version }])),
      ].map((p) => `${p.name}-${p.version.replace(/^\d+:/u, '')}.${p.arch ?? 'noarch'}`);
      const installed =
        leaving.length === 0
          ? ''
          : (
              await runCommand(['rpm', '-q', '--queryformat', '%{SIZE}\\n', ...leaving], {
                timeoutSeconds: 60,
              })
            ).stdout;
      const leavingBytes = installed.split('\n').reduce((sum, line) => sum + (Number(line) || 0), 0);
      const all = [...sizes.values()];
      return {
        downloadBytes: all.reduce((sum, one) => sum + one.downloadBytes, 0),
        diskBytes: all.reduce((sum, one) => sum + one.installedBytes, 0) - leavingBytes,
      };
    },

    state: readRpmState,
    downloadedBytes: () => bytesOfRpms(downloadsDir),
    shippedFiles: (packages) => shippedByRpms(downloadsDir, packages),
    installedFiles: readInstalledFiles,
    // An upgrade leaves the reason that dnf has noted for a package.
    readAutomatic: () => Promise.resolve([]),
    markAutomatic: () => Promise.resolve(),

    keeping: createRpmKeeping({
      fetchedDir,
      downloadsDir,
      keptPackagesDir,
      cacheDirs: ['/var/cache/dnf', '/var/cache/yum', '/var/cache/libdnf5'],
      async offered(packages) {
        const sizes = await readSizes(packages.map(nevraOf));
        return new Map(
          packages.flatMap((p): [string, number][] => {
            const size = sizes.get(nevraOf(p));
            return size === undefined ? [] : [[keyOf(p), size.downloadBytes]];
          }),
        );
      },
      held: () => readDnfHeld('/'),
      lock: (name) => [manager, '--assumeyes', 'versionlock', 'add', name],
    }),

    cleanUp() {
      prepared.network = {};
      rmSync(downloadsDir, { recursive: true, force: true });
    },
  };
}
