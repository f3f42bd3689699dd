import { chownSync, mkdirSync, readdirSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { OrderedPackage } from '@fixpoint/contract/order.ts';
import { readDpkgStatus } from '../collect/dpkg.ts';
import { parseMd5sums, readFileList, readMd5sums } from '../collect/dpkg-files.ts';
import { AgentFailure, codeOf } from '../failure.ts';
import { runCommand } from '../run-command.ts';
import { readTextIfThere, writeFileAtomically } from '../state-dir.ts';
import { createAptKeeping, debFileName } from './apt-keeping.ts';
import { classifyFailure, differenceFromOrder, parseSimulation } from './apt-output.ts';
import { sizesOf } from './apt-sizes.ts';
import type { Executor, ExecutorStep, Judgement, OrderedChanges, ShippedFiles } from './executor.ts';

/**
 * Reaches exactly the ordered versions with apt-get. Which repositories, pins and keys count is the host's own
 * configuration; only the way goes through the distribution point, as apt's HTTP proxy.
 */

/** Not interactive, and no needrestart of its own: the agent restarts what the order allows, and reports it. */
const environment: Readonly<Record<string, string>> = {
  DEBIAN_FRONTEND: 'noninteractive',
  NEEDRESTART_MODE: 'l',
  NEEDRESTART_SUSPEND: '1',
  APT_LISTCHANGES_FRONTEND: 'none',
  UCF_FORCE_CONFFOLD: '1',
};

/**
 * @param taskDir root's alone: holds the configuration with the credentials
 * @param archivesDir readable for apt's own user, which fetches
 * @param keptPackagesDir where the packages lie that can be put back; see task/kept.ts
 */
export function createAptExecutor(taskDir: string, archivesDir: string, keptPackagesDir: string): Executor {
  const configuration = join(taskDir, 'apt.conf');
  const apt = ['apt-get', '-c', configuration, '-y', '-q'] as const;
  const fetchedDir = join(archivesDir, 'earlier');
  const keptFiles = ({ packages, removed }: OrderedChanges): string[] =>
    [...packages.map((p) => ({ ...p, version: p.from })), ...removed].map((p) =>
      join(keptPackagesDir, debFileName(p)),
    );
  // Without any repository: a version that one of them has too would be taken from there, and not from the file that is kept.
  // Not with --no-download, with which apt loses the way to files that are named.
  const rollBack = (changes: OrderedChanges): string[] => [
    ...['Dir::Etc::SourceList=/dev/null', 'Dir::Etc::SourceParts=/dev/null'].flatMap((one) => ['-o', one]),
    ...['Dir::Cache::pkgcache=', 'Dir::Cache::srcpkgcache='].flatMap((one) => ['-o', one]),
    'install',
    '--allow-downgrades',
    ...keptFiles(changes),
    ...changes.added.map((p) => `${p.name}:${p.arch}-`),
  ];

  return {
    manager: 'apt',

    prepare({ url, user, password, direct }, bandwidthBytesPerSecond) {
      mkdirSync(join(archivesDir, 'partial'), { recursive: true, mode: 0o755 });
      mkdirSync(fetchedDir, { recursive: true, mode: 0o755 });
      const fetcher = aptUser();
      if (fetcher !== null) chownSync(fetchedDir, fetcher, 0);
      const proxy = new URL(url);
      proxy.username = encodeURIComponent(user);
      proxy.password = encodeURIComponent(password);
      writeFileAtomically(
        configuration,
        aptConfiguration(
          direct === true ? null : `${proxy.protocol}//${proxy.username}:${proxy.password}@${proxy.host}`,
          archivesDir,
          bandwidthBytesPerSecond,
        ),
      );
    },

    command(step, changes) {
      const { packages, added, removed } = changes;
      const exact = [
        ...packages.map((p) => `${p.name}:${p.arch}=${p.to}`),
        ...added.map((p) => `${p.name}:${p.arch}=${p.version}`),
        ...removed.map((p) => `${p.name}:${p.arch}-`),
      ];
      // What is to come newly must be named, and then nothing keeps apt from installing what is not there: the simulation tells.
      const upgrade = added.length === 0 ? ['install', '--only-upgrade'] : ['install'];
      switch (step) {
        case 'refresh':
          return { argv: [...apt, '-o', 'APT::Update::Error-Mode=any', 'update'], env: environment };
        case 'simulate':
          return { argv: [...apt, '-s', ...upgrade, ...exact], env: environment };
        case 'download':
          return {
            argv: [...apt, '--download-only', ...upgrade, ...exact],
            env: environment,
          };
        case 'install':
          // The simulation told what would be removed; whoever else changes packages meanwhile must not add to it.
          return {
            argv: [
              ...apt,
              '--no-download',
              ...(removed.length === 0 ? ['--no-remove'] : []),
              ...upgrade,
              ...exact,
            ],
            env: environment,
          };
        case 'configure':
          return {
            argv: ['dpkg', '--force-confdef', '--force-confold', '--configure', '--pending'],
            env: environment,
          };
        case 'complete':
          // Nothing new, nothing removed: only what dpkg has begun.
          return {
            argv: [...apt, '--no-download', '--no-remove', '--fix-broken', 'install'],
            env: environment,
          };
        case 'keep':
          // It writes into the folder that it runs in. Which index and key count is apt's own matter, as in any download.
          return {
            argv: [
              '/bin/sh',
              '-c',
              'cd "$1" && shift && exec "$@"',
              'fixpoint-keep',
              fetchedDir,
              ...apt,
              'download',
              ...packages.map((p) => `${p.name}:${p.arch}=${p.from}`),
              ...removed.map((p) => `${p.name}:${p.arch}=${p.version}`),
            ],
            env: environment,
          };
        case 'roll_back':
          return {
            argv: [
              '/bin/sh',
              '-c',
              rollBackScript,
              'fixpoint-roll-back',
              String(packages.length + removed.length),
              ...keptFiles(changes),
              ...apt,
              ...rollBack(changes),
            ],
            env: environment,
          };
      }
    },

    judge(step, exitCode, output, changes) {
      return judgeApt(step, exitCode, output, changes);
    },

    simulated: parseSimulation,

    sizes: sizesOf,

    async state() {
      const status = readDpkgStatus('/');
      return Promise.resolve({
        versions: new Map(status.packages.map((p) => [`${p.name}:${p.arch}`, p.version])),
        unfinished: new Set(status.unconfigured),
      });
    },

    downloadedBytes() {
      return archives(archivesDir).reduce((sum, file) => sum + statSync(join(archivesDir, file)).size, 0);
    },

    async shippedFiles(packages) {
      const files = archives(archivesDir);
      const shipped: ShippedFiles[] = [];
      for (const p of packages) {
        // As apt names it: the epoch's colon is written %3a; apt may escape more, and the name starts the same.
        const suffix = `_${p.to.replaceAll(':', '%3a')}_${p.arch}.deb`;
        const file = files.find((f) => f === `${p.name}${suffix}`);
        if (file === undefined) continue;
        const sums = await runCommand(['dpkg-deb', '--info', join(archivesDir, file), 'md5sums'], {
          timeoutSeconds: 60,
        });
        if (sums.ok) shipped.push({ name: p.name, arch: p.arch, sums: parseMd5sums(sums.stdout) });
      }
      return shipped;
    },

    installedFiles(packages) {
      const wanted = new Set(packages.map((p) => `${p.name}:${p.arch}`));
      return Promise.resolve(
        readDpkgStatus('/')
          .packages.filter((p) => wanted.has(`${p.name}:${p.arch}`))
          .map(({ name, arch, version, source, source_version }) => ({
            name,
            arch,
            version,
            source,
            source_version,
            files: readFileList({ name, arch }),
            sums: readMd5sums({ name, arch }),
          })),
      );
    },

    async readAutomatic(packages) {
      const answer = await runCommand(['apt-mark', 'showauto', ...packages.map((p) => aptName(p))], {
        timeoutSeconds: 60,
      });
      // `apt-mark` that knows a package no more is not a reason to leave it vulnerable.
      return answer.ok ? answer.stdout.split('\n').filter((line) => line !== '') : [];
    },

    async markAutomatic(names) {
      if (names.length === 0) return;
      const answer = await runCommand(['apt-mark', 'auto', ...names], { timeoutSeconds: 60 });
      if (!answer.ok) {
        throw new AgentFailure(
          'mark_failed',
          `packages could not be marked as automatically installed again: ${answer.message}`,
          `Run \`apt-mark auto ${names.join(' ')}\` on the host.`,
        );
      }
    },

    markName: aptName,

    keeping: createAptKeeping(apt, fetchedDir, archivesDir, rollBack),

    cleanUp() {
      rmSync(configuration, { force: true });
      rmSync(archivesDir, { recursive: true, force: true });
    },
  };
}

/**
 * Files of packages, how many first, then the command of apt. dpkg's database may be as an interrupted dpkg left it: reading
 * an empty list of selections makes dpkg take that in. A package that was being unpacked must be unpacked anew, for which
 * apt looks in the repositories only: dpkg is handed the files that are kept, and apt does what is left.
 */
const rollBackScript = `
dpkg --set-selections < /dev/null
files=$1; shift
if dpkg-query -W -f '\${db:Status-Eflag}\\n' | grep -qi reinst; then
  n=0
  for file in "$@"; do
    n=$((n + 1)); [ "$n" -le "$files" ] || break
    dpkg --force-confdef --force-confold --auto-deconfigure --unpack "$file"
  done
  dpkg --force-confdef --force-confold --configure --pending
fi
shift "$files"
exec "$@"
`;

/** The user as whom apt fetches, if there is one. */
function aptUser(): number | null {
  const uid = Number(/^_apt:[^:]*:(\d+):/mu.exec(readTextIfThere('/etc/passwd') ?? '')?.[1]);
  return Number.isInteger(uid) ? uid : null;
}

function aptName(p: Pick<OrderedPackage, 'name' | 'arch'>): string {
  return p.arch === 'all' ? p.name : `${p.name}:${p.arch}`;
}

function archives(dir: string): string[] {
  try {
    return readdirSync(dir).filter((name) => name.endsWith('.deb'));
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return [];
    throw error;
  }
}

/** apt.conf(5). Given with -c, it is read last, so it outranks the host's own: and it keeps the secrets out of `ps`. */
function aptConfiguration(proxy: string | null, archivesDir: string, bandwidth: number | null): string {
  return `${[
    // Without a proxy the host's own configuration says how its repositories are reached.
    ...(proxy === null
      ? []
      : [
          '#clear Acquire::http::Proxy;',
          '#clear Acquire::http::Proxy-Auto-Detect;',
          '#clear Acquire::http::ProxyAutoDetect;',
          `Acquire::http::Proxy "${proxy}";`,
          // TLS to a repository cannot go through the distribution point; it is then the host's own way.
          'Acquire::https::Proxy "DIRECT";',
        ]),
    'Acquire::Retries "2";',
    // apt counts in KiB per second
    ...(bandwidth === null
      ? []
      : [`Acquire::http::Dl-Limit "${String(Math.max(1, Math.floor(bandwidth / 1024)))}";`]),
    'Acquire::http::Timeout "30";',
    `Dir::Cache::archives "${archivesDir}/";`,
    'APT::Get::Assume-Yes "true";',
    'APT::Get::AutomaticRemove "false";',
    'APT::Get::allow-change-held-packages "false";',
    'APT::Get::AllowUnauthenticated "false";',
    'Binary::apt-get::APT::Keep-Downloaded-Packages "true";',
    'DPkg::Lock::Timeout "60";',
    // In a terminal of its own dpkg would leave the session by which it is ended when it hangs.
    'Dpkg::Use-Pty "false";',
    'Dpkg::Options:: "--force-confdef";',
    'Dpkg::Options:: "--force-confold";',
  ].join('\n')}\n`;
}

/** Reads the end of one command of apt. */
export function judgeApt(
  step: ExecutorStep,
  exitCode: number,
  output: string,
  changes: OrderedChanges,
): Judgement {
  if (exitCode !== 0) {
    const { failure, line } = classifyFailure(output);
    return { ok: false, failure, message: `${describe[step]} failed: ${line}`.slice(0, 1_500) };
  }
  if (step !== 'simulate') return { ok: true };
  const skipped = /^Skipping (\S+), it is not installed/mu.exec(output);
  if (skipped?.[1] !== undefined) {
    return { ok: false, failure: 'plan_differs', message: `${skipped[1]} is not installed on this host.` };
  }
  const difference = differenceFromOrder(parseSimulation(output), changes);
  return difference === null
    ? { ok: true }
    : { ok: false, failure: 'plan_differs', message: `Beyond the order, ${difference}.` };
}

const describe: Readonly<Record<ExecutorStep, string>> = {
  refresh: 'Reading the repositories',
  simulate: 'Trying the installation',
  download: 'Downloading',
  keep: 'Keeping what is there',
  install: 'Installing',
  configure: 'Configuring what was half installed',
  complete: 'Completing what was half installed',
  roll_back: 'Putting the earlier versions back',
};
