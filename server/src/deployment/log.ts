import type { TaskLogRequest, TaskLogResponse } from '@fixpoint/contract/agent.ts';
import type { TaskLogPage, TaskLogPiece } from '@fixpoint/contract/task-log.ts';
import { taskStates } from '@fixpoint/core/task/states.ts';
import { isEnded } from '@fixpoint/core/task/transitions.ts';
import type { Context, Transact } from '../context.ts';
import { answer, refuse, type Answer, type Refusal } from '../refusal.ts';
import { beforeAll, heldLog, logAfter, taskHead, type LogPlace, type TaskHead } from './log-reads.ts';
import { stateOf } from './records.ts';
import type { ReportingAgent } from './report.ts';
import { deleteTaskLogs, insertTaskLog, lockAssets, updateTask } from './store.ts';
import type { TaskWatch } from './task-watch.ts';

/** The log of a task: what its commands wrote on the host, taken as it comes, shown and exported. */

/** Of one generation of a task; the agent keeps the same bound, so more than this comes from none that is well. */
const bytesMaximum = 1024 * 1024;
const piecesMaximum = 20_000;
/** How precisely the time of the last progress is kept. */
const progressSeconds = 5;
export const logKeptDays = 90;
const tasksAtOnce = 200;

/** Takes pieces of a log. What is there already is not stored again; after a gap nothing is, and the answer tells where to go on. */
export async function reportTaskLog(
  trx: Transact,
  context: Pick<Context, 'clock'> & { readonly taskWatch: TaskWatch },
  agent: ReportingAgent,
  report: TaskLogRequest,
): Promise<Answer<TaskLogResponse>> {
  await lockAssets(trx, [agent.assetId]);
  const { task_id: taskId, generation } = report;
  const head = await taskHead(trx, taskId);
  if (head === undefined || head.assetId !== agent.assetId) {
    return refuse(404, 'task_unknown', 'this asset has no such task', 'forget the task');
  }
  if (generation > head.generation) {
    return refuse(
      409,
      'generation_unknown',
      'no order of that generation was ever given',
      'forget this generation of the task',
    );
  }
  const watched = context.taskWatch.isWatched(taskId);
  const held = await heldLog(trx, taskId, generation);
  let { next, bytes } = held;
  if (report.first > next) return answer({ next, full: false, watched });
  let full = false;
  const fresh: (TaskLogRequest['pieces'][number] & { place: number })[] = [];
  for (const piece of report.pieces.slice(next - report.first)) {
    bytes += Buffer.byteLength(piece.text);
    full = bytes > bytesMaximum || next >= piecesMaximum;
    if (full) break;
    fresh.push({ ...piece, place: next });
    next += 1;
  }
  if (fresh.length > 0) {
    const now = context.clock.now();
    await insertTaskLog(trx, { taskId, generation, pieces: fresh });
    const stale = (head.progressAt?.getTime() ?? 0) < now.getTime() - progressSeconds * 1000;
    if (stale && generation === head.generation) await updateTask(trx, taskId, { progressAt: now });
    if (watched) await context.taskWatch.tell(trx, taskId);
  }
  return answer({ next, full, watched });
}

export function readPlace(text: string | undefined): LogPlace {
  const match = /^(\d+):(\d+)$/u.exec(text ?? '');
  return match === null ? beforeAll : { generation: Number(match[1]), place: Number(match[2]) };
}

export const placeOf = (piece: LogPlace): string => `${String(piece.generation)}:${String(piece.place)}`;

export function unknownTask(id: string): Refusal {
  return refuse(
    404,
    'task_unknown',
    `there is no task ${id}`,
    'see the tasks with: fixpoint deployment show ID',
  );
}

export function pieceView(row: Awaited<ReturnType<typeof logAfter>>[number]): TaskLogPiece {
  return {
    generation: row.generation,
    place: row.place,
    at: row.at.toISOString(),
    step: row.step,
    text: row.text,
  };
}

export const hasEnded = (head: TaskHead): boolean => isEnded(stateOf(taskStates, head.state));

/** A page of the log. */
export async function taskLog(
  context: Pick<Context, 'db'>,
  id: string,
  query: {
    readonly generation?: number | undefined;
    readonly after?: string | undefined;
    readonly limit?: number | undefined;
  },
): Promise<Answer<TaskLogPage>> {
  const head = await taskHead(context.db, id);
  if (head === undefined) return unknownTask(id);
  const limit = query.limit ?? 200;
  const rows = await logAfter(context.db, id, {
    after: readPlace(query.after),
    generation: query.generation ?? null,
    limit: limit + 1,
  });
  const shown = rows.slice(0, limit);
  const last = shown.at(-1);
  return answer({
    items: shown.map(pieceView),
    next: rows.length > limit && last !== undefined ? placeOf(last) : null,
    ended: hasEnded(head),
  });
}

/** The whole log as text, in portions: each line with when and of what it is. */
export async function taskLogText(
  context: Pick<Context, 'db'>,
  id: string,
): Promise<Answer<AsyncIterable<string>>> {
  const head = await taskHead(context.db, id);
  if (head === undefined) return unknownTask(id);
  return answer(linesOf(context, id, head));
}

async function* linesOf(context: Pick<Context, 'db'>, id: string, head: TaskHead): AsyncGenerator<string> {
  yield `# task ${id} on ${head.hostname}: ${head.state}\n`;
  let after = beforeAll;
  for (;;) {
    const rows = await logAfter(context.db, id, { after, generation: null, limit: 200 });
    const last = rows.at(-1);
    if (last === undefined) return;
    let text = '';
    for (const row of rows) {
      if (row.generation !== after.generation) text += `# generation ${String(row.generation)}\n`;
      after = row;
      for (const line of row.text.replace(/\n$/u, '').split('\n')) {
        text += `${row.at.toISOString()} ${row.step}: ${line}\n`;
      }
    }
    yield text;
  }
}

/** Forgets logs of tasks that ended long ago. Their history and evidence stay. */
export async function forgetTaskLogs(
  context: Pick<Context, 'clock'>,
  transaction: <T>(work: (trx: Transact) => Promise<T>) => Promise<T>,
): Promise<void> {
  const before = new Date(context.clock.now().getTime() - logKeptDays * 86_400_000);
  while ((await transaction((trx) => deleteTaskLogs(trx, before, tasksAtOnce))) > 0);
}
