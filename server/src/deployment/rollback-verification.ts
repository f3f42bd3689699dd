import { InventoryDigestsSchema } from '@fixpoint/contract/inventory.ts';
import { sameDigests } from '@fixpoint/core/inventory/digest.ts';
import type { InventoryDigests } from '@fixpoint/core/inventory/inventory.ts';
import { failureReason, type TaskReason } from '@fixpoint/core/task/reasons.ts';
import { verifyRollback, type RollbackVerification } from '@fixpoint/core/task/verify-rollback.ts';
import { Type } from 'typebox';
import { Compile } from 'typebox/compile';
import { Value } from 'typebox/value';
import type { NewAuditEvent } from '../audit/commands.ts';
import type { Context, Transact } from '../context.ts';
import type { NewAlert } from '../notify/commands.ts';
import { type Aftermath, taskAlert } from './aftermath.ts';
import { deploymentActor, moveTask } from './move.ts';
import { installedOf } from './plan.ts';
import { assetFacts } from './reads.ts';
import type { TaskRow } from './records.ts';
import { updateTask } from './store.ts';

/** What came of a rollback, by the inventory that the host sent after it. */

const Begun = Compile(Type.Object({ rollback: Type.Object({ why: Type.String() }) }));
const Finished = Compile(
  Type.Object({
    rollback: Type.Object({
      generation: Type.Integer(),
      pending: Type.Optional(Type.Union([Type.String(), Type.Null()])),
    }),
  }),
);

/** Whether the host has said that it is done putting back, so that an inventory can prove it. */
export function isRollbackReported(task: TaskRow): boolean {
  return (
    task.state === 'rolling_back' &&
    Finished.Check(task.evidence) &&
    task.evidence.rollback.generation === task.generation
  );
}

/**
 * Notes that the host is done, and by which inventory it wants to be judged. `pending`: everything is back on disk, but what was
 * rolled back still runs; nobody is rebooted by a rollback.
 */
export async function rollbackReported(
  trx: Transact,
  task: TaskRow,
  given: {
    readonly digests: InventoryDigests | null;
    readonly pending: 'restart_pending' | 'reboot_pending' | null;
  },
  now: Date,
): Promise<TaskRow> {
  const evidence = {
    ...Object(task.evidence),
    rollback: { why: whyOf(task), generation: task.generation, reported_at: now.toISOString(), ...given },
  };
  await updateTask(trx, task.id, { evidence, updatedAt: now });
  return { ...task, evidence, updatedAt: now };
}

/** Whether the inventory with these digests is the one that is stored. */
export async function isInventoryHere(
  trx: Transact,
  assetId: number,
  digests: InventoryDigests | undefined,
): Promise<boolean> {
  if (digests === undefined) return false;
  const [asset] = await assetFacts(trx, [assetId], null);
  if (asset === undefined || !Value.Check(InventoryDigestsSchema, asset.digests)) return false;
  return sameDigests(asset.digests, digests);
}

/** Judges a rollback (its task locked, with its asset) by the inventory that is stored. */
export async function judgeRollback(
  trx: Transact,
  context: Pick<Context, 'clock'>,
  task: TaskRow,
): Promise<Aftermath & { task: TaskRow }> {
  const [asset] = await assetFacts(trx, [task.assetId], null);
  if (asset === undefined) throw new Error(`task ${task.id} is of an asset that is not there`);
  if (asset.retired_at !== null) return { task, audit: [], alerts: [] };
  const now = context.clock.now();
  const [problem] = asset.problems;
  const { packages, added = [], removed = [] } = task.planned;
  const result = verifyRollback({
    packages,
    added,
    removed,
    installed: (await installedOf(trx, [asset])).get(asset.id) ?? [],
    unjudged:
      problem === undefined
        ? null
        : `The agent cannot read the host as a whole just now, so it cannot be told whether everything is as before (${problem.code}): ${problem.message}`,
  });
  const evidence = {
    ...Object(task.evidence),
    rollback: {
      ...result.evidence,
      generation: task.generation,
      undid_generation: task.undoesGeneration,
      pending: pendingOf(task),
      why: whyOf(task),
      outcome: result.outcome,
      judged_at: now.toISOString(),
      inventory_at: asset.inventory_at?.toISOString() ?? null,
      digests: asset.digests,
    },
  };
  if (result.outcome === 'undetermined') {
    await updateTask(trx, task.id, { evidence, updatedAt: now });
    return { task: { ...task, evidence, updatedAt: now }, audit: [], alerts: [] };
  }
  const back = result.outcome === 'rolled_back';
  const moved = await moveTask(trx, context, task, {
    to: back ? 'rolled_back' : 'failed',
    source: 'server',
    actor: deploymentActor,
    at: now,
    message: result.evidence.sentence,
    reason: back
      ? rolledBackReason(task, result)
      : failureReason('rollback_failed', result.evidence.sentence),
    change: { evidence, ...(back ? { changedGeneration: null } : {}) },
  });
  return {
    task: moved.task,
    audit: [verifiedEvent(task, result), ...moved.audit],
    alerts: back ? [] : [rollbackFailedAlert(task, result.evidence.sentence)],
  };
}

/** Why it is rolled back, as it was said when that began. */
function whyOf(task: TaskRow): string {
  return Begun.Check(task.evidence) ? task.evidence.rollback.why : '';
}

function pendingOf(task: TaskRow): string | null {
  return Finished.Check(task.evidence) ? (task.evidence.rollback.pending ?? null) : null;
}

function rolledBackReason(task: TaskRow, { evidence }: RollbackVerification): TaskReason {
  const pending = pendingOf(task);
  const runs =
    pending === null
      ? ''
      : ` What was rolled back still runs until the host ${pending === 'reboot_pending' ? 'reboots' : 'restarts it'}.`;
  return {
    code: 'rolled_back',
    message: `${evidence.sentence}${runs} ${whyOf(task)}`.trim(),
    what_to_do: `${pending === 'reboot_pending' ? 'Reboot the host. ' : pending === null ? '' : 'Restart what the findings of the asset name. '}What the patch fixed is open again. See why it was rolled back, then retry or plan anew.`,
  };
}

function verifiedEvent(task: TaskRow, { outcome, evidence }: RollbackVerification): NewAuditEvent {
  return {
    actor: deploymentActor,
    event: 'task.verified',
    subjectKind: 'task',
    subject: task.id,
    reason: evidence.sentence,
    after: {
      outcome,
      not_restored: evidence.not_restored,
      asset: task.planned.asset_id,
      deployment: task.deploymentId,
    },
  };
}

/** Somebody must look at the host: it is neither patched nor as it was. */
export function rollbackFailedAlert(task: TaskRow, why: string): NewAlert {
  const { message, what_to_do: whatToDo } = failureReason('rollback_failed', why);
  return taskAlert(task, { kind: 'rollback_failed', severity: 'critical', message, whatToDo });
}
