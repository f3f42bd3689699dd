import { mkdirSync, rmSync, statfsSync } from 'node:fs';
import { join } from 'node:path';
import { refusalByPolicy } from '@fixpoint/core/host-policy/evaluate.ts';
import type { Obstacle, ObstacleKind } from '@fixpoint/core/plan/plan.ts';
import type { HostFacts } from '@fixpoint/core/inventory/inventory.ts';
import type { TaskFailure } from '@fixpoint/core/task/states.ts';
import type { SignedOrder } from '@fixpoint/contract/order.ts';
import { describeProblems, parseJson } from '@fixpoint/contract/parse.ts';
import { Type } from '@fixpoint/contract/schema.ts';
import { SimulationRequest, type SimulationResult } from '@fixpoint/contract/simulation.ts';
import { toIso, type Clock } from './clock.ts';
import type { PackageFiles } from './collect/package-source.ts';
import { blame, blameMessage } from './distribution.ts';
import { reportableOutput } from './execute/apt-output.ts';
import type {
  DistributionPoint,
  Executor,
  OrderedChanges,
  PackageState,
  Simulated,
} from './execute/executor.ts';
import { messageOf } from './failure.ts';
import { sha256Hex, verifySignature } from './identity.ts';
import type { Log } from './log.ts';
import { unitsRunning } from './mapped-units.ts';
import { readHostPolicy } from './policy.ts';
import { runCommand } from './run-command.ts';
import { isSafeName, isSafeVersion } from './trust.ts';
import { rollbackSupport } from './task/rollback-support.ts';
import type { Session } from './session.ts';
import type { Enrolment } from './state-dir.ts';
import type { Turns } from './turns.ts';

/**
 * Questions of the server to the package manager of this host: what would an order really do? Its own solver answers, in a
 * transaction that is only simulated. Nothing on the host is changed but the lists of the repositories.
 */
export interface Simulations {
  /** Answers those that are asked, in the background; one that is being answered, or was, is not begun again. */
  answer(asked: readonly SignedOrder[]): void;
}

/** What answering needs of the agent. */
export interface SimulationParts {
  readonly clock: Clock;
  readonly log: Log;
  readonly enrolment: Pick<Enrolment, 'asset_id' | 'server_key'>;
  readonly session: Pick<Session, 'call'>;
  readonly files: Pick<PackageFiles, 'ownersOf'>;
  readonly stateDir: string;
  host(): Promise<Pick<HostFacts, 'arch' | 'machine'>>;
  executorAt(dir: string, name: string): Executor;
  /** `avoided`: points that did not do just now; null is the server's own. */
  distributionPoint(avoided: ReadonlySet<string | null>): Promise<DistributionPoint>;
}

const commandSeconds = 600;
/** What must stay free besides what is loaded and unpacked. */
const spareBytes = 64 * 1024 * 1024;
/** The lists of the repositories are not read again for every question of a plan. */
const freshSeconds = 600;
const rememberedMaximum = 1_000;
const skewSeconds = 300;

/** One folder for each that is being answered. */
export function simulationsDir(stateDir: string): string {
  return join(stateDir, 'simulations');
}

export function createSimulations(parts: SimulationParts, turns: Turns): Simulations {
  const { clock, enrolment, log, session } = parts;
  const known = new Set<string>();
  let refreshedAt = Number.NEGATIVE_INFINITY;

  /** The question, when it is one of this host's server to this host; else null, and why is in the log. */
  function trusted(signed: SignedOrder): SimulationRequest | null {
    const refuse = (reason: string): null => {
      log('warn', 'a question about a plan is not answered', { reason });
      return null;
    };
    const key = enrolment.server_key;
    const text = `fixpoint-simulation-v1\n${signed.payload}`;
    if (signed.key_id !== key.key_id || !verifySignature(key.public_key, text, signed.signature)) {
      return refuse('it is not signed by the server that this host is enrolled at');
    }
    const parsed = parseJson(SimulationRequest, signed.payload);
    if (!parsed.ok) return refuse(describeProblems(parsed.problems));
    const request = parsed.value;
    if (request.asset_id !== enrolment.asset_id) return refuse('it is for another host');
    if (clock.now() >= Date.parse(request.expires_at)) return refuse('it has expired');
    if (Date.parse(request.issued_at) > clock.now() + skewSeconds * 1000) {
      return refuse('it comes from the future');
    }
    const safe = request.packages.every(
      (p) => isSafeName(p.name) && isSafeName(p.arch) && isSafeVersion(p.to) && isSafeVersion(p.from),
    );
    return safe ? request : refuse('it names a package or version that the package manager could not have');
  }

  async function run(executor: Executor, step: 'refresh' | 'simulate', changes: OrderedChanges) {
    const { argv, env } = executor.command(step, changes);
    const result = await runCommand(argv, { timeoutSeconds: commandSeconds, env });
    const output = `${result.stdout}\n${result.stderr}`;
    const exitCode = result.ok ? 0 : (result.exitCode ?? 255);
    return { output, judged: executor.judge(step, exitCode, output, changes), exited: exitCode === 0 };
  }

  /** Reads the repositories, unless that was done just now: as in a task, where one point does not do, through the next. */
  async function refresh(
    executor: Executor,
    changes: OrderedChanges,
    remarks: Obstacle[],
  ): Promise<DistributionPoint> {
    const avoided = new Set<string | null>();
    for (;;) {
      const dp = await parts.distributionPoint(avoided);
      executor.prepare(dp, null);
      if (clock.elapsedSeconds() - refreshedAt <= freshSeconds) return dp;
      const { judged, output } = await run(executor, 'refresh', changes);
      if (judged.ok) {
        refreshedAt = clock.elapsedSeconds();
        return dp;
      }
      const told = blame(dp, judged.failure, output);
      if (told === null || avoided.has(told.point)) {
        // What was known before may be enough; if it is not, the simulation says so.
        remarks.push({ kind: obstacleOf(judged.failure), message: judged.message });
        return dp;
      }
      log('warn', blameMessage(told), { files: told.files });
      avoided.add(told.point);
    }
  }

  async function simulate(request: SimulationRequest): Promise<SimulationResult> {
    const dir = join(simulationsDir(parts.stateDir), request.simulation_id);
    mkdirSync(dir, { recursive: true, mode: 0o700 });
    const executor = parts.executorAt(dir, `simulation-${request.simulation_id}`);
    const changes: OrderedChanges = { packages: request.packages, added: [], removed: [] };
    const obstacles: Obstacle[] = [];
    const remarks: Obstacle[] = [];
    try {
      const dp = await refresh(executor, changes, remarks);
      const solved = await run(executor, 'simulate', changes);
      const state = await executor.state();
      // A difference from what was asked for is just what is to be found out, and no failure.
      if (!solved.judged.ok && !(solved.exited && solved.judged.failure === 'plan_differs')) {
        obstacles.push({ kind: obstacleOf(solved.judged.failure), message: solved.judged.message });
      }
      const simulated: Simulated = solved.exited
        ? executor.simulated(solved.output)
        : { changed: [], removed: [], downloadBytes: null, diskBytes: null };
      const host = await parts.host();
      const answer = describe(request, simulated, state, host.arch);
      const touched = [...answer.upgraded, ...answer.added, ...answer.removed];
      const { policy } = readHostPolicy();
      const forbidden =
        policy === null
          ? null
          : refusalByPolicy(policy, {
              action: 'install',
              packages: answer.upgraded,
              added: answer.added,
              removed: answer.removed,
            });
      if (forbidden !== null) obstacles.push({ kind: 'host_policy', message: forbidden });
      const sizes =
        simulated.downloadBytes === null || simulated.diskBytes === null
          ? ((await executor.sizes?.(simulated)) ?? { downloadBytes: 0, diskBytes: 0 })
          : { downloadBytes: simulated.downloadBytes, diskBytes: simulated.diskBytes };
      const free = Math.min(freeBytes('/'), freeBytes('/var'));
      const needed = sizes.downloadBytes + Math.max(0, sizes.diskBytes) + spareBytes;
      if (free < needed) {
        obstacles.push({
          kind: 'disk_too_small',
          message: `${mebibytes(free)} are free, ${mebibytes(needed)} are needed.`,
        });
      }
      const earlier = [...answer.upgraded, ...answer.removed.map((p) => ({ ...p, from: p.version }))];
      const support = await rollbackSupport(earlier, executor, parts.stateDir);
      const rollback = { ...support, reasons: [...support.reasons] };
      const names = new Set(touched.map((p) => p.name));
      return {
        simulation_id: request.simulation_id,
        at: toIso(clock.now()),
        upgraded: answer.upgraded.slice(0, 2_000),
        added: answer.added.slice(0, 1_000),
        removed: answer.removed.slice(0, 1_000),
        download_bytes: sizes.downloadBytes,
        disk_bytes: sizes.diskBytes,
        disk_free_bytes: free,
        restarts: (await unitsRunning(names, parts.files)).slice(0, 1_000),
        reboot: wantsReboot(touched, host.machine),
        rollback,
        obstacles: obstacles.slice(0, 100),
        remarks: remarks.slice(0, 100),
        output: reportableOutput(solved.output, [dp.password, encodeURIComponent(dp.password)]),
      };
    } finally {
      executor.cleanUp();
      rmSync(dir, { recursive: true, force: true });
    }
  }

  async function answerOne(request: SimulationRequest): Promise<void> {
    const result = await turns.take(() => simulate(request));
    const answer = await session.call('/agent/v1/simulations', result, Type.Unknown());
    if (!answer.ok) {
      log('warn', 'the server did not take the answer about a plan', { code: answer.code });
    }
  }

  return {
    answer(asked) {
      for (const signed of asked) {
        const digest = sha256Hex(signed.payload);
        if (known.has(digest)) continue;
        if (known.size > rememberedMaximum) known.clear();
        known.add(digest);
        const request = trusted(signed);
        if (request === null) continue;
        void answerOne(request).catch((error: unknown) => {
          // The server asks again, and then it is tried again.
          known.delete(digest);
          log('warn', 'a question about a plan could not be answered', { reason: messageOf(error) });
        });
      }
    },
  };
}

interface Described {
  readonly upgraded: SimulationResult['upgraded'];
  readonly added: SimulationResult['added'];
  readonly removed: SimulationResult['removed'];
}

/** Gives every package of a simulation its architecture and versions, from what is installed where the output does not say. */
function describe(
  request: SimulationRequest,
  simulated: Simulated,
  state: PackageState,
  hostArch: string,
): Described {
  const archs = new Map<string, string[]>();
  for (const key of state.versions.keys()) {
    const [name = key, arch = hostArch] = key.split(':');
    archs.set(name, [...(archs.get(name) ?? []), arch]);
  }
  const place = (given: string, said: string | null): { name: string; arch: string } => {
    const [name = given, written] = given.split(':');
    const asked = request.packages.filter((p) => p.name === name);
    const installed = archs.get(name) ?? [];
    const one = asked.length === 1 ? asked[0]?.arch : undefined;
    const arch =
      written ?? said ?? one ?? (installed.includes(hostArch) ? hostArch : installed[0]) ?? hostArch;
    return { name, arch };
  };
  const upgraded: Described['upgraded'] = [];
  const added: Described['added'] = [];
  for (const p of simulated.changed) {
    const { name, arch } = place(p.name, p.arch);
    if (p.from === null) added.push({ name, arch, version: p.to });
    else upgraded.push({ name, arch, from: p.from, to: p.to });
  }
  const removed = simulated.removed.map((p) => {
    const { name, arch } = place(p.name, p.arch);
    return { name, arch, version: p.version ?? state.versions.get(`${name}:${arch}`) ?? 'unknown' };
  });
  return { upgraded, added, removed };
}

/** What a failure of a simulated transaction is in the words of plans. */
export function obstacleOf(failure: TaskFailure): ObstacleKind {
  switch (failure) {
    case 'dependency_conflict':
    case 'version_not_available':
    case 'lock_held':
    case 'package_manager_broken':
      return failure;
    case 'repository_unreachable':
    case 'download_failed':
    case 'signature_invalid':
    case 'hash_mismatch':
      return 'repository_missing';
    case 'disk_full':
      return 'disk_too_small';
    case 'plan_differs':
      return 'package_held';
    default:
      return 'other';
  }
}

/** Kernels and processors' microcode; what else wants a reboot says so only when it is installed. */
function wantsReboot(
  touched: readonly { readonly name: string }[],
  machine: 'physical_or_virtual' | 'container',
): boolean {
  return touched.some(
    ({ name }) =>
      machine !== 'container' &&
      /^(?:linux-image-(?:unsigned-)?\d|kernel(?:-core|-default)?$|(?:intel|amd64)-microcode$)/u.test(name),
  );
}

function freeBytes(path: string): number {
  const { bavail, bsize } = statfsSync(path);
  return bavail * bsize;
}

function mebibytes(bytes: number): string {
  return `${String(Math.ceil(bytes / (1024 * 1024)))} MiB`;
}
