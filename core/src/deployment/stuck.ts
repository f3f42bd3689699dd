import type { TaskState } from '../task/states.ts';
import { isEnded, workingState } from '../task/transitions.ts';

/**
 * Work that should have gone on by now, named by what it waits for. Pure; times are milliseconds since 1970 UTC. A task that
 * waits for a reason of the deployment's (paused, no window, no place) is not stuck: `decide.ts` says why it waits.
 */

export const stuckCodes = [
  'order_not_taken',
  'download_stalled',
  'lock_waited_for',
  'not_begun',
  'install_overdue',
  'end_not_reported',
  'restart_pending_long',
  'reboot_pending_long',
  'verification_missing',
  'rollback_overdue',
  'unreachable_long',
] as const;
export type StuckCode = (typeof stuckCodes)[number];

export interface WorkObservation {
  readonly state: TaskState;
  readonly resumeState: TaskState | null;
  /** Since when it is in this state. */
  readonly stateSince: number;
  /** The last event, piece of the log or change of state. */
  readonly progressAt: number;
  /** Last sign of life of the asset; null when there never was one. */
  readonly heardAt: number | null;
  readonly installTimeoutSeconds: number;
  /** Nothing is to be begun now: the deployment is paused or stopped. */
  readonly held: boolean;
  /** The end of what the host wrote last; null when there is none, or it was not asked for. */
  readonly lastOutput: string | null;
}

export interface Stuck {
  readonly code: StuckCode;
  /** Since when nothing has happened. */
  readonly since: number;
  readonly message: string;
  readonly whatToDo: string;
}

const minute = 60;
const hour = 60 * minute;
const day = 24 * hour;

/** After how long without progress, and why then. */
export const stuckAfter: Readonly<Record<StuckCode, { readonly seconds: number; readonly because: string }>> =
  {
    order_not_taken: {
      seconds: 10 * minute,
      because: 'An agent that checks in says within seconds that it has begun, or that it refuses.',
    },
    download_stalled: {
      seconds: 20 * minute,
      because: 'An agent ends a step of preparation after 15 minutes by itself.',
    },
    lock_waited_for: {
      seconds: 3 * minute,
      because: 'apt waits a minute for a lock and then fails; others wait for ever.',
    },
    not_begun: {
      seconds: hour,
      because: 'What is staged is begun at once, unless its host waits for a window, and then it says so.',
    },
    install_overdue: {
      seconds: 20 * minute,
      because:
        'Beyond the time that the job allows: a repair may take 10 minutes, and the report a few more.',
    },
    end_not_reported: {
      seconds: 30 * minute,
      because: 'After the packages only services are restarted, three minutes each at most.',
    },
    restart_pending_long: { seconds: 3 * day, because: 'Three days cover a weekend.' },
    reboot_pending_long: { seconds: 7 * day, because: 'Most windows for reboots come once a week.' },
    verification_missing: {
      seconds: 15 * minute,
      because: 'A verification is judged with the next inventory, or again after ten minutes.',
    },
    rollback_overdue: {
      seconds: 30 * minute,
      because: 'Beyond the time that the job allows: an installation may have to be repaired first.',
    },
    unreachable_long: {
      seconds: 15 * minute,
      because: 'Reboots and short outages are over by then.',
    },
  };

/** Whom a task waits for, and since when; null when it goes on as it should, or nobody can tell yet. */
export function stuckOf(task: WorkObservation, now: number): Stuck | null {
  if (isEnded(task.state) || task.state === 'queued') return null;
  const code = codeOf(task, now);
  if (code === null) return null;
  const { message, whatToDo } = sentences[code];
  const held = code === 'lock_waited_for' ? lockLine(task.lastOutput) : null;
  return {
    code,
    since: code === 'install_overdue' || code.endsWith('_pending_long') ? task.stateSince : task.progressAt,
    message: held === null ? message : `${message} The host says: ${held}`,
    whatToDo,
  };
}

function codeOf(task: WorkObservation, now: number): StuckCode | null {
  const quiet = (now - task.progressAt) / 1000;
  const inState = (now - task.stateSince) / 1000;
  const after = (code: StuckCode, seconds: number, allowed = 0): StuckCode | null =>
    seconds > stuckAfter[code].seconds + allowed ? code : null;
  // How an asset that is silent stands is not known; the tick makes it unreachable.
  if (task.state === 'unreachable') return after('unreachable_long', inState);
  const lock = lockLine(task.lastOutput) === null ? null : after('lock_waited_for', quiet);
  switch (workingState(task)) {
    case 'offered':
      if (task.held || task.heardAt === null || task.heardAt <= task.stateSince) return null;
      return after('order_not_taken', inState);
    case 'downloading':
      return lock ?? after('download_stalled', quiet);
    case 'staged':
      return task.held ? null : after('not_begun', quiet);
    case 'installing':
      return lock ?? after('install_overdue', inState, task.installTimeoutSeconds);
    case 'installed':
      return after('end_not_reported', quiet);
    case 'restart_pending':
      return after('restart_pending_long', inState);
    case 'reboot_pending':
      return after('reboot_pending_long', inState);
    case 'verifying':
      return after('verification_missing', inState);
    case 'rolling_back':
      return lock ?? after('rollback_overdue', inState, task.installTimeoutSeconds);
    // `rebooting` has an end of its own that the job sets; the others wait for a reason that is told.
    default:
      return null;
  }
}

/** The last line of an output when it says that a lock is waited for: apt, dnf and zypper each in their words. */
function lockLine(output: string | null): string | null {
  const last = (output ?? '')
    .trimEnd()
    .split('\n')
    .slice(-3)
    .findLast((line) =>
      /Waiting for cache lock|Could not get lock|Waiting for process with pid|System management is locked|waiting for \S+ to finish/iu.test(
        line,
      ),
    );
  return last?.trim() ?? null;
}

const sentences: Readonly<Record<StuckCode, { readonly message: string; readonly whatToDo: string }>> = {
  order_not_taken: {
    message: 'The asset checks in, but does not report on the order that it was given.',
    whatToDo:
      'Look at the log of the agent on the host (journalctl -u fixpoint-agent): it may be busy with an earlier task. If not, cancel the task and start the job again.',
  },
  download_stalled: {
    message: 'The host has been preparing the packages without any progress.',
    whatToDo:
      'See the log of the task. Check the way to the distribution point and the repositories; if it does not go on, cancel the task and start the job again.',
  },
  lock_waited_for: {
    message: 'The package manager of the host waits for another program to let go of its lock.',
    whatToDo:
      'Let the other program end (often unattended-upgrades, or a person at the host), or end it there. The task goes on by itself.',
  },
  not_begun: {
    message: 'The packages are on the host, but the installation has not begun.',
    whatToDo:
      'Look at the log of the agent on the host (journalctl -u fixpoint-agent). If it is well, cancel the task and start the job again.',
  },
  install_overdue: {
    message: 'The installation has taken longer than the job allows, and the agent has not ended it.',
    whatToDo:
      'See the log of the task for where it stands, then look at the host: ps -ef, and dpkg --audit. Do not reboot it while the package manager is at work.',
  },
  end_not_reported: {
    message: 'The packages are installed, but the host does not report what followed.',
    whatToDo:
      'See the log of the task. A service may hang in its restart (systemctl list-jobs); the agent goes on when it is done.',
  },
  restart_pending_long: {
    message: 'Fixed on disk for days, but programs still use the old code.',
    whatToDo: 'Restart the units or programs that the task names, or reboot the host.',
  },
  reboot_pending_long: {
    message: 'Fixed on disk for days, but the old code runs until the host reboots.',
    whatToDo: 'Reboot the host, or let the job do it within a window (reboot: force or prompt).',
  },
  verification_missing: {
    message: 'The agent is done, but the outcome could not be judged yet.',
    whatToDo:
      'See the reason of the task: the agent must be able to read the host, and there must be data for its system. It is judged again by itself.',
  },
  rollback_overdue: {
    message: 'Putting the earlier versions back has taken longer than the job allows.',
    whatToDo:
      'See the log of the task for where it stands, then look at the host: the kept packages are in the state folder of the agent.',
  },
  unreachable_long: {
    message: 'The asset stopped answering while a task was open on it.',
    whatToDo:
      'Check that the host is up and that its agent runs (systemctl status fixpoint-agent). The task goes on when it returns.',
  },
};
