import {
  CheckInResponse,
  TaskEventsResponse,
  TaskLogResponse,
  type CheckInRequest,
} from '@fixpoint/contract/agent.ts';
import { type SignedOrder } from '@fixpoint/contract/order.ts';
import type { InventoryDigests } from '@fixpoint/core/inventory/inventory.ts';
import { Type } from '@fixpoint/contract/schema.ts';
import type { Clock } from './clock.ts';
import { heldTo } from './collect/held-to.ts';
import { ordersProblem, type CollectProblem, type PackageSource } from './collect/package-source.ts';
import { createServerContact } from './contact.ts';
import { avoidedBy, createDistribution } from './distribution.ts';
import type { DistributionPoint, Executor } from './execute/executor.ts';
import { AgentFailure, codeOf, messageOf } from './failure.ts';
import type { CollectedInventory, InventoryCollector } from './inventory.ts';
import type { InventoryReporter } from './inventory-report.ts';
import { takeLeftoversAway } from './leftovers.ts';
import type { Log } from './log.ts';
import { createPace } from './pace.ts';
import { readBootId } from './process.ts';
import type { RandomSource } from './random.ts';
import type { Refusals } from './refusals.ts';
import type { Session } from './session.ts';
import type { Enrolment } from './state-dir.ts';
import type { TaskContext } from './task/context.ts';
import type { Task, TaskList } from './task/task.ts';
import { createOrderTaker } from './take-order.ts';
import { createSimulations } from './simulate.ts';
import { createStanding } from './standing.ts';
import { createTaskLogs } from './task-log.ts';
import { createTaskWork, Ending } from './task-work.ts';
import { createTurns } from './turns.ts';
import { mayRebootNow, readHostPolicy } from './policy.ts';

/** The loop: says what this host is and does, hears what is wanted, and never ends for what the server does. */

export interface AgentParts {
  readonly enrolment: Enrolment;
  readonly version: string;
  readonly clock: Clock;
  readonly random: RandomSource;
  readonly log: Log;
  readonly session: Session;
  /** The package manager of this host. */
  readonly source: Pick<PackageSource, 'manager' | 'takesOrders' | 'files'>;
  /** The package manager, with its configuration in `dir` and its downloads under `name`. */
  readonly executorAt: (dir: string, name: string) => Executor;
  readonly collector: InventoryCollector;
  readonly reporter: InventoryReporter;
  readonly tasks: TaskList;
  readonly refusals: Refusals;
  /** What tasks are handed besides what the loop itself gives them. */
  readonly taskParts: Pick<
    TaskContext,
    'stopAt' | 'touched' | 'stateDir' | 'ownUnit' | 'machine' | 'createExecutor'
  >;
  /** Aborted when the agent is to end. */
  readonly signal: AbortSignal;
  readonly restartAgent: () => void;
}

const eventsInOneCall = 100;

/** Runs until the signal is aborted. A step of a task that is under way then is left to the next agent. */
export async function runAgent(parts: AgentParts): Promise<void> {
  const { clock, random, log, session, collector, reporter, tasks, refusals, signal, enrolment } = parts;
  takeLeftoversAway(parts);
  const cancelled = new Set<string>();
  const superseded = new Set<Task>();
  const orders = createOrderTaker(parts, { cancelled, superseded });
  const standing = createStanding(clock);
  const turns = createTurns();
  const simulations = createSimulations(
    {
      ...parts,
      files: parts.source.files,
      stateDir: parts.taskParts.stateDir,
      host: async () => (await collector.collect()).inventory.host,
      distributionPoint,
    },
    turns,
  );
  const distribution = createDistribution({
    ...parts,
    serverUrl: enrolment.server_url,
    assetId: enrolment.asset_id,
  });
  const contact = createServerContact(clock);
  const pace = createPace(clock, random);
  const taskLogs = createTaskLogs({
    ...parts,
    send: (request) => hearing(() => session.call('/agent/v1/task-log', request, TaskLogResponse)),
  });
  let delivering: Promise<void> = Promise.resolve();

  const context: TaskContext = {
    ...parts.taskParts,
    clock,
    log,
    collector,
    isCancelled: (task) => superseded.has(task) || cancelled.has(task.order.task_id),
    restartAgent: parts.restartAgent,
    policy: readHostPolicy,
    mayRebootNow: (now) => mayRebootNow(readHostPolicy(), now),
    output: (task, step, text) => {
      taskLogs.write(task, step, text);
    },
    async askedServer(task, waitSeconds) {
      const answer = await standing.next(waitSeconds, signal, () => {
        pace.checkInNow();
      });
      if (signal.aborted) throw new Ending();
      return answer === null
        ? null
        : { held: answer.held.has(task.order.task_id), clockSkewSeconds: answer.clockSkewSeconds };
    },
    async pause(seconds) {
      await clock.sleep(seconds, signal);
      if (signal.aborted) throw new Ending();
    },
    wake: () => {
      pace.wake();
      taskLogs.wake();
    },
    distributionPoint: (task) => untilReached(() => distributionPoint(avoidedBy(task.entries()))),
    async distributionPointNow(task) {
      try {
        return await distributionPoint(avoidedBy(task.entries()));
      } catch {
        return null;
      }
    },
    async serverWasOut(sinceSeconds) {
      const out = await contact.wasOut(sinceSeconds, signal);
      if (signal.aborted) throw new Ending();
      return out;
    },
    async tryReport(waitSeconds) {
      const attempt = hearing(async () => {
        try {
          await deliver();
          await sendInventory();
        } catch (error) {
          log('warn', 'the server could not be told yet', { reason: messageOf(error) });
        }
      });
      await Promise.race([attempt, clock.sleep(waitSeconds, signal)]);
      if (signal.aborted) throw new Ending();
    },
    reportInventory: () => untilReached(sendInventory),
  };

  const work = createTaskWork({ tasks, turns, context, log, signal });

  /** Does what may call the server: an answer to it ends the waiting of the check-ins. */
  async function hearing<T>(attempt: () => Promise<T>): Promise<T> {
    const before = session.answers();
    try {
      return await attempt();
    } finally {
      if (session.answers() > before) pace.answered();
    }
  }

  async function distributionPoint(avoided: ReadonlySet<string | null>): Promise<DistributionPoint> {
    const chosen = await distribution.choose(avoided);
    taskLogs.keepSecret(chosen.password);
    return chosen;
  }

  async function sendInventory(): Promise<InventoryDigests> {
    return reporter.send(await collector.collect('now'));
  }

  /** Tries until it works; throws only when the agent ends, or for a reason that is not the server's. */
  async function untilReached<T>(attempt: () => Promise<T>): Promise<T> {
    for (let failures = 1; ; failures++) {
      if (signal.aborted) throw new Ending();
      try {
        return await hearing(attempt);
      } catch (error) {
        if (!(error instanceof AgentFailure) || !outages.has(error.code)) throw error;
        await pace.pause(failures, signal);
      }
    }
  }

  async function checkIn(): Promise<number> {
    // A task has asked for it and hears the answer: to begin with all tasks anew would make it ask again, without end.
    const isAsked = standing.isAwaited();
    const problems: CollectProblem[] = [
      ...ordersProblem(parts.source, enrolment.mode, await heldTo(parts.source.manager)),
    ];
    let collected: CollectedInventory | null;
    try {
      collected = await collector.collect();
    } catch (error) {
      log('error', 'the inventory could not be collected', { reason: messageOf(error) });
      collected = collector.current();
      // Without any inventory there is nothing to check in with.
      if (collected === null) throw error;
      problems.push({ code: codeOf(error) || 'collect_failed', message: messageOf(error).slice(0, 2_000) });
    }
    problems.push(...collected.problems);
    const request: CheckInRequest = {
      agent_version: parts.version,
      boot_id: readBootId(),
      digests: collected.digests,
      tasks: tasks
        .active()
        .flatMap((task) => {
          const state = task.state();
          return state === null
            ? []
            : [{ task_id: task.order.task_id, generation: task.order.generation, state }];
        })
        .slice(0, 100),
      ...(problems.length === 0 ? {} : { problems }),
    };
    // Before the question: a server that knew how these ended when it was asked hands none of them out again.
    const settled = tasks.settled();
    const askedAt = clock.elapsedSeconds();
    const answer = await session.call('/agent/v1/check-in', request, CheckInResponse);
    if (!answer.ok) {
      throw new AgentFailure(
        'check_in_refused',
        `the server refused the check-in: ${answer.message} (${answer.code})`,
        'See the log of the server.',
      );
    }
    const response = answer.value;
    const cancelledBefore = cancelled.size;
    const sequenceBefore = tasks.lastSequence();
    for (const id of response.cancelled_tasks) cancelled.add(id);
    reporter.learn(response.inventory);
    if (response.inventory === null || differ(response.inventory, collected.digests)) {
      await reporter.send(collected);
    }
    for (const signed of bySequence(response.orders)) orders.take(signed, collected, settled);
    standing.heard(response, clock.now(), askedAt);
    distribution.heard(response.distribution_point);
    taskLogs.watched(response.watched_tasks ?? []);
    simulations.answer(response.simulations ?? []);
    await deliver();
    if (!isAsked || cancelled.size !== cancelledBefore || tasks.lastSequence() !== sequenceBefore)
      work.start();
    return response.next_check_in_seconds;
  }

  /** Sends what the server does not know: refusals, then events, task by task in order. */
  function deliver(): Promise<void> {
    const next = delivering.then(deliverAll);
    delivering = next.catch(() => undefined);
    return next;
  }

  async function deliverAll(): Promise<void> {
    for (const refusal of refusals.pending()) {
      const answer = await session.call('/agent/v1/refusals', refusal, Type.Unknown());
      if (!answer.ok) log('warn', 'the server did not take a refusal', { code: answer.code });
      refusals.delivered(refusal);
    }
    for (const task of tasks.undelivered()) await deliverEvents(task);
    tasks.prune();
  }

  async function deliverEvents(task: Task): Promise<void> {
    for (;;) {
      const events = task
        .events()
        .slice(task.deliveredIndex() + 1)
        .slice(0, eventsInOneCall);
      const last = events.at(-1);
      if (last === undefined) return;
      const answer = await session.call(
        '/agent/v1/task-events',
        { task_id: task.order.task_id, generation: task.order.generation, events },
        TaskEventsResponse,
      );
      if (!answer.ok) {
        log('warn', 'the server did not take events of a task', {
          task_id: task.order.task_id,
          code: answer.code,
          reason: answer.message,
        });
        // It will not take them later either; the host's own journal keeps them.
        task.delivered(last.index);
        continue;
      }
      const before = task.deliveredIndex();
      task.delivered(Math.min(answer.value.accepted_index, task.events().length - 1));
      if (answer.value.ended) cancelled.add(task.order.task_id);
      if (task.deliveredIndex() <= before) {
        // Events that it does not move on by would be sent for ever.
        task.delivered(last.index);
      }
    }
  }

  // Not only whoever sleeps now: an end that is asked for during a check-in must not be slept over after it.
  signal.addEventListener('abort', () => {
    pace.wake();
  });
  work.start();
  void taskLogs.run();
  while (!signal.aborted) {
    try {
      if (pace.isDue()) {
        const askedAt = clock.elapsedSeconds();
        const seconds = await checkIn();
        contact.answered(clock.elapsedSeconds() - askedAt);
        pace.checkedIn(seconds);
      } else await hearing(deliver);
    } catch (error) {
      contact.failed();
      const { failures, retrySeconds } = pace.failed();
      log('warn', 'check-in failed', {
        code: codeOf(error) || 'unexpected',
        reason: messageOf(error),
        failures,
        retry_seconds: Math.round(retrySeconds * 10) / 10,
      });
    }
    await pace.sleep();
  }
}

const outages = new Set([
  'server_unreachable',
  'server_failed',
  'answer_invalid',
  'credentials_refused',
  'inventory_refused',
]);

function differ(a: InventoryDigests, b: InventoryDigests): boolean {
  return (
    a.packages !== b.packages || a.candidates !== b.candidates || a.host !== b.host || a.residue !== b.residue
  );
}

/** In the order of their making, as far as their unverified payloads tell; an order that cannot be read comes last. */
function bySequence(orders: readonly SignedOrder[]): SignedOrder[] {
  const sequenceOf = ({ payload }: SignedOrder): number => {
    try {
      const value: unknown = JSON.parse(payload);
      const sequence =
        typeof value === 'object' && value !== null && 'sequence' in value
          ? Number(value.sequence)
          : Number.NaN;
      return Number.isFinite(sequence) ? sequence : Number.MAX_SAFE_INTEGER;
    } catch {
      return Number.MAX_SAFE_INTEGER;
    }
  };
  return orders.toSorted((a, b) => sequenceOf(a) - sequenceOf(b));
}
