import { endedTaskStates, taskStates, type TaskState } from './states.ts';

/**
 * The one table of the ways between task states. The server's guard, the simulator and the views all read it; nothing else
 * in the product decides whether a task may go from one state to another.
 */

export type EndedTaskState = (typeof endedTaskStates)[number];

/** Who moves a task. `server`: its own decisions (offer, expiry, silence, verification); `person`: an action on the deployment. */
export type TransitionSource = 'server' | 'agent' | 'person';

type Sources = readonly TransitionSource[];
const server: Sources = ['server'];
const agent: Sources = ['agent'];
const person: Sources = ['person'];
const decided: Sources = ['server', 'person'];

/**
 * `from → to → who may do it`. Two things to know:
 * - `verifying` is the only way to `succeeded`: no exit code of any installer leads there.
 * - `cancelled` and `expired` lead on to `installing` by the agent's report: the host had begun before it heard, and what
 *   really happens on a host outweighs what was wished.
 */
const ways: Readonly<Record<TaskState, Readonly<Partial<Record<TaskState, Sources>>>>> = {
  queued: { offered: server, skipped: decided, cancelled: decided, expired: server },
  offered: {
    downloading: agent,
    staged: agent,
    waiting_for_window: agent,
    installing: agent,
    failed: agent,
    cancelled: decided,
    expired: server,
    unreachable: server,
  },
  downloading: {
    staged: agent,
    // the window closed before all was there
    waiting_for_window: agent,
    failed: agent,
    cancelled: decided,
    expired: server,
    unreachable: server,
  },
  staged: {
    // what was staged may be lost between two starts of the host
    downloading: agent,
    waiting_for_window: agent,
    installing: agent,
    failed: agent,
    cancelled: decided,
    expired: server,
    unreachable: server,
  },
  waiting_for_window: {
    downloading: agent,
    staged: agent,
    installing: agent,
    failed: agent,
    cancelled: decided,
    expired: server,
    unreachable: server,
  },
  installing: { installed: agent, failed: agent, cancelled: server, unreachable: server },
  installed: {
    restart_pending: agent,
    reboot_pending: agent,
    verifying: agent,
    failed: agent,
    cancelled: server,
    unreachable: server,
  },
  restart_pending: {
    rolling_back: decided,
    reboot_pending: ['agent', 'server'],
    verifying: ['agent', 'server'],
    failed: agent,
    cancelled: server,
    unreachable: server,
  },
  reboot_pending: {
    rolling_back: decided,
    restart_pending: ['agent', 'server'],
    rebooting: agent,
    verifying: ['agent', 'server'],
    failed: agent,
    cancelled: server,
    unreachable: server,
  },
  rebooting: {
    // it was put off, or did not happen
    reboot_pending: agent,
    restart_pending: agent,
    verifying: agent,
    failed: agent,
    cancelled: server,
    unreachable: server,
  },
  verifying: {
    succeeded: server,
    restart_pending: server,
    reboot_pending: server,
    failed: ['server', 'agent'],
    cancelled: server,
    unreachable: server,
  },
  // besides the state that it goes on from; see checkTransition
  unreachable: { cancelled: decided, expired: server },
  // with an order, and so a generation, of its own
  rolling_back: { rolled_back: server, failed: ['agent', 'server'], cancelled: server, unreachable: server },
  // a new generation
  failed: { queued: person, rolling_back: decided },
  expired: { queued: person, installing: agent },
  cancelled: { installing: agent },
  succeeded: { rolling_back: decided },
  rolled_back: { queued: person },
  skipped: {},
};

const ended: ReadonlySet<TaskState> = new Set(endedTaskStates);

/** True when nothing more is expected of the task. */
export function isEnded(state: TaskState): state is EndedTaskState {
  return ended.has(state);
}

/** States in which the host has not begun to install, so that the task can be given up without a trace on the host. */
const givenUpFreely: ReadonlySet<TaskState> = new Set<TaskState>([
  'queued',
  'offered',
  'downloading',
  'staged',
  'waiting_for_window',
]);

/** The same as a list, for SQL. */
export const notBegunStates: readonly TaskState[] = [...givenUpFreely];

/** The state a task is really in: for `unreachable`, the one that it goes on from. */
export function workingState(task: {
  readonly state: TaskState;
  readonly resumeState: TaskState | null;
}): TaskState {
  return task.state === 'unreachable' ? (task.resumeState ?? 'offered') : task.state;
}

/** Whether the installation has begun on the host, as far as the server knows. */
export function hasBegunInstalling(task: {
  readonly state: TaskState;
  readonly resumeState: TaskState | null;
}): boolean {
  const state = workingState(task);
  return !givenUpFreely.has(state) && !isEnded(state);
}

/**
 * Whether the host is (or may be) at work on the task, which is what a concurrency limit counts. A host that waits for a
 * restart or reboot is at rest. An unreachable host counts as its working state does: it may be installing right now.
 */
export function isAtWork(task: {
  readonly state: TaskState;
  readonly resumeState: TaskState | null;
}): boolean {
  const state = workingState(task);
  return state !== 'queued' && state !== 'restart_pending' && state !== 'reboot_pending' && !isEnded(state);
}

/** SQL and the simulator need the same sets as lists. */
export const atWorkStates: readonly TaskState[] = [
  'offered',
  'downloading',
  'staged',
  'waiting_for_window',
  'installing',
  'installed',
  'rebooting',
  'verifying',
  'rolling_back',
];

/** States from which an asset that stops answering makes its task `unreachable`. */
export function mayBecomeUnreachable(state: TaskState): boolean {
  return ways[state].unreachable !== undefined;
}

export type TransitionCheck =
  | { readonly ok: true; readonly change: boolean }
  | { readonly ok: false; readonly code: 'task_transition_invalid' | 'task_ended'; readonly message: string };

/**
 * Whether `source` may move the task to `to`. A report of the state that the task is already in is allowed and changes
 * nothing (`change: false`): an agent that was killed reports its step again when it goes on.
 */
export function checkTransition(
  task: { readonly state: TaskState; readonly resumeState: TaskState | null },
  to: TaskState,
  source: TransitionSource,
): TransitionCheck {
  const { state } = task;
  if (state === 'unreachable' && to === workingState(task) && source === 'server')
    return { ok: true, change: true };
  if (state === to) return { ok: true, change: false };
  const sources = ways[state][to];
  if (sources?.includes(source) === true) return { ok: true, change: true };
  if (isEnded(state)) {
    return {
      ok: false,
      code: 'task_ended',
      message: `the task has ended (${state}); it cannot become ${to}`,
    };
  }
  const next = nextStates(state, source);
  return {
    ok: false,
    code: 'task_transition_invalid',
    message:
      `a task that is ${state} cannot become ${to} by the ${source}` +
      (next.length > 0 ? `; it can become ${next.join(', ')}` : ''),
  };
}

/** The states that `source` may move a task to from `state`. */
export function nextStates(state: TaskState, source: TransitionSource): TaskState[] {
  return taskStates.filter((to) => ways[state][to]?.includes(source) === true);
}
