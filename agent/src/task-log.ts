import type { TaskLogRequest, TaskLogResponse } from '@fixpoint/contract/agent.ts';
import type { ReportedTaskState } from '@fixpoint/core/task/states.ts';
import { toIso, type Clock } from './clock.ts';
import { messageOf } from './failure.ts';
import type { Log } from './log.ts';
import {
  append,
  closeLogFile,
  hasExited,
  noteSent,
  openLogFile,
  readOutputFrom,
  reload,
  runsOf,
  stepOf,
  sync,
  type LogFile,
  type Piece,
} from './log-file.ts';
import { cutPieces, noCarry } from './log-pieces.ts';
import type { CallResult } from './session.ts';
import type { Task, TaskList } from './task/task.ts';

/**
 * The log of a task: what its commands write under `runs/`, and what its steps say, as numbered pieces. Each piece is written to
 * `log.pieces` of the task's folder before it is sent, with the place in the output that it ends at; so an agent that is started
 * anew sends the same pieces under the same numbers, and the server's answer tells where to go on.
 */
export interface TaskLogs {
  /** See `TaskContext.output`. */
  write(task: Task, step: string, text: string): void;
  /** Tasks that somebody watches, as the server says: what they write is sent within a second. */
  watched(taskIds: readonly string[]): void;
  /** Something happened that is worth to be sent soon. */
  wake(): void;
  /** Must not leave the host. */
  keepSecret(secret: string): void;
  /** Follows and sends until the signal is aborted; never throws. */
  run(): Promise<void>;
}

export interface TaskLogParts {
  readonly clock: Clock;
  readonly log: Log;
  readonly tasks: Pick<TaskList, 'all'>;
  readonly signal: AbortSignal;
  /** POST /agent/v1/task-log. Throws on an outage. */
  send(request: TaskLogRequest): Promise<CallResult<TaskLogResponse>>;
}

const watchedSeconds = 0.5;
const unwatchedSeconds = 3;
/** While the host waits; what it does next wakes. */
const restingSeconds = 30;
const restingStates: ReadonlySet<ReportedTaskState> = new Set<ReportedTaskState>([
  'waiting_for_window',
  'restart_pending',
  'reboot_pending',
]);
const idleSeconds = 3_600;
const failedSecondsMaximum = 60;
const piecesInOneCall = 100;
const charactersInOneCall = 200_000;
const secretsKept = 20;

/** One task and generation. */
interface TaskLog extends LogFile {
  /** The server takes no more, or the task has ended and the server has all. */
  finished: boolean;
}

export function createTaskLogs(parts: TaskLogParts): TaskLogs {
  const { clock, log, tasks, signal } = parts;
  const logs = new Map<string, TaskLog>();
  const secrets: string[] = [];
  let watching: ReadonlySet<string> = new Set();
  let sleeper = new AbortController();
  let failures = 0;

  function logOf(task: Task): TaskLog {
    const known = logs.get(task.dir);
    if (known !== undefined) return known;
    const opened: TaskLog = Object.assign(openLogFile(task), { finished: false });
    logs.set(task.dir, opened);
    return opened;
  }

  function wake(): void {
    sleeper.abort();
  }

  /** Reads what the commands of the task have written since. */
  function collect(own: TaskLog): void {
    if (own.full) return;
    const names = runsOf(own.task);
    for (const [index, name] of names.entries()) {
      // Nothing more comes from it.
      const isLast = index === names.length - 1;
      collectRun(own, name, !isLast || own.task.hasEnded() || hasExited(own.task, name));
    }
  }

  function collectRun(own: TaskLog, name: string, final: boolean): void {
    let state = own.runs.get(name) ?? { end: 0, carry: noCarry };
    for (;;) {
      const read = readOutputFrom(own.task, name, state.end);
      if (read === null) return;
      if (read.wasCut) {
        // It wrote so much that the file was emptied (detached.ts).
        state = { end: 0, carry: noCarry };
        const { carry, end } = state;
        append(own, {
          at: now(),
          step: stepOf(name),
          text: '[some output is left out]\n',
          run: name,
          end,
          carry,
        });
        continue;
      }
      const cut = cutPieces(read.bytes, state.carry, final && read.isEnd, secrets);
      for (const { text, end, carry } of cut.pieces) {
        append(own, { at: now(), step: stepOf(name), text, run: name, end: state.end + end, carry });
      }
      state = { end: state.end + cut.taken, carry: cut.carry };
      own.runs.set(name, state);
      if (own.full || read.isEnd || cut.taken === 0) return;
    }
  }

  const now = (): string => toIso(clock.now());

  function setWatched(taskId: string, watched: boolean): void {
    watching = new Set([...watching].filter((id) => id !== taskId).concat(watched ? [taskId] : []));
  }

  /** Whether all of it has been sent. */
  async function deliver(own: TaskLog): Promise<boolean> {
    while (own.sent < own.count && !signal.aborted) {
      if (own.sent < own.base) reload(own);
      const pieces = nextPieces(own.pieces.slice(own.sent - own.base));
      sync(own);
      const { task_id, generation } = own.task.order;
      const answer = await parts.send({
        task_id,
        generation,
        first: own.sent,
        pieces: pieces.map(({ at, step, text }) => ({ at, step, text })),
      });
      if (!answer.ok) {
        log('warn', 'the server does not take the log of a task', {
          task_id,
          code: answer.code,
          reason: answer.message,
        });
        finish(own);
        return true;
      }
      const { next, full, watched } = answer.value;
      if (watched !== undefined) setWatched(task_id, watched);
      noteSent(own, next);
      if (full) {
        finish(own);
        return true;
      }
    }
    return own.sent >= own.count;
  }

  function finish(own: TaskLog): void {
    own.finished = true;
    closeLogFile(own);
  }

  /** One round over all tasks; tells after how many seconds the next is due. */
  async function round(): Promise<number> {
    const all = tasks.all();
    const present = new Set(all.map((task) => task.dir));
    for (const [dir, own] of logs) {
      if (present.has(dir)) continue;
      if (!own.finished) finish(own);
      logs.delete(dir);
    }
    let wait = idleSeconds;
    const unsent = new Set<string>();
    for (const task of all.toSorted((a, b) => a.order.sequence - b.order.sequence)) {
      const own = logOf(task);
      if (own.finished) continue;
      const { task_id } = task.order;
      const ended = task.hasEnded();
      collect(own);
      // People read the generations of a task one after another.
      if (unsent.has(task_id) || !(await deliver(own))) unsent.add(task_id);
      else if (ended) finish(own);
      if (!own.finished) {
        const resting = restingStates.has(task.state() ?? 'waiting_for_window');
        const seconds = watching.has(task_id) ? watchedSeconds : resting ? restingSeconds : unwatchedSeconds;
        wait = Math.min(wait, seconds);
      }
    }
    return wait;
  }

  return {
    wake,
    write(task, step, text) {
      try {
        const own = logOf(task);
        if (own.finished || text === '') return;
        for (const piece of cutPieces(Buffer.from(text), noCarry, true, secrets).pieces) {
          append(own, { at: now(), step: step.slice(0, 256), text: piece.text });
        }
        if (watching.has(task.order.task_id)) wake();
      } catch (error) {
        log('warn', 'the log of a task could not be written', { reason: messageOf(error) });
      }
    },
    watched(taskIds) {
      const isNew = taskIds.some((id) => !watching.has(id));
      watching = new Set(taskIds);
      if (isNew) wake();
    },
    keepSecret(secret) {
      if (secrets.includes(secret)) return;
      secrets.push(secret);
      if (secrets.length > secretsKept) secrets.shift();
    },
    async run() {
      while (!signal.aborted) {
        let wait: number;
        sleeper = new AbortController();
        try {
          wait = await round();
          failures = 0;
        } catch (error) {
          failures++;
          wait = Math.min(failedSecondsMaximum, unwatchedSeconds * 2 ** Math.min(failures, 10));
          log('warn', 'the logs of tasks could not be sent yet', { reason: messageOf(error) });
        }
        // Not more often than this, however often it is woken.
        await clock.sleep(Math.min(wait, watchedSeconds), signal);
        await clock.sleep(Math.max(0, wait - watchedSeconds), AbortSignal.any([signal, sleeper.signal]));
      }
    },
  };
}

function nextPieces(pieces: readonly Piece[]): Piece[] {
  const some: Piece[] = [];
  let characters = 0;
  for (const piece of pieces.slice(0, piecesInOneCall)) {
    characters += piece.text.length;
    if (some.length > 0 && characters > charactersInOneCall) break;
    some.push(piece);
  }
  return some;
}
