import type { TaskState } from '../task/states.ts';
import {
  hasBegunInstalling,
  isAtWork,
  isEnded,
  mayBecomeUnreachable,
  workingState,
} from '../task/transitions.ts';
import type { OfferStanding } from './offer-time.ts';
import { isEndedDeployment, type DeploymentState } from './states.ts';

/**
 * The decision about a deployment: a pure function of (deployment, observations, now). The server, the forecast and the
 * simulator all call this one. It decides what is to be done and says, as typed data, why nothing is done where nothing is.
 *
 * Times are milliseconds since 1970 UTC.
 */

export interface DeploymentView {
  readonly state: DeploymentState;
  /** At most so many assets at work at once. */
  readonly concurrency: number;
  /** Tasks of a ring after this one are not offered. One implicit ring, 0, until rings arrive. */
  readonly openRing: number;
}

export interface TaskObservation {
  readonly id: string;
  readonly ring: number;
  readonly state: TaskState;
  readonly resumeState: TaskState | null;
  /** When the offer ends; null while there has been none in this generation. */
  readonly expiresAt: number | null;
  /** Last sign of life of the asset; null when there never was one. */
  readonly heardAt: number | null;
  /** What the asset was told to come back after. */
  readonly checkInSeconds: number;
  readonly retired: boolean;
  /** True when the asset is on the line and asks for orders now. Offers are pulled: nobody else can be given one. */
  readonly asking: boolean;
  /** Whether the asset may be changed now, by windows and blackouts; absent: it may. */
  readonly standing?: OfferStanding;
  /** Absent: wait. What becomes of a task when no window of the job opens any more: it ends, or its asset may come late. */
  readonly withoutWindow?: 'wait' | 'expire';
  /** That a patch of the task must not be deployed, by the deny-list; absent: none is on it. */
  readonly denied?: boolean;
}

/** Tasks of the deployment that are not among the observations, as numbers, so that a check-in need not read them all. */
export interface OtherTasks {
  readonly atWork: number;
  readonly notEnded: number;
}
export const noOtherTasks: OtherTasks = { atWork: 0, notEnded: 0 };

export interface DecideOptions {
  /** An asset is silent only after at least so long, however short its check-in interval is. */
  readonly silentAfterSeconds: number;
}

export type DeploymentCommand =
  | { readonly kind: 'offer'; readonly taskId: string }
  /** `because` is absent when it is the offer that has expired. */
  | { readonly kind: 'expire'; readonly taskId: string; readonly because?: 'no_window_left' }
  | { readonly kind: 'mark_unreachable'; readonly taskId: string }
  | {
      readonly kind: 'cancel';
      readonly taskId: string;
      readonly reason: 'asset_retired' | 'deployment_stopped';
    }
  | { readonly kind: 'complete' };

export const waitingReasons = [
  'deployment_paused',
  'deployment_not_started',
  'ring_not_open',
  'patch_denied',
  'blackout',
  'window_closed',
  'asset_not_heard',
  'asset_silent',
  'asset_unreachable',
  'concurrency_reached',
  'awaiting_check_in',
  'awaiting_agent',
  'agent_at_work',
  'restart_pending',
  'reboot_pending',
  'rebooting',
  'verification_pending',
  'rolling_back',
] as const;
export type WaitingReason = (typeof waitingReasons)[number];

export interface Waiting {
  readonly taskId: string;
  readonly reason: WaitingReason;
  /** When it can be different, for `window_closed` and `blackout`; absent when nobody can say. */
  readonly until?: number;
}

export interface Decision {
  readonly next: DeploymentState;
  readonly commands: readonly DeploymentCommand[];
  /** One entry for every observed task that has not ended and about which nothing is done now. */
  readonly waiting: readonly Waiting[];
}

/** Three missed check-ins, and never less than the given floor. */
export function silentAfterMilliseconds(checkInSeconds: number, options: DecideOptions): number {
  return Math.max(3 * checkInSeconds, options.silentAfterSeconds) * 1000;
}

function isSilent(task: TaskObservation, now: number, options: DecideOptions): boolean {
  if (task.asking) return false;
  if (task.heardAt === null) return true;
  return now - task.heardAt > silentAfterMilliseconds(task.checkInSeconds, options);
}

/** Decides what happens next in one deployment. Commands come in the order in which they are to be carried out. */
export function decide(
  deployment: DeploymentView,
  tasks: readonly TaskObservation[],
  others: OtherTasks,
  now: number,
  options: DecideOptions,
): Decision {
  const commands: DeploymentCommand[] = [];
  const waiting: Waiting[] = [];
  let atWork = others.atWork;
  let notEnded = others.notEnded;
  const remaining: TaskObservation[] = [];

  for (const task of tasks) {
    if (isEnded(task.state)) continue;
    const command = endOf(deployment, task, now);
    if (command === null) {
      remaining.push(task);
      notEnded += 1;
      if (isAtWork(task)) atWork += 1;
    } else {
      commands.push(command);
    }
  }

  for (const task of remaining) {
    if (task.state !== 'unreachable' && mayBecomeUnreachable(task.state) && isSilent(task, now, options)) {
      commands.push({ kind: 'mark_unreachable', taskId: task.id });
      continue;
    }
    const reason = waitingReason(deployment, task, atWork, now, options);
    if (reason === null) {
      commands.push({ kind: 'offer', taskId: task.id });
      atWork += 1;
    } else {
      const until = waitsUntil(task, reason);
      waiting.push({ taskId: task.id, reason, ...(until === null ? {} : { until }) });
    }
  }

  if (notEnded === 0 && (deployment.state === 'running' || deployment.state === 'paused')) {
    commands.push({ kind: 'complete' });
    return { next: 'completed', commands, waiting };
  }
  return { next: deployment.state, commands, waiting };
}

/** The command that ends a task without its asset's doing, or null. */
function endOf(deployment: DeploymentView, task: TaskObservation, now: number): DeploymentCommand | null {
  if (task.retired) return { kind: 'cancel', taskId: task.id, reason: 'asset_retired' };
  if (hasBegunInstalling(task)) return null;
  if (isEndedDeployment(deployment.state)) {
    return { kind: 'cancel', taskId: task.id, reason: 'deployment_stopped' };
  }
  if (workingState(task) !== 'queued' && task.expiresAt !== null && now >= task.expiresAt) {
    return { kind: 'expire', taskId: task.id };
  }
  const { standing } = task;
  if (
    task.state === 'queued' &&
    task.withoutWindow === 'expire' &&
    standing?.kind === 'closed' &&
    standing.offerAt === null
  ) {
    return { kind: 'expire', taskId: task.id, because: 'no_window_left' };
  }
  return null;
}

/** When a task that waits for its window, or for the end of a blackout, can go on; null when nobody can say. */
export function waitsUntil(task: TaskObservation, reason: WaitingReason): number | null {
  if (reason !== 'window_closed' && reason !== 'blackout') return null;
  const { standing } = task;
  if (standing?.kind === 'closed') return standing.offerAt;
  return standing?.kind === 'staging' ? standing.use.opensAt : null;
}

/** Why an open task waits, or null when it can be offered right now. */
export function waitingReason(
  deployment: DeploymentView,
  task: TaskObservation,
  atWork: number,
  now: number,
  options: DecideOptions,
): WaitingReason | null {
  switch (task.state) {
    case 'queued':
      if (deployment.state === 'paused') return 'deployment_paused';
      if (deployment.state !== 'running') return 'deployment_not_started';
      if (task.ring > deployment.openRing) return 'ring_not_open';
      if (task.denied === true) return 'patch_denied';
      if (task.standing?.kind === 'closed') return task.standing.because;
      if (task.heardAt === null && !task.asking) return 'asset_not_heard';
      if (isSilent(task, now, options)) return 'asset_silent';
      if (atWork >= deployment.concurrency) return 'concurrency_reached';
      return task.asking ? null : 'awaiting_check_in';
    case 'offered':
      return 'awaiting_agent';
    case 'waiting_for_window':
      if (deployment.state === 'paused') return 'deployment_paused';
      if (task.denied === true) return 'patch_denied';
      if (task.standing?.kind === 'closed') return task.standing.because;
      return task.standing?.kind === 'staging' ? 'window_closed' : 'agent_at_work';
    case 'unreachable':
      return 'asset_unreachable';
    case 'restart_pending':
      return 'restart_pending';
    case 'reboot_pending':
      return 'reboot_pending';
    case 'rebooting':
      return 'rebooting';
    case 'verifying':
      return 'verification_pending';
    case 'rolling_back':
      return 'rolling_back';
    default:
      return 'agent_at_work';
  }
}

const waitingSentences: Readonly<Record<WaitingReason, readonly [message: string, whatToDo: string]>> = {
  deployment_paused: ['The deployment is paused.', 'Resume it when it may go on.'],
  deployment_not_started: ['The deployment is not running.', 'Start or approve it.'],
  ring_not_open: ['An earlier ring has not passed yet.', 'Wait for the earlier ring, or promote it.'],
  patch_denied: [
    'A patch of the task is on the deny-list.',
    'See why it is denied; lift the denial, or cancel the task.',
  ],
  blackout: ['A calendar says that nothing is to be changed now.', 'Nothing needs to be done.'],
  window_closed: [
    'No window of the job is open for this asset.',
    'Nothing needs to be done; it goes on when the window opens.',
  ],
  asset_not_heard: ['The asset has never checked in.', 'Start the agent on it.'],
  asset_silent: [
    'The asset does not check in at present. It gets its order when it returns.',
    'Check that the host and its agent are up.',
  ],
  asset_unreachable: [
    'The asset stopped answering. The task goes on when it returns.',
    'Check that the host and its agent are up.',
  ],
  concurrency_reached: [
    'As many assets as the job allows are at work.',
    'Wait, or raise the concurrency of the job.',
  ],
  awaiting_check_in: ['The asset gets its order at its next check-in.', 'Nothing needs to be done.'],
  awaiting_agent: ['The order was sent; the agent has not reported on it yet.', 'Nothing needs to be done.'],
  agent_at_work: ['The agent is at work.', 'Nothing needs to be done.'],
  restart_pending: [
    'Fixed on disk, but a running program still uses the old code.',
    'See the history of the task for what it is (fixpoint task show); restart that, or reboot the host.',
  ],
  reboot_pending: ['Fixed on disk, but the old code runs until the host reboots.', 'Reboot the host.'],
  rebooting: [
    'The host reboots.',
    'Nothing needs to be done; if it does not come back in time, an alert names it.',
  ],
  rolling_back: [
    'What was there before is being put back.',
    'Nothing needs to be done; the next inventory shows whether it is.',
  ],
  verification_pending: [
    'The agent is done; the inventory that proves the outcome has not been judged yet.',
    'Nothing needs to be done; it is judged with the next inventory.',
  ],
};

/** The sentence and the advice for a waiting reason; with the time when it can be different, where there is one. */
export function explainWaiting(
  reason: WaitingReason,
  until: number | null = null,
): {
  readonly message: string;
  readonly whatToDo: string;
} {
  const [message, whatToDo] = waitingSentences[reason];
  return {
    message: until === null ? message : `${message} Not before ${new Date(until).toISOString()}.`,
    whatToDo,
  };
}
