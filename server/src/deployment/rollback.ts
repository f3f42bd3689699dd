import type { Actor } from '@fixpoint/core/audit/events.ts';
import type { RollbackRule } from '@fixpoint/core/patch-job/definition.ts';
import type { TaskReason } from '@fixpoint/core/task/reasons.ts';
import { Type } from 'typebox';
import { Compile } from 'typebox/compile';
import type { NewAlert } from '../notify/commands.ts';
import type { Context, Transact } from '../context.ts';
import { add, type Aftermath, taskAlert } from './aftermath.ts';
import { deploymentActor, moveTask, nextGeneration } from './move.ts';
import { keepOf } from './order-texts.ts';
import { installedOf } from './plan.ts';
import { deploymentWithJob } from './heads.ts';
import { assetFacts, keptOfTask, openTasksOfAsset } from './reads.ts';
import { hasRebootPlace } from './reboot-reads.ts';
import type { TaskRow } from './records.ts';
import { appendTaskEvent } from './store.ts';

/** When what a task changed is put back. What came of it is judged in rollback-verification.ts. */

export const rollbackObstacles = [
  'nothing_to_roll_back',
  'asset_retired',
  'assess_only',
  'nothing_kept',
  'kept_incomplete',
  'changed_since',
  'task_under_way',
  'reboot_under_way',
] as const;
export interface RollbackObstacle {
  readonly code: (typeof rollbackObstacles)[number];
  readonly message: string;
  readonly whatToDo: string;
}

const Kept = Compile(Type.Object({ missing: Type.Array(Type.String()) }));
const byHand = 'Put the earlier versions back by a job of their own, or by hand.';

/** Why a task (locked, with its asset) cannot be rolled back; null when it can, as far as the server knows. */
export async function rollbackObstacle(trx: Transact, task: TaskRow): Promise<RollbackObstacle | null> {
  const name = task.planned.hostname;
  if (task.changedGeneration === null) {
    return {
      code: 'nothing_to_roll_back',
      message: `Nothing of this task was changed on ${name}.`,
      whatToDo: 'Nothing needs to be done.',
    };
  }
  if (task.planned.packages.length === 0) {
    return {
      code: 'nothing_to_roll_back',
      message: `The task changed no package of ${name}, only configuration.`,
      whatToDo: 'Take mitigations back by a job with undo_mitigations.',
    };
  }
  const { definition } = await deploymentWithJob(trx, task.deploymentId);
  if (keepOf(definition) === null) {
    return {
      code: 'nothing_kept',
      message: 'The job did not ask for the earlier packages to be kept.',
      whatToDo: byHand,
    };
  }
  const kept = await keptOfTask(trx, task.id, task.changedGeneration);
  const missing = Kept.Check(kept) ? kept.missing : [];
  if (missing.length > 0) {
    return {
      code: 'kept_incomplete',
      message: `${name} could not keep ${missing.slice(0, 5).join(', ')}${missing.length > 5 ? ` and ${String(missing.length - 5)} more` : ''}.`,
      whatToDo: byHand,
    };
  }
  if (await hasRebootPlace(trx, task.id)) {
    return {
      code: 'reboot_under_way',
      message: `${name} has been let go on to a reboot.`,
      whatToDo: 'Wait until it is back, then roll the task back.',
    };
  }
  const others = (await openTasksOfAsset(trx, task.assetId)).filter((one) => one.id !== task.id);
  if (others.some((one) => one.state !== 'queued')) {
    return {
      code: 'task_under_way',
      message: `Another task is under way on ${name}.`,
      whatToDo: 'Wait until it has ended, or cancel it.',
    };
  }
  return obstacleOnAsset(trx, task);
}

/**
 * A host that takes no orders any more. And what is neither as the task left it nor as it was before has been changed by somebody
 * else: that is not ours to undo.
 */
async function obstacleOnAsset(trx: Transact, task: TaskRow): Promise<RollbackObstacle | null> {
  const [asset] = await assetFacts(trx, [task.assetId], null);
  if (asset === undefined) throw new Error(`task ${task.id} is of an asset that is not there`);
  if (asset.retired_at !== null) {
    return {
      code: 'asset_retired',
      message: `${task.planned.hostname} was retired.`,
      whatToDo: 'Nothing needs to be done.',
    };
  }
  if (asset.mode !== 'manage') {
    return {
      code: 'assess_only',
      message: `The agent of ${task.planned.hostname} only reports by now, and changes nothing.`,
      whatToDo:
        'Enrol it in manage mode on the host itself, then roll the task back; or put it back by hand.',
    };
  }
  const installed = (await installedOf(trx, [asset])).get(asset.id) ?? [];
  for (const one of task.planned.packages) {
    const versions = installed.filter((p) => p.name === one.name && p.arch === one.arch);
    // what is half done, or missing, is what a rollback is for
    const other = versions.find((p) => p.version !== one.from && p.version !== one.to);
    if (other === undefined || versions.some((p) => p.version === one.to)) continue;
    return {
      code: 'changed_since',
      message: `${one.name} on ${task.planned.hostname} is at ${other.version} by now: neither what this task installed (${one.to}) nor what was there before (${one.from}).`,
      whatToDo: 'Roll back what was done later first, or put the version that is wanted back by hand.',
    };
  }
  return null;
}

/** Begins to put back what a task (locked, with its asset) changed: a generation of its own, which the host is ordered next. */
export async function beginRollback(
  trx: Transact,
  context: Pick<Context, 'clock'>,
  task: TaskRow,
  by: { readonly actor: Actor; readonly source: 'server' | 'person'; readonly why: string },
): Promise<Aftermath & { task: TaskRow }> {
  const reason: TaskReason = {
    code: 'rolling_back',
    message: by.why,
    what_to_do: 'Nothing needs to be done; the next inventory shows whether everything is as before.',
  };
  const moved = await moveTask(trx, context, task, {
    to: 'rolling_back',
    source: by.source,
    actor: by.actor,
    at: context.clock.now(),
    message: by.why,
    reason,
    change: {
      ...nextGeneration(task),
      action: 'roll_back',
      undoesGeneration: task.changedGeneration,
      evidence: { ...Object(task.evidence), rollback: { why: by.why } },
    },
  });
  return { task: moved.task, audit: moved.audit, alerts: [] };
}

/** Which failures a job wants to be followed by a rollback. */
function asksForRollback(rule: RollbackRule | undefined, failure: string): boolean {
  switch (rule?.on) {
    case 'any_failure':
      return failure !== 'rollback_failed';
    case 'verification_failure':
      return failure === 'not_remediated';
    case 'health_failure':
      return failure === 'health_failed';
    default:
      return false;
  }
}

/**
 * After a task has failed: puts back what it changed, where the job says so and something was changed. `given`: the task as it is
 * now, failed. Where it cannot be, its history and an alert say why.
 */
export async function rollBackAfterFailure(
  trx: Transact,
  context: Pick<Context, 'clock'>,
  given: TaskRow,
): Promise<Aftermath & { task: TaskRow }> {
  const nothing = { task: given, audit: [], alerts: [] };
  if (given.state !== 'failed' || given.changedGeneration === null || given.action === 'roll_back')
    return nothing;
  const failure = given.reason?.code ?? '';
  const { definition } = await deploymentWithJob(trx, given.deploymentId);
  if (!asksForRollback(definition.rollback, failure)) return nothing;
  const obstacle = await rollbackObstacle(trx, given);
  if (obstacle !== null) {
    const message = `Not rolled back (${obstacle.code}): ${obstacle.message}`;
    await appendTaskEvent(trx, given.id, {
      at: context.clock.now(),
      from: given.state,
      to: given.state,
      source: 'server',
      message,
      detail: null,
    });
    return { ...nothing, alerts: [notPossibleAlert(given, message, obstacle.whatToDo)] };
  }
  const why = `Rolled back after a failure (${failure}), as the job says: ${given.reason?.message ?? ''}`;
  const begun = await beginRollback(trx, context, given, {
    actor: deploymentActor,
    source: 'server',
    why: why.trim(),
  });
  add(begun, { audit: [], alerts: [begunAlert(given, why)] });
  return begun;
}

function notPossibleAlert(task: TaskRow, message: string, whatToDo: string): NewAlert {
  return taskAlert(task, { kind: 'rollback_not_possible', severity: 'critical', message, whatToDo });
}

function begunAlert(task: TaskRow, why: string): NewAlert {
  return taskAlert(task, {
    kind: 'rollback_began',
    severity: 'warning',
    message: why,
    whatToDo: 'See why the patch failed there before it is deployed to more hosts.',
  });
}
