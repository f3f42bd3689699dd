import { Readable } from 'node:stream';
import type { TaskLogState } from '@fixpoint/contract/task-log.ts';
import { taskStates } from '@fixpoint/core/task/states.ts';
import type { Context } from '../context.ts';
import { answer, refuse, type Answer } from '../refusal.ts';
import { hasEnded, pieceView, placeOf, readPlace, unknownTask } from './log.ts';
import { logAfter, taskHead, type TaskHead } from './log-reads.ts';
import { stateOf } from './records.ts';
import type { TaskWatch } from './task-watch.ts';

/** The log of a task as it comes, as server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html). */

export interface LogStreams {
  /** `after`: the place of the last piece that the reader has. `gone`: nobody reads any more. */
  open(
    taskId: string,
    after: string | undefined,
    reader: string,
    gone?: AbortSignal,
  ): Promise<Answer<Readable>>;
  /** Ends all of them; readers come again by themselves, to another server. */
  closeAll(): void;
}

export interface LogStreamTimes {
  /** How often a stream looks by itself, when nobody tells of news. */
  readonly lookMilliseconds: number;
  /** Something is sent at least so often, so that whatever is in between does not take the connection for dead. */
  readonly heartbeatMilliseconds: number;
  /** Pieces may come so long after the end of a task. */
  readonly lingerMilliseconds: number;
}
const usual: LogStreamTimes = {
  lookMilliseconds: 2_000,
  heartbeatMilliseconds: 15_000,
  lingerMilliseconds: 4_000,
};

const streamsMaximum = 200;
const streamsOfReader = 20;
const piecesAtOnce = 200;

export function createLogStreams(
  context: Pick<Context, 'db' | 'clock'> & { readonly taskWatch: TaskWatch },
  times: LogStreamTimes = usual,
): LogStreams {
  const open = new Set<{ readonly reader: string; close(): void }>();

  return {
    async open(taskId, after, reader, gone) {
      const head = await taskHead(context.db, taskId);
      if (head === undefined) return unknownTask(taskId);
      if (open.size >= streamsMaximum) {
        return refuse(
          503,
          'too_many_streams',
          `${String(streamsMaximum)} logs are being watched at this server already`,
          'come again later, or read the log page by page',
        );
      }
      if ([...open].filter((one) => one.reader === reader).length >= streamsOfReader) {
        return refuse(
          429,
          'too_many_streams',
          `you watch ${String(streamsOfReader)} logs already`,
          'close some of them, or read the log page by page',
        );
      }
      const closing = new AbortController();
      const stream = { reader, close: () => closing.abort() };
      open.add(stream);
      // a stream that is destroyed hears of it only with the next that it has to say
      gone?.addEventListener('abort', stream.close, { once: true });
      const body = Readable.from(follow(context, times, taskId, after, closing.signal));
      body.once('close', () => {
        closing.abort();
        open.delete(stream);
      });
      return answer(body);
    },
    closeAll() {
      for (const one of open) one.close();
    },
  };
}

async function* follow(
  context: Pick<Context, 'db' | 'clock'> & { readonly taskWatch: TaskWatch },
  times: LogStreamTimes,
  taskId: string,
  from: string | undefined,
  signal: AbortSignal,
): AsyncGenerator<string> {
  let news = Promise.withResolvers<void>();
  const wake = (): void => {
    news.resolve();
  };
  const unwatch = context.taskWatch.watch(taskId, wake);
  signal.addEventListener('abort', wake);
  try {
    let after = readPlace(from);
    let told = '';
    let quiet = 0;
    let endedFor: number | null = null;
    yield 'retry: 2000\n\n';
    while (!signal.aborted) {
      news = Promise.withResolvers<void>();
      // The state first: what is read after an end is all that came before it.
      const head = await taskHead(context.db, taskId);
      if (head === undefined) return;
      const rows = await logAfter(context.db, taskId, { after, generation: null, limit: piecesAtOnce });
      let text = rows
        .map(pieceView)
        .map((piece) => event('log', piece, placeOf(piece)))
        .join('');
      after = rows.at(-1) ?? after;
      const state = JSON.stringify(stateView(head));
      if (state !== told) text = event('state', stateView(head)) + text;
      told = state;
      if (text !== '') {
        quiet = 0;
        yield text;
      } else if (quiet >= times.heartbeatMilliseconds) {
        quiet = 0;
        yield ': still here\n\n';
      }
      if (rows.length > 0 && endedFor !== null) endedFor = 0;
      if (rows.length === piecesAtOnce) continue;
      if (!hasEnded(head)) endedFor = null;
      else {
        endedFor ??= endedSince(head, context);
        if (endedFor >= times.lingerMilliseconds) {
          yield event('end', stateView(head));
          return;
        }
      }
      const waited = await newsOrTime(news.promise, times.lookMilliseconds);
      quiet += waited;
      if (endedFor !== null) endedFor += waited;
    }
  } finally {
    signal.removeEventListener('abort', wake);
    unwatch();
  }
}

function endedSince(head: TaskHead, context: Pick<Context, 'clock'>): number {
  return head.endedAt === null ? 0 : Math.max(0, context.clock.now().getTime() - head.endedAt.getTime());
}

function stateView(head: TaskHead): TaskLogState {
  return { state: stateOf(taskStates, head.state), generation: head.generation, message: head.message };
}

function event(name: string, data: unknown, id?: string): string {
  return `${id === undefined ? '' : `id: ${id}\n`}event: ${name}\ndata: ${JSON.stringify(data)}\n\n`;
}

/** Waits for news, and no longer than that; tells how long it waited in vain. */
async function newsOrTime(news: Promise<void>, milliseconds: number): Promise<number> {
  const time = Promise.withResolvers<number>();
  const timer = setTimeout(time.resolve, milliseconds, milliseconds);
  try {
    return await Promise.race([news.then(() => 0), time.promise]);
  } finally {
    clearTimeout(timer);
  }
}
