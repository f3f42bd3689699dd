import type { InventoryDigests } from '@fixpoint/core/inventory/inventory.ts';
import type { TaskFailure } from '@fixpoint/core/task/states.ts';
import type { TaskEvent } from '@fixpoint/contract/agent.ts';
import type { Clock } from '../clock.ts';
import type { DistributionPoint, Executor } from '../execute/executor.ts';
import type { TouchedPackages } from '../file-residue.ts';
import type { InventoryCollector } from '../inventory.ts';
import type { HostPolicyFile } from '../policy.ts';
import type { Log } from '../log.ts';
import type { RebootHost } from '../reboot-host.ts';
import type { StopAt } from '../stop-at.ts';
import type { Task } from './task.ts';

/** What the steps of a task are handed. */
export interface TaskContext {
  readonly clock: Clock;
  readonly log: Log;
  readonly stopAt: StopAt;
  readonly collector: InventoryCollector;
  readonly touched: TouchedPackages;
  /** Where the agent keeps what it must remember. */
  readonly stateDir: string;
  /** The service that this agent runs as; null when started by hand. */
  readonly ownUnit: string | null;
  readonly machine: RebootHost;
  createExecutor(task: Task): Executor;
  /** Another than those that did not do for the task. Waits until the server can be reached. Throws when the agent ends. */
  distributionPoint(task: Task): Promise<DistributionPoint>;
  /** The same without waiting; null when the server cannot be reached. */
  distributionPointNow(task: Task): Promise<DistributionPoint | null>;
  /**
   * Whether the server was out of reach at some time since then (elapsed seconds); if so, returns when it can be reached
   * again. Throws when the agent ends.
   */
  serverWasOut(sinceSeconds: number): Promise<boolean>;
  /** Sends events and inventory if the server can be reached within the time; never throws. */
  tryReport(waitSeconds: number): Promise<void>;
  /** Makes the server hold the present inventory, however long that takes. Throws only when the agent ends. */
  reportInventory(): Promise<InventoryDigests>;
  /** There are new events. */
  wake(): void;
  /** Whether the server gave the task up. */
  isCancelled(task: Task): boolean;
  /**
   * Waits for an answer of the server that is younger than this call's beginning, and tells by it: whether it holds the task back,
   * and how far its clock is ahead of this host's (seconds). Null when none comes within the time. Throws when the agent ends.
   */
  askedServer(task: Task, waitSeconds: number): Promise<{ held: boolean; clockSkewSeconds: number } | null>;
  /** Sleeps, and no longer than until something of the task may have changed (an answer came, it was cancelled). Throws when the agent ends. */
  pause(seconds: number): Promise<void>;
  /**
   * Adds text to the log of the task, which people can follow on the server: bounded, and made free of secrets line by line. Never
   * throws. What a detached command under `runs/` of the task writes is followed by itself and must not be given here again.
   */
  output(task: Task, step: string, text: string): void;
  /** Whether the owner of the host lets it be rebooted now; else why not, and from when on (milliseconds since 1970). */
  mayRebootNow(now: number): { readonly message: string; readonly opensAt: number | null } | null;
  /** The owner's policy on this host, as it is now. */
  policy(): HostPolicyFile;
  /** Ends this agent so that systemd starts it anew; does nothing where systemd did not start it. */
  readonly restartAgent: () => void;
}

export type EventDetail = NonNullable<TaskEvent['detail']>;

/** A decision that ends the work on a task; thrown inside a task only. */
export class TaskFailed extends Error {
  readonly failure: TaskFailure;
  readonly detail: EventDetail;
  constructor(failure: TaskFailure, message: string, detail: EventDetail = {}) {
    super(message);
    this.failure = failure;
    this.detail = detail;
  }
}

/** The server gave the task up before the host began to install. */
export class TaskDropped extends Error {}
