import { Type } from 'typebox';
import type { Static } from 'typebox';
import { DeploymentDetail, PatchJob } from '@fixpoint/contract/patch-job.ts';
import { sleep, waitFor } from '../clock.ts';
import { good, installVulnerable, type FaultLab } from '../fault-lab.ts';
import type { Host } from '../host.ts';
import { goodLog, vulnerableVersion } from '../lab-packages.ts';
import { deploymentDetail, newestPatch, preview, taskDetail } from '../patching.ts';
import type { Product } from '../product.ts';
import type { Spoiled } from '../repository-server.ts';

/** What runs with faults share: one server for all of them, hosts that each are one run's, and what is asked of both. */

export interface World {
  readonly faultLab: FaultLab;
  /** The server dies and comes back; while it is away, others wait for it. */
  readonly killServer: () => Promise<void>;
  /** Asks the server, again and again while it is away. */
  readonly ask: <T>(question: () => Promise<T>) => Promise<T>;
  /** Files are given out wrongly under the name of one run; null: not any more. */
  readonly spoil: (name: string, how: ((path: string) => Spoiled | null) | null) => void;
  readonly serverKills: () => number;
}

export function openWorld(faultLab: FaultLab): World {
  let away: Promise<void> | null = null;
  let kills = 0;
  const spoiled = new Map<string, (path: string) => Spoiled | null>();
  faultLab.repository.spoil((path) => {
    const name = /^\/as-([^/]+)\//u.exec(path)?.[1];
    return name === undefined ? null : (spoiled.get(name)?.(path) ?? null);
  });
  return {
    faultLab,
    async killServer() {
      if (away !== null) {
        await away;
        return;
      }
      kills += 1;
      away = (async () => {
        await faultLab.product.kill();
        await sleep(1);
        await faultLab.product.start();
      })();
      try {
        await away;
      } finally {
        away = null;
      }
    },
    async ask(question) {
      for (let attempt = 1; ; attempt++) {
        await away?.catch(() => undefined);
        try {
          return await question();
        } catch (error) {
          // Killed in the middle of an answer.
          if (attempt >= 8 || !/fetch failed|ECONN|socket|terminated|hang up|aborted/iu.test(String(error)))
            throw error;
          await sleep(0.5);
        }
      }
    },
    spoil(name, how) {
      if (how === null) spoiled.delete(name);
      else spoiled.set(name, how);
    },
    serverKills: () => kills,
  };
}

/** Every package of the host: `name version status`, one a line. */
export async function allPackages(host: Host): Promise<string[]> {
  const out = await host.runOrThrow([
    'dpkg-query',
    '-W',
    '-f',
    '${Package}:${Architecture} ${Version} ${db:Status-Abbrev}\\n',
  ]);
  return out.trim().split('\n').sort();
}

/** When dpkg began to unpack a version of the package, in seconds since 1970, by its own log. */
export async function unpackedAt(host: Host, packageName: string, version: string): Promise<number[]> {
  const log = await host.readFile('/var/log/dpkg.log');
  return log
    .split('\n')
    .filter((line) => line.includes(` upgrade ${packageName}:all `) && line.endsWith(` ${version}`))
    .map((line) => Date.parse(`${line.slice(0, 10)}T${line.slice(11, 19)}Z`) / 1000);
}

/** The host as before all runs, with a repository that no cache knows. */
export async function reset(world: World, host: Host, name: string): Promise<void> {
  if (host.state() === 'off') await host.powerOn();
  await host.run(['sh', '-c', 'umount /var/cache/fixpoint-agent /usr/lib/fixpoint-lab 2>/dev/null; true']);
  await world.faultLab.renameRepository(host, name);
  await installVulnerable(host);
  await host.writeFile('/var/log/dpkg.log', '');
}

/** A job over one host, once the server has seen that it is vulnerable and what its repository offers. */
export async function makeJob(
  world: World,
  host: Host,
  name: string,
  more: Readonly<Record<string, unknown>>,
  packageName = good,
): Promise<string> {
  const { product } = world.faultLab;
  const patch = await waitFor(
    `a patch of ${packageName}`,
    async () => await world.ask(() => newestPatch(product, packageName)).catch(() => undefined),
    { timeoutSeconds: 60, everySeconds: 0.5 },
  );
  const job = await world.ask(() =>
    product.api.post(
      '/api/v1/jobs',
      {
        name: name.slice(0, 100),
        trigger: 'manual',
        patches: [patch],
        target: { tags: [], assets: [host.name], exclude: [] },
        units: 'restart',
        install_timeout_seconds: 60,
        expire_after_seconds: 3_600,
        concurrency: 100,
        ...more,
      },
      PatchJob,
    ),
  );
  await waitFor(
    `a plan for ${host.name}`,
    async () => {
      const plan = await world.ask(() => preview(product, job.id));
      const [task] = plan.tasks;
      const fresh =
        task?.packages.every((p) => p.from === vulnerableVersion) === true && task.fixes.length > 0;
      return fresh ? true : undefined;
    },
    { timeoutSeconds: 60, everySeconds: 0.5 },
  );
  return job.id;
}

export async function act(product: Product, deployment: string, action: string): Promise<void> {
  await product.api.post(
    `/api/v1/deployments/${deployment}/actions`,
    { action, reason: 'the fault is over' },
    Type.Unknown(),
  );
}

export type TaskState = Static<typeof DeploymentDetail>['tasks'][number];

/** Waits until the one task of a deployment is in one of these states. */
export async function untilState(
  world: World,
  deployment: string,
  states: readonly string[],
  timeoutSeconds: number,
): Promise<TaskState> {
  let last = 'none';
  try {
    return await waitFor(
      `the task to be ${states.join(' or ')}`,
      async () => {
        const { tasks } = await world.ask(() => deploymentDetail(world.faultLab.product, deployment));
        const [task] = tasks;
        last = `${task?.state ?? 'none'}: ${task?.reason?.message ?? ''}`;
        return task !== undefined && states.includes(task.state) ? task : undefined;
      },
      { timeoutSeconds, everySeconds: 0.3 },
    );
  } catch (error) {
    throw new Error(`${String(error)}; it is ${last}`, { cause: error });
  }
}

export const ended = ['succeeded', 'failed', 'rolled_back', 'skipped', 'cancelled', 'expired'] as const;

export { goodLog, taskDetail };
