import type { Static } from 'typebox';
import type { TaskDetail } from '@fixpoint/contract/patch-job.ts';
import { monotonicSeconds, now, sleep, waitFor } from '../clock.ts';
import { good, hostFacts, journalOf, slow, statesOf } from '../fault-lab.ts';
import type { Host } from '../host.ts';
import { fixedVersion, vulnerableVersion } from '../lab-packages.ts';
import { alerts, deploymentDetail, startJob, taskDetail } from '../patching.ts';
import { faultOf, type Fault } from './fault.ts';
import { fullFolders, inject, makeRoom, prepareFault, setClock, untilDown } from './inject.ts';
import { act, allPackages, ended, makeJob, reset, unpackedAt, untilState, type World } from './world.ts';

/** One run: a fault on one host, and all that must be true whatever happened. */

export interface Outcome {
  readonly seed: number;
  readonly kind: Fault['kind'];
  /** How the task ended, with the code of its reason: `failed(disk_full)`. */
  readonly ended: string;
  /** After the fault was taken away and the task retried, where it had not succeeded. */
  readonly retried: string | null;
  readonly seconds: number;
  /** What must never be, and was; empty when all is well. */
  readonly violations: readonly string[];
  /** What the task and the host said last, when something is violated. */
  readonly evidence: string;
}

/** What a fault that is bound to end the first attempt may be called. */
const expectedFailures: Partial<Record<Fault['kind'], readonly string[]>> = {
  disk_full_download: ['disk_full', 'download_failed', 'repository_unreachable'],
  disk_full_install: ['disk_full'],
  clock_skew: ['order_refused', 'clock_skew'],
  repository_not_found: ['version_not_available', 'download_failed', 'repository_unreachable'],
  repository_truncated: ['download_failed', 'hash_mismatch', 'repository_unreachable'],
  repository_corrupted: ['hash_mismatch', 'download_failed'],
};

export async function runFault(
  world: World,
  host: Host,
  seed: number,
  tools: { readonly faketime: string },
): Promise<Outcome> {
  const fault = faultOf(seed);
  const started = monotonicSeconds();
  const name = `${String(seed)}-${host.name}`;
  const violations: string[] = [];
  let endedAs = 'not ended';
  let retried: string | null = null;
  let evidence = '';
  try {
    await reset(world, host, name);
    const before = await allPackages(host);
    const [first, again] = await attempt(world, host, fault, name, tools, violations);
    endedAs = nameOf(first);
    retried = again === null ? null : nameOf(again);
    await checkHost(host, fault, before, again ?? first, violations);
    await checkStory(host, again ?? first, violations);
    if (violations.length > 0) evidence = await evidenceOf(host, again ?? first);
  } catch (error) {
    violations.push(`the run itself: ${String(error)}`);
  } finally {
    world.spoil(name, null);
    if (fault.kind === 'clock_skew') await setClock(host, null, tools.faketime).catch(() => undefined);
  }
  return {
    seed,
    kind: fault.kind,
    ended: endedAs,
    retried,
    seconds: monotonicSeconds() - started,
    violations,
    evidence,
  };
}

async function evidenceOf(host: Host, { events }: Detail): Promise<string> {
  const audit = await host.run(['dpkg', '--audit']);
  const log = await host.run(['tail', '-n', '60', '/var/log/dpkg.log']);
  return [...events.slice(-14).map((event) => JSON.stringify(event)), audit.stdout, log.stdout].join('\n');
}

type Detail = Static<typeof TaskDetail>;

function nameOf({ task }: Detail): string {
  return task.reason === null || task.state === 'succeeded'
    ? task.state
    : `${task.state}(${task.reason.code})`;
}

/** The first attempt, and where that did not succeed, the one after the fault is gone. */
async function attempt(
  world: World,
  host: Host,
  fault: Fault,
  name: string,
  tools: { readonly faketime: string },
  violations: string[],
): Promise<[Detail, Detail | null]> {
  const { product } = world.faultLab;
  if (fault.kind === 'reboot_not_back') return [await rebootNotBack(world, host, name, violations), null];
  if (fault.kind === 'window_closes_download' || fault.kind === 'window_closes_install') {
    return [await windowCloses(world, host, fault, name, violations), null];
  }
  const rollback = fault.rollback ? { rollback: { on: 'any_failure', method: 'packages' } } : {};
  const job = await makeJob(world, host, `${fault.kind} ${name}`, rollback);
  const second = fault.kind === 'two_jobs' ? await makeJob(world, host, `second ${name}`, {}) : null;
  if (fault.slow !== null) await slow(host, fault.slow.script, fault.slow.seconds);
  if (fault.kind === 'clock_skew') await setClock(host, fault.skewHours, tools.faketime);
  await prepareFault(world, host, fault, name);

  const deployment = await world.ask(() => startJob(product, job));
  if (second !== null) await refusesSecond(world, second, violations);
  const happened = await inject(world, host, fault);
  const task = await untilState(world, deployment, ended, 180);
  const first = await world.ask(() => taskDetail(product, task.id));
  const expected = expectedFailures[fault.kind];
  if (expected !== undefined) {
    const code = first.task.reason?.code ?? 'none';
    const rolledBack = first.task.state === 'rolled_back';
    if (!rolledBack && (first.task.state !== 'failed' || !expected.includes(code))) {
      violations.push(`${happened}: ended as ${nameOf(first)}, expected failed(${expected.join(' or ')})`);
    }
  }
  if (first.task.state === 'succeeded') return [first, null];

  // The fault is over; what it left must not keep the host from being patched.
  world.spoil(name, null);
  if (fault.kind === 'disk_full_download' || fault.kind === 'disk_full_install') {
    await makeRoom(host, fullFolders[fault.kind]);
  }
  if (fault.kind === 'clock_skew') await setClock(host, null, tools.faketime);
  await slow(host, 'preinst', null);
  await untilOver(world, deployment);
  await world.ask(() => act(product, deployment, 'retry_failed'));
  await untilState(
    world,
    deployment,
    ['queued', 'offered', 'downloading', 'staged', 'installing', ...ended],
    60,
  );
  await sleep(0.5);
  await untilState(world, deployment, ended, 120);
  const again = await world.ask(() => taskDetail(product, task.id));
  if (again.task.state !== 'succeeded') {
    violations.push(`after the fault was gone, the retry ended as ${nameOf(again)}`);
  }
  return [first, again];
}

async function untilOver(world: World, deployment: string): Promise<void> {
  await waitFor(
    'the deployment to be over',
    async () => {
      const detail = await world.ask(() => deploymentDetail(world.faultLab.product, deployment));
      return detail.deployment.state === 'completed' ? true : undefined;
    },
    { timeoutSeconds: 60, everySeconds: 0.3 },
  );
}

/** One asset is worked on by one deployment at a time. */
async function refusesSecond(world: World, job: string, violations: string[]): Promise<void> {
  try {
    await startJob(world.faultLab.product, job);
    violations.push('a second deployment was started on an asset that has a task');
  } catch (error) {
    if (!/nothing_to_do|task_under_way/u.test(String(error))) {
      violations.push(`the second deployment was refused for another reason: ${String(error)}`);
    }
  }
}

/** A window that closes a few seconds after the start, at the next full minute that leaves time for the start. */
async function windowCloses(
  world: World,
  host: Host,
  fault: Fault,
  name: string,
  violations: string[],
): Promise<Detail> {
  const { product } = world.faultLab;
  const lead = fault.kind === 'window_closes_install' ? 7 : 4;
  const minute = 60_000;
  const soon = now().getTime() + 25_000;
  const closesAt = Math.ceil(soon / minute) * minute;
  const opens = new Date(closesAt - 5 * minute).toISOString().slice(0, 16);
  const job = await makeJob(world, host, `${fault.kind} ${name}`, {
    windows: [{ zone: 'UTC', opens: { kind: 'once', local: opens }, duration_minutes: 5 }],
    expire_after_seconds: 60,
  });
  if (fault.kind === 'window_closes_install') await slow(host, 'postinst', 12);
  await prepareFault(world, host, fault, name);
  await sleep(Math.max(0, (closesAt - now().getTime()) / 1000 - lead));
  const deployment = await world.ask(() => startJob(product, job));
  const task = await untilState(world, deployment, ended, 240);
  const detail = await world.ask(() => taskDetail(product, task.id));
  const begun = await unpackedAt(host, good, fixedVersion);
  if (begun.some((at) => at * 1000 >= closesAt))
    violations.push('an installation was begun outside of the window');
  // What was begun goes on to its end. On a busy machine it may not have been begun in time.
  const wanted = begun.length > 0 ? 'succeeded' : 'expired';
  if (begun.length > 0 && fault.kind === 'window_closes_download')
    violations.push('installed before it was loaded');
  if (detail.task.state !== wanted) violations.push(`ended as ${nameOf(detail)}, expected ${wanted}`);
  return detail;
}

/** The host goes down for the reboot that its task asked for, and stays down for a while. */
async function rebootNotBack(world: World, host: Host, name: string, violations: string[]): Promise<Detail> {
  const { product } = world.faultLab;
  const reboots = 'fixpoint-lab-reboots';
  await host.runOrThrow(
    ['apt-get', 'install', '--yes', '--quiet', '--allow-downgrades', `${reboots}=${vulnerableVersion}`],
    { timeoutSeconds: 60 },
  );
  await host.runOrThrow(['rm', '-f', '/run/reboot-required', '/run/reboot-required.pkgs']);
  const job = await makeJob(
    world,
    host,
    `reboot ${name}`,
    { reboot: { mode: 'force', countdown_seconds: 2, back_within_seconds: 10 } },
    reboots,
  );
  const bootId = await host.bootId();
  const boots = host.bootCount();
  const deployment = await world.ask(() => startJob(product, job));
  await untilState(world, deployment, ['rebooting'], 90);
  await untilDown(host, boots);
  await host.powerOff();
  await waitFor(
    'the alert that the host is not back',
    async () => {
      const raised = await world.ask(() => alerts(product));
      return raised.some((one) => one.kind === 'reboot_not_back' && one.message.includes(host.name))
        ? true
        : undefined;
    },
    { timeoutSeconds: 120, everySeconds: 1 },
  ).catch((error: unknown) => violations.push(String(error)));
  await host.powerOn();
  const task = await untilState(world, deployment, ended, 120);
  const detail = await world.ask(() => taskDetail(product, task.id));
  if (detail.task.state !== 'succeeded') violations.push(`ended as ${nameOf(detail)}, expected succeeded`);
  if ((await host.bootId()) === bootId) violations.push('the host has not rebooted');
  if (!statesOf(detail).includes('rebooting'))
    violations.push('the reboot is not in the history of the task');
  return detail;
}

/** Whatever happened: the package manager is at rest, at one of the two versions, and nothing else has changed. */
async function checkHost(
  host: Host,
  fault: Fault,
  before: readonly string[],
  detail: Detail,
  violations: string[],
): Promise<void> {
  const facts = await hostFacts(host);
  if (facts.audit !== '') violations.push(`dpkg --audit: ${facts.audit}`);
  const planned = new Set(detail.task.packages.map((p) => `${p.name}:${p.arch}`));
  const unplanned = (await allPackages(host)).filter(
    (line) => !before.includes(line) && !planned.has(line.split(' ')[0] ?? ''),
  );
  if (fault.kind !== 'reboot_not_back' && unplanned.length > 0) {
    violations.push(`changed beyond the plan: ${unplanned.join(', ')}`);
  }
  if (fault.kind === 'reboot_not_back') return;
  const isFixed = facts.state === `${fixedVersion} ii`;
  const isAsBefore = facts.state === `${vulnerableVersion} ii`;
  if (!isFixed && !isAsBefore) violations.push(`neither the one version nor the other: ${facts.state}`);
  if (isFixed !== (detail.task.state === 'succeeded')) {
    violations.push(`the task says ${nameOf(detail)}, the host ${facts.state}`);
  }
  // A script whose package manager was cut off before it wrote down the script's end runs again, once for each time: dpkg's own rule.
  const cutOff: Partial<Record<Fault['kind'], number>> = {
    kill_package_manager: fault.times,
    power_off: 1,
    disk_full_install: 1,
  };
  const attempts = 1 + (cutOff[fault.kind] ?? 0);
  for (const line of [`unpacked ${fixedVersion}`, `configured ${fixedVersion}`]) {
    const count = facts.log.filter((one) => one === line).length;
    if (count > attempts) violations.push(`"${line}" happened ${String(count)} times`);
  }
}

/** The host's own journal and the server's record tell the same. */
async function checkStory(host: Host, detail: Detail, violations: string[]): Promise<void> {
  const { task } = detail;
  const generations = (
    await host.runOrThrow([
      'sh',
      '-c',
      `ls -d /var/lib/fixpoint-agent/tasks/${task.id}.* 2>/dev/null || true`,
    ])
  )
    .trim()
    .split('\n')
    .filter((line) => line !== '')
    .map((path) => Number(path.split('.').at(-1)))
    .sort((a, b) => a - b);
  const told: string[] = [];
  for (const generation of generations) {
    const journal = await journalOf(host, task.id, generation);
    told.push(...journal.flatMap((entry) => entry.event?.state ?? []));
    if (journal.filter((entry) => entry.step === 'install' && entry.phase === 'begin').length > 3) {
      violations.push('an installation was begun more than three times');
    }
  }
  // An order that was refused never had a journal.
  const heard = detail.events
    .filter((event) => event.source === 'agent' && !JSON.stringify(event.detail).includes('"refusal"'))
    .map((event) => event.to);
  const refused = detail.events.some((event) => JSON.stringify(event.detail).includes('"refused"'));
  if (refused) violations.push('the server refused an event of the host');
  if (told.join(' ') !== heard.join(' ')) {
    violations.push(`the host told ${told.join(' ')}, the server heard ${heard.join(' ')}`);
  }
}
