import { mkdirSync, readdirSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { parseApkInstalled } from '@fixpoint/core/inventory/apk-installed.ts';
import { AgentFailure, codeOf } from '../failure.ts';
import { readTextIfThere } from '../state-dir.ts';
import { judgeApk, parseApkSimulation, parseUnfinished } from './apk-output.ts';
import type { Executor } from './executor.ts';
import { proxyEnvironment } from './proxy-environment.ts';

/**
 * Reaches the ordered versions with apk, built to apk-upgrade(8), apk-cache(5) and apk-fix(8) and never run by us. A version is
 * not named to apk, which would write it into /etc/apk/world as a pin for ever: `upgrade NAME` goes to the newest that the
 * repositories have, and the simulation tells whether that is the ordered one. Index and packages lie in a cache of the task,
 * so both are still the same when the window opens. Repositories of Alpine hold one version: nothing can be kept or put back.
 */

const databasePaths = ['/lib/apk/db/installed', '/usr/lib/apk/db/installed'];

/** @param downloadsDir root's alone */
export function createApkExecutor(downloadsDir: string): Executor {
  const prepared: { network: Readonly<Record<string, string>> } = { network: {} };
  const apk = ['apk', '--no-progress', '--wait', '60', '--cache-dir', downloadsDir] as const;
  const readDatabase = () => {
    const text = databasePaths.map(readTextIfThere).find((one) => one !== null) ?? '';
    const parsed = parseApkInstalled(text);
    if (!parsed.ok) throw new AgentFailure(parsed.code, parsed.message, parsed.what_to_do);
    return { ...parsed.installed, text };
  };
  return {
    manager: 'apk',

    prepare(distributionPoint) {
      mkdirSync(downloadsDir, { recursive: true, mode: 0o700 });
      prepared.network = proxyEnvironment(distributionPoint);
    },

    command(step, { packages }) {
      const names = packages.map((p) => p.name);
      switch (step) {
        case 'refresh':
          return { argv: [...apk, 'update'], env: prepared.network };
        case 'simulate':
          return { argv: [...apk, '--no-network', 'upgrade', '--simulate', ...names], env: {} };
        case 'download':
          return { argv: [...apk, 'cache', 'download', '--upgrade', ...names], env: prepared.network };
        case 'install':
        case 'complete':
          return { argv: [...apk, '--no-network', 'upgrade', ...names], env: {} };
        case 'configure':
          // Of what is installed it runs again the scripts that failed, and puts right the files.
          return { argv: [...apk, '--no-network', 'fix', ...names], env: {} };
        case 'keep':
        case 'roll_back':
          throw new Error('apk keeps nothing that could be put back');
      }
    },

    judge: judgeApk,
    simulated: parseApkSimulation,

    state() {
      const { packages, text } = readDatabase();
      return Promise.resolve({
        versions: new Map(packages.map((p) => [`${p.name}:${p.arch}`, p.version])),
        unfinished: parseUnfinished(text),
      });
    },

    downloadedBytes() {
      try {
        return readdirSync(downloadsDir)
          .filter((name) => name.endsWith('.apk'))
          .reduce((sum, name) => sum + statSync(join(downloadsDir, name)).size, 0);
      } catch (error) {
        if (codeOf(error) === 'ENOENT') return 0;
        throw error;
      }
    },

    // apk checks each file against the package while it unpacks it; its database has the digests afterwards.
    shippedFiles: () => Promise.resolve([]),

    installedFiles(ordered) {
      const wanted = new Set(ordered.map((p) => `${p.name}:${p.arch}`));
      const { packages, files } = readDatabase();
      return Promise.resolve(
        packages
          .filter((p) => wanted.has(`${p.name}:${p.arch}`))
          .map(({ name, arch, version, source, source_version }) => {
            const own = files.get(`${name}:${arch}`) ?? new Map<string, string>();
            const sums = new Map([...own].filter(([, digest]) => digest !== ''));
            return { name, arch, version, source, source_version, files: [...own.keys()], sums };
          }),
      );
    },

    // /etc/apk/world, which says what somebody wants, is not changed by an upgrade.
    readAutomatic: () => Promise.resolve([]),
    markAutomatic: () => Promise.resolve(),

    cleanUp() {
      prepared.network = {};
      rmSync(downloadsDir, { recursive: true, force: true });
    },
  };
}
