import type { Actor } from '@fixpoint/core/audit/events.ts';
import type { TaskReason } from '@fixpoint/core/task/reasons.ts';
import type { TaskState } from '@fixpoint/core/task/states.ts';
import { checkTransition, isEnded, type TransitionSource } from '@fixpoint/core/task/transitions.ts';
import type { NewAuditEvent } from '../audit/commands.ts';
import type { Context, Transact } from '../context.ts';
import { concernedBy } from './plan.ts';
import type { TaskRow } from './records.ts';
import { appendTaskEvent, deleteRebootPlace, updateTask, type TaskChange } from './store.ts';

/** A part of the system that acts by itself. */
export const deploymentActor: Actor = { kind: 'system', name: 'deployment' };

export interface Move {
  readonly to: TaskState;
  readonly source: TransitionSource;
  readonly actor: Actor;
  /** When it happened; an agent's clock may say something else than ours. */
  readonly at: Date;
  readonly message?: string | null;
  readonly detail?: unknown;
  /** Why a task ended or waits; null takes an earlier reason away. */
  readonly reason?: TaskReason | null;
  /** Whatever else of the task changes with it. */
  readonly change?: TaskChange;
}

/**
 * Moves a task that is locked (with its asset) and writes its history. Answers the task as it is now and what is to be
 * appended to the audit trail, which the caller does last. A move that the table does not allow is a bug here: whoever
 * passes on what somebody else asks for checks first.
 */
export async function moveTask(
  trx: Transact,
  context: Pick<Context, 'clock'>,
  task: TaskRow,
  move: Move,
): Promise<{ task: TaskRow; audit: NewAuditEvent[] }> {
  const check = checkTransition(task, move.to, move.source);
  if (!check.ok) throw new Error(`task ${task.id}: ${check.message}`);
  if (!check.change) throw new Error(`task ${task.id} is ${task.state} already`);
  const now = context.clock.now();
  const change: TaskChange = {
    state: move.to,
    resumeState: move.to === 'unreachable' ? task.state : null,
    reason: move.reason ?? null,
    endedAt: isEnded(move.to) ? now : null,
    updatedAt: now,
    ...(move.to === 'installing' && task.changedGeneration === null
      ? { changedGeneration: task.generation }
      : {}),
    ...move.change,
  };
  await updateTask(trx, task.id, { ...change, progressAt: now });
  await appendTaskEvent(trx, task.id, {
    at: move.at,
    from: task.state,
    to: move.to,
    source: move.source,
    message: move.message ?? null,
    detail: move.detail,
  });
  if (isEnded(move.to)) await deleteRebootPlace(trx, task.id);
  return { task: { ...task, ...change }, audit: [auditOf(task, move)] };
}

function auditOf(task: TaskRow, move: Move): NewAuditEvent {
  const isOffer = task.state === 'queued' && move.to === 'offered';
  const ends = isEnded(move.to);
  return {
    actor: move.actor,
    event: isOffer
      ? 'task.offered'
      : ends
        ? 'task.ended'
        : move.to === 'rolling_back' && task.state !== 'unreachable'
          ? 'task.rollback_began'
          : 'task.state_changed',
    subjectKind: 'task',
    subject: task.id,
    reason: move.reason?.message ?? move.message ?? null,
    before: { state: task.state },
    after: {
      state: move.to,
      ...(move.reason === undefined || move.reason === null ? {} : { code: move.reason.code }),
      asset: task.planned.asset_id,
      deployment: task.deploymentId,
      generation: move.change?.generation ?? task.generation,
      ...(isOffer
        ? {
            sequence: move.change?.sequence,
            packages: task.planned.packages.map((p) => `${p.name} ${p.from} → ${p.to}`),
            mitigations: task.planned.mitigations?.map((m) => `${m.action} ${m.mitigation.id}`),
          }
        : {}),
      ...(isOffer || ends ? { vulnerabilities: concernedBy(task.planned) } : {}),
    },
  };
}

/** A new generation of a task: nothing that was ordered of it before, or that its host said of that, counts any more. */
export function nextGeneration(task: Pick<TaskRow, 'generation'>): TaskChange {
  return {
    generation: task.generation + 1,
    signedOrder: null,
    signedReboot: null,
    rebootAfter: null,
    expiresAt: null,
    offeredAt: null,
    eventIndex: -1,
  };
}
