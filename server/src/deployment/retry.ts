import type { Actor } from '@fixpoint/core/audit/events.ts';
import type { NewAuditEvent } from '../audit/commands.ts';
import type { Context, Transact } from '../context.ts';
import { moveTask, nextGeneration } from './move.ts';
import type { TaskRow } from './records.ts';

/** Takes a task (locked, with its asset) up again: a new generation, which installs. */
export async function retryTask(
  trx: Transact,
  context: Pick<Context, 'clock'>,
  actor: Actor,
  task: TaskRow,
  reason: string,
): Promise<NewAuditEvent[]> {
  const moved = await moveTask(trx, context, task, {
    to: 'queued',
    source: 'person',
    actor,
    at: context.clock.now(),
    message: `Retried: ${reason}`,
    change: {
      ...nextGeneration(task),
      action: 'install',
      undoesGeneration: null,
      missedWindowAt: null,
    },
  });
  return moved.audit;
}
