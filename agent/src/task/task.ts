import { existsSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { type TaskEvent } from '@fixpoint/contract/agent.ts';
import { Order, type InstallOrder, type RebootOrder, type RollbackOrder } from '@fixpoint/contract/order.ts';
import { parseJson } from '@fixpoint/contract/parse.ts';
import type { ReportedTaskState } from '@fixpoint/core/task/states.ts';
import { toIso, type Clock } from '../clock.ts';
import { sha256Hex } from '../identity.ts';
import {
  openJournal,
  parseJournal,
  readJournalText,
  type JournalEntry,
  type JournalStep,
} from './journal.ts';
import { readTextIfThere, writeFileAtomically } from '../state-dir.ts';

/** An order that begins a piece of work of its own; a {@link RebootOrder} only lets one go on. */
export type WorkOrder = InstallOrder | RollbackOrder;

/** One order that this host obeys, with the journal of what has been done for it. */
export interface Task<O extends WorkOrder = WorkOrder> {
  readonly order: O;
  readonly payloadDigest: string;
  /** Folder of the journal and of the runs of the package manager. */
  readonly dir: string;
  entries(): readonly JournalEntry[];
  events(): TaskEvent[];
  /** Writes an entry; durable when it returns. */
  note(step: JournalStep, phase: 'begin' | 'done', more?: Pick<JournalEntry, 'event' | 'data'>): void;
  /** How often a step was begun. */
  attempts(step: JournalStep): number;
  isDone(step: JournalStep): boolean;
  /** Whether the last attempt at a step was begun and not noted as done. */
  isOpen(step: JournalStep): boolean;
  hasEnded(): boolean;
  /** The state that the server was last told, or will be next; null before the first. */
  state(): ReportedTaskState | null;
  /** Highest event index that the server has applied; -1 before the first. */
  deliveredIndex(): number;
  delivered(index: number): void;
  /** The last reboot that the server has let this task go on to; null before the first. */
  rebootOrder(): RebootOrder | null;
  close(): void;
}
export type InstallTask = Task<InstallOrder>;
export type RollbackTask = Task<RollbackOrder>;

export function isInstallTask(task: Task): task is InstallTask {
  return task.order.action === 'install';
}

export function isRollbackTask(task: Task): task is RollbackTask {
  return task.order.action === 'roll_back';
}

const journalFile = 'journal.log';
const deliveredFile = 'delivered';
const keptEnded = 20;

function taskDir(stateDir: string, order: Pick<Order, 'task_id' | 'generation'>): string {
  return join(stateDir, 'tasks', `${order.task_id}.${String(order.generation)}`);
}

/** Takes an order: after this returns, a crash does not lose it, and its sequence counts as obeyed. */
export function acceptTask(stateDir: string, order: WorkOrder, payload: string, clock: Clock): Task {
  const dir = taskDir(stateDir, order);
  const journal = openJournal(join(dir, journalFile));
  if (journal.entries().length === 0) {
    journal.append({ at: toIso(clock.now()), step: 'accepted', phase: 'done', data: { payload } });
  }
  journal.close();
  const task = openTask(dir, clock);
  if (task === null) throw new Error('a task that was just accepted cannot be read');
  return task;
}

/** Opens the task of a folder; null when its journal does not hold an accepted order. */
export function openTask(dir: string, clock: Clock): Task | null {
  const payload = acceptedPayload(parseJournal(readJournalText(join(dir, journalFile))).entries);
  if (payload === null) return null;
  const parsed = parseJson(Order, payload);
  if (!parsed.ok || parsed.value.action === 'reboot') return null;
  const order: WorkOrder = parsed.value;
  const journal = openJournal(join(dir, journalFile));
  const deliveredPath = join(dir, deliveredFile);
  let deliveredIndex = Number(readTextIfThere(deliveredPath) ?? '-1');
  if (!Number.isInteger(deliveredIndex)) deliveredIndex = -1;
  const of = (step: JournalStep): readonly JournalEntry[] => journal.entries().filter((e) => e.step === step);
  return {
    order,
    payloadDigest: sha256Hex(payload),
    dir,
    entries: () => journal.entries(),
    events: () => journal.events(),
    note(step, phase, more) {
      journal.append({ at: toIso(clock.now()), step, phase, ...more });
    },
    attempts: (step) => of(step).filter((e) => e.phase === 'begin').length,
    isDone: (step) => of(step).some((e) => e.phase === 'done'),
    isOpen: (step) => of(step).at(-1)?.phase === 'begin',
    hasEnded: () => of('ended').length > 0,
    state: () => journal.entries().findLast((e) => e.event !== undefined)?.event?.state ?? null,
    deliveredIndex: () => deliveredIndex,
    delivered(index) {
      deliveredIndex = index;
      writeFileAtomically(deliveredPath, String(index));
    },
    rebootOrder() {
      const text = of('permitted').at(-1)?.data?.['payload'];
      const permit = typeof text === 'string' ? parseJson(Order, text) : null;
      return permit?.ok === true && permit.value.action === 'reboot' ? permit.value : null;
    },
    close: () => {
      journal.close();
    },
  };
}

function acceptedPayload(entries: readonly JournalEntry[]): string | null {
  const payload = entries.find((e) => e.step === 'accepted')?.data?.['payload'];
  return typeof payload === 'string' ? payload : null;
}

/** All tasks of this host. */
export interface TaskList {
  /** Those that have ended too, as long as they are remembered. */
  all(): readonly Task[];
  /** Not ended, in the order of their sequence. */
  active(): readonly Task[];
  /** With events that the server has not applied. */
  undelivered(): readonly Task[];
  find(taskId: string): readonly Task[];
  isJournaled(order: Order, payload: string): boolean;
  /** Payload digests of tasks that have ended and whose every event the server has applied, as of now. */
  settled(): ReadonlySet<string>;
  /** The highest sequence obeyed; 0 before the first. */
  lastSequence(): number;
  /** @param onJournaled called once a crash no longer loses the order, before its sequence is written down */
  accept(order: WorkOrder, payload: string, onJournaled?: () => void): Task;
  /** Lets a task that waits for a reboot go on to it; durable when it returns. */
  permitReboot(task: Task, order: RebootOrder, payload: string): void;
  /** Forgets old tasks that have ended and are known to the server. */
  prune(): void;
}

export function openTaskList(stateDir: string, clock: Clock): TaskList {
  const root = join(stateDir, 'tasks');
  const sequencePath = join(stateDir, 'obeyed-sequence');
  const tasks = existsSync(root)
    ? readdirSync(root).flatMap((name) => openTask(join(root, name), clock) ?? [])
    : [];
  const bySequence = (): Task[] => tasks.toSorted((a, b) => a.order.sequence - b.order.sequence);
  // The journal comes first, so it may be ahead of this file by one order.
  let lastSequence = Math.max(
    Number(readTextIfThere(sequencePath) ?? '0') || 0,
    ...tasks.flatMap((task) => [task.order.sequence, task.rebootOrder()?.sequence ?? 0]),
  );
  const isDelivered = (task: Task): boolean => task.deliveredIndex() >= task.events().length - 1;
  return {
    all: () => tasks,
    active: () => bySequence().filter((task) => !task.hasEnded()),
    undelivered: () => bySequence().filter((task) => !isDelivered(task)),
    find: (taskId) => tasks.filter((task) => task.order.task_id === taskId),
    isJournaled(order, payload) {
      const digest = sha256Hex(payload);
      return tasks.some(
        (task) =>
          task.order.task_id === order.task_id &&
          (task.payloadDigest === digest ||
            task.entries().some((e) => e.step === 'permitted' && e.data?.['payload'] === payload)),
      );
    },
    settled: () =>
      new Set(tasks.filter((task) => task.hasEnded() && isDelivered(task)).map((task) => task.payloadDigest)),
    lastSequence: () => lastSequence,
    accept(order, payload, onJournaled) {
      const task = acceptTask(stateDir, order, payload, clock);
      onJournaled?.();
      lastSequence = Math.max(lastSequence, order.sequence);
      writeFileAtomically(sequencePath, String(lastSequence));
      tasks.push(task);
      return task;
    },
    permitReboot(task, order, payload) {
      task.note('permitted', 'done', { data: { payload } });
      lastSequence = Math.max(lastSequence, order.sequence);
      writeFileAtomically(sequencePath, String(lastSequence));
    },
    prune() {
      const old = bySequence()
        .filter((task) => task.hasEnded() && isDelivered(task))
        .slice(0, -keptEnded);
      for (const task of old) {
        task.close();
        rmSync(task.dir, { recursive: true, force: true });
        tasks.splice(tasks.indexOf(task), 1);
      }
    },
  };
}

/** What the status command shows of a task. */
export interface TaskSummary {
  readonly task_id: string;
  readonly generation: number;
  readonly state: ReportedTaskState | null;
  readonly ended: boolean;
}

/** Reads all tasks without touching them: an agent may be at work on them. */
export function readTasks(stateDir: string): TaskSummary[] {
  const root = join(stateDir, 'tasks');
  if (!existsSync(root)) return [];
  return readdirSync(root).flatMap((name) => {
    const { entries } = parseJournal(readJournalText(join(root, name, journalFile)));
    const parsed = parseJson(Order, acceptedPayload(entries) ?? 'null');
    if (!parsed.ok) return [];
    return [
      {
        task_id: parsed.value.task_id,
        generation: parsed.value.generation,
        state: entries.findLast((e) => e.event !== undefined)?.event?.state ?? null,
        ended: entries.some((e) => e.step === 'ended'),
      },
    ];
  });
}
