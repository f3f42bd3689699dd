import { isEnded, workingState } from './transitions.ts';
import type { TaskState } from './states.ts';

/**
 * What a person may do to one task in which state. One table, used three times: the server's guard, the UI's disabled-button
 * reason, the CLI's message. Whether the deployment allows it is core/deployment/actions.ts.
 */

export const taskActions = ['cancel', 'retry', 'roll_back'] as const;
export type TaskAction = (typeof taskActions)[number];

export type TaskActionCheck =
  | { readonly ok: true }
  | {
      readonly ok: false;
      readonly code: 'action_not_allowed';
      readonly message: string;
      readonly whatToDo: string;
    };

type Cell = true | readonly [message: string, whatToDo: string];

const begun = [
  'The host has begun, and to cut a package manager off does more harm than to let it finish.',
  'Wait until it has finished; then roll it back if that is what is wanted.',
] as const;
const pending = [
  'The packages are installed.',
  'Restart or reboot the host, or roll the task back.',
] as const;
const over = ['The task has ended.', 'Nothing needs to be done.'] as const;
const underWay = ['The task is under way.', 'Wait until it has ended.'] as const;
const unchanged = ['Nothing of this task was changed on the host yet.', 'Cancel it instead.'] as const;
const neverBegun = ['Nothing of this task was changed on the host.', 'Nothing needs to be done.'] as const;
const goingBack = ['The task is being rolled back.', 'Wait until that has ended.'] as const;
const notAgain = [
  'The task was given up, which is final.',
  'Start the job again: a new plan is made for what is still to be done.',
] as const;

const notBegun: Readonly<Record<TaskAction, Cell>> = { cancel: true, retry: underWay, roll_back: unchanged };
const atWork: Readonly<Record<TaskAction, Cell>> = { cancel: begun, retry: underWay, roll_back: underWay };
const waits: Readonly<Record<TaskAction, Cell>> = { cancel: pending, retry: underWay, roll_back: true };

const table: Readonly<Record<Exclude<TaskState, 'unreachable'>, Readonly<Record<TaskAction, Cell>>>> = {
  queued: notBegun,
  offered: notBegun,
  downloading: notBegun,
  staged: notBegun,
  waiting_for_window: notBegun,
  installing: atWork,
  installed: atWork,
  restart_pending: waits,
  reboot_pending: waits,
  rebooting: atWork,
  verifying: atWork,
  rolling_back: { cancel: begun, retry: goingBack, roll_back: goingBack },
  succeeded: {
    cancel: over,
    retry: ['The task has succeeded.', 'Nothing needs to be done.'],
    roll_back: true,
  },
  failed: { cancel: over, retry: true, roll_back: true },
  rolled_back: {
    cancel: over,
    retry: true,
    roll_back: ['The task has been rolled back.', 'Nothing needs to be done.'],
  },
  expired: { cancel: over, retry: true, roll_back: neverBegun },
  skipped: { cancel: over, retry: notAgain, roll_back: neverBegun },
  cancelled: { cancel: over, retry: notAgain, roll_back: neverBegun },
};

/** Whether `action` is allowed for a task; if not, why and what to do instead. */
export function checkTaskAction(
  task: { readonly state: TaskState; readonly resumeState: TaskState | null },
  action: TaskAction,
): TaskActionCheck {
  const state = workingState(task);
  const cell =
    task.state === 'unreachable' && action === 'roll_back' && !isEnded(state)
      ? (['The asset does not answer at present.', 'Wait until it returns.'] as const)
      : table[state === 'unreachable' ? 'offered' : state][action];
  if (cell === true) return { ok: true };
  const [message, whatToDo] = cell;
  return { ok: false, code: 'action_not_allowed', message, whatToDo };
}
