import { sql } from 'kysely';
import type { Kysely } from 'kysely';
import type { Pool } from 'pg';
import type { Logger } from 'pino';
import type { Clock, Transact } from '../context.ts';
import { listen, type Listener } from '../database/listen.ts';
import type { Database } from '../database/tables.ts';

/**
 * Which tasks somebody watches, at whichever server, and the news about them. Servers tell each other on one channel: `watch TASK`
 * every so often while somebody watches there, `news TASK` when something of a watched task was stored. What is not heard costs
 * time only: a watcher looks by itself too.
 */
export interface TaskWatch {
  /** Hears of other servers from now on. */
  start(): void;
  stop(): Promise<void>;
  isWatched(taskId: string): boolean;
  /** Calls `onNews` at news about the task, until the answer is called. */
  watch(taskId: string, onNews: () => void): () => void;
  /** Tells whoever watches, when the transaction commits. */
  tell(trx: Transact, taskId: string): Promise<void>;
  /** How many watch at this server. */
  watchers(): number;
}

const channel = 'task_watch';
const tellEveryMilliseconds = 15_000;
const watchedSeconds = 40;

export function openTaskWatch(
  source: {
    readonly db: Kysely<Database>;
    readonly pool: Pool;
    readonly log: Logger;
    readonly clock: Clock;
  } | null,
): TaskWatch {
  let listener: Listener | null = null;
  const here = new Map<string, Set<() => void>>();
  /** Watched at other servers (and here), until when. */
  const until = new Map<string, number>();
  let timer: NodeJS.Timeout | null = null;

  const now = (): number => source?.clock.now().getTime() ?? 0;

  function heard(payload: string): void {
    const [what, taskId] = payload.split(' ');
    if (taskId === undefined) return;
    if (what === 'watch') {
      until.set(taskId, now() + watchedSeconds * 1000);
      for (const [id, end] of until) if (end < now()) until.delete(id);
    } else if (what === 'news') {
      for (const onNews of here.get(taskId) ?? []) onNews();
    }
  }

  function announce(taskIds: readonly string[]): void {
    if (source === null || taskIds.length === 0) return;
    sql`select pg_notify(${channel}, 'watch ' || id) from unnest(${taskIds}::text[]) id`
      .execute(source.db)
      .catch((error: unknown) => {
        source.log.warn({ err: error }, 'other servers could not be told which tasks are watched');
      });
  }

  return {
    start() {
      if (source === null || listener !== null) return;
      listener = listen(source.pool, {
        channel,
        log: source.log,
        begun: () => undefined,
        heard,
        lost: () => undefined,
      });
      timer = setInterval(() => {
        announce([...here.keys()]);
      }, tellEveryMilliseconds).unref();
    },
    async stop() {
      if (timer !== null) clearInterval(timer);
      const stopping = listener;
      listener = null;
      await stopping?.stop();
    },
    isWatched: (taskId) => here.has(taskId) || (until.get(taskId) ?? 0) > now(),
    watch(taskId, onNews) {
      const all = here.get(taskId);
      if (all === undefined) {
        here.set(taskId, new Set([onNews]));
        announce([taskId]);
      } else all.add(onNews);
      return () => {
        const rest = here.get(taskId);
        rest?.delete(onNews);
        if (rest?.size === 0) here.delete(taskId);
      };
    },
    async tell(trx, taskId) {
      await sql`select pg_notify(${channel}, ${`news ${taskId}`})`.execute(trx);
    },
    watchers: () => [...here.values()].reduce((sum, all) => sum + all.size, 0),
  };
}
