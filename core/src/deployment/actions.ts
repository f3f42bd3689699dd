import { hasBegunInstalling, isEnded } from '../task/transitions.ts';
import type { TaskState } from '../task/states.ts';
import type { DeploymentState } from './states.ts';

/**
 * What a person may do to a deployment in which state. One table, used three times: the server's guard, the UI's
 * disabled-button reason, the CLI's message.
 */

export const deploymentActions = ['pause', 'resume', 'halt', 'cancel', 'retry_failed', 'roll_back'] as const;
export type DeploymentAction = (typeof deploymentActions)[number];

export interface ActionRefusal {
  readonly ok: false;
  readonly code: 'action_not_allowed';
  readonly message: string;
  readonly whatToDo: string;
}
export type ActionCheck = { readonly ok: true; readonly next: DeploymentState } | ActionRefusal;

type Cell = DeploymentState | readonly [message: string, whatToDo: string];

const notStarted = ['The deployment has not started.', 'Start it first.'] as const;
const halted = [
  'The deployment was halted, which is final.',
  'Start the job again: a new plan is made for what is still to be done.',
] as const;
const cancelled = [
  'The deployment was cancelled, which is final.',
  'Start the job again: a new plan is made for what is still to be done.',
] as const;
const completed = [
  'The deployment is completed: every task has ended.',
  'Retry what failed, or start the job again.',
] as const;

/** A state is where the action leads; a pair of sentences is why it is refused and what to do instead. */
const table: Readonly<Record<DeploymentState, Readonly<Record<DeploymentAction, Cell>>>> = {
  draft: {
    pause: notStarted,
    resume: notStarted,
    halt: ['The deployment has not started.', 'Cancel it instead.'],
    cancel: 'cancelled',
    retry_failed: notStarted,
    roll_back: notStarted,
  },
  awaiting_approval: {
    pause: ['The deployment waits for an approval and offers nothing.', 'Cancel it if it should not run.'],
    resume: ['The deployment waits for an approval.', 'Have it approved.'],
    halt: ['The deployment has not started.', 'Cancel it instead.'],
    cancel: 'cancelled',
    retry_failed: notStarted,
    roll_back: notStarted,
  },
  running: {
    pause: 'paused',
    resume: ['The deployment is running already.', 'Nothing needs to be done.'],
    halt: 'halted',
    cancel: 'cancelled',
    retry_failed: 'running',
    // nothing more is to be changed by it
    roll_back: 'halted',
  },
  paused: {
    pause: ['The deployment is paused already.', 'Nothing needs to be done.'],
    resume: 'running',
    halt: 'halted',
    cancel: 'cancelled',
    retry_failed: ['The deployment is paused.', 'Resume it, then retry what failed.'],
    roll_back: 'halted',
  },
  completed: {
    pause: completed,
    resume: completed,
    halt: completed,
    cancel: completed,
    retry_failed: 'running',
    roll_back: 'completed',
  },
  halted: {
    pause: halted,
    resume: halted,
    halt: halted,
    cancel: halted,
    retry_failed: halted,
    roll_back: 'halted',
  },
  cancelled: {
    pause: cancelled,
    resume: cancelled,
    halt: cancelled,
    cancel: cancelled,
    retry_failed: cancelled,
    roll_back: 'cancelled',
  },
};

/** Whether `action` is allowed in `state`: where it leads, or why not. */
export function checkAction(state: DeploymentState, action: DeploymentAction): ActionCheck {
  const cell = table[state][action];
  if (typeof cell === 'string') return { ok: true, next: cell };
  const [message, whatToDo] = cell;
  return { ok: false, code: 'action_not_allowed', message, whatToDo };
}

/** Whether there is anything that `retry_failed` would take up again. */
export function mayRetry(state: TaskState): boolean {
  return state === 'failed' || state === 'expired' || state === 'rolled_back';
}

/**
 * What halting or cancelling does to one task: what the host has not begun is given up; what it is installing goes on to
 * its end, since to cut a package manager off does more harm than to let it finish.
 */
export function effectOfStop(task: {
  readonly state: TaskState;
  readonly resumeState: TaskState | null;
}): 'cancel' | 'let_finish' | 'none' {
  if (isEnded(task.state)) return 'none';
  return hasBegunInstalling(task) ? 'let_finish' : 'cancel';
}
