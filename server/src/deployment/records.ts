import type { Selectable } from 'kysely';
import { Type } from 'typebox';
import { Compile } from 'typebox/compile';
import { Value } from 'typebox/value';
import { SignedOrder } from '@fixpoint/contract/order.ts';
import { Plan, PlannedTask } from '@fixpoint/contract/patch-job.ts';
import { deploymentStates, type DeploymentState } from '@fixpoint/core/deployment/states.ts';
import type { TaskReason } from '@fixpoint/core/task/reasons.ts';
import { taskStates, type TaskState } from '@fixpoint/core/task/states.ts';
import type { DeploymentTable, TaskTable } from '../database/tables.ts';

/** Rows of deployments and tasks as the code has them: states are states, JSON is parsed. */

export interface DeploymentRow {
  readonly id: string;
  readonly jobId: string;
  readonly state: DeploymentState;
  readonly plan: Plan;
  readonly createdBy: string;
  readonly createdAt: Date;
  readonly startedAt: Date | null;
  readonly endedAt: Date | null;
}

export interface TaskRow {
  readonly id: string;
  readonly deploymentId: string;
  readonly ring: number;
  readonly assetId: number;
  readonly state: TaskState;
  readonly resumeState: TaskState | null;
  readonly reason: TaskReason | null;
  readonly generation: number;
  /** What this generation is about. */
  readonly action: 'install' | 'roll_back';
  /** The generation that a rollback undoes. */
  readonly undoesGeneration: number | null;
  /** The first generation that began to change the host since it was last as before; null: none did. */
  readonly changedGeneration: number | null;
  readonly sequence: number | null;
  readonly planned: PlannedTask;
  readonly signedOrder: SignedOrder | null;
  /** The permission to reboot, until it is used or given back. */
  readonly signedReboot: SignedOrder | null;
  /** A reboot is not asked for again before. */
  readonly rebootAfter: Date | null;
  /** When it was seen that a whole window had gone by without a sign of the asset. */
  readonly missedWindowAt: Date | null;
  readonly expiresAt: Date | null;
  readonly offeredAt: Date | null;
  readonly endedAt: Date | null;
  readonly updatedAt: Date;
  readonly eventIndex: number;
  readonly evidence: unknown;
}

/** A task with what its decision needs to know of the asset. */
export interface TaskOfAsset extends TaskRow {
  readonly lastSeenAt: Date | null;
  readonly nextCheckInSeconds: number;
  readonly retiredAt: Date | null;
  /** IANA zone of the host; `UTC` when it does not say. */
  readonly timeZone: string;
}

export function stateOf<T extends string>(states: readonly T[], text: string): T {
  const state = states.find((one) => one === text);
  if (state === undefined) throw new Error(`the database holds a state that there is not: ${text}`);
  return state;
}

const Reason = Compile(
  Type.Object({ code: Type.String(), message: Type.String(), what_to_do: Type.String() }),
);

export function taskOf(row: Selectable<TaskTable>): TaskRow {
  return {
    id: row.id,
    deploymentId: row.deployment_id,
    ring: row.ring,
    assetId: row.asset_id,
    state: stateOf(taskStates, row.state),
    resumeState: row.resume_state === null ? null : stateOf(taskStates, row.resume_state),
    reason: row.reason === null ? null : Reason.Parse(row.reason),
    generation: row.generation,
    action: row.action === 'roll_back' ? 'roll_back' : 'install',
    undoesGeneration: row.undoes_generation,
    changedGeneration: row.changed_generation,
    sequence: row.sequence === null ? null : Number(row.sequence),
    planned: Value.Parse(PlannedTask, row.planned),
    signedOrder: row.signed_order === null ? null : Value.Parse(SignedOrder, row.signed_order),
    signedReboot: row.signed_reboot === null ? null : Value.Parse(SignedOrder, row.signed_reboot),
    rebootAfter: row.reboot_after,
    missedWindowAt: row.missed_window_at,
    expiresAt: row.expires_at,
    offeredAt: row.offered_at,
    endedAt: row.ended_at,
    updatedAt: row.updated_at,
    eventIndex: row.event_index,
    evidence: row.evidence,
  };
}

export function deploymentOf(row: Selectable<DeploymentTable>): DeploymentRow {
  return {
    id: row.id,
    jobId: row.job_id,
    state: stateOf(deploymentStates, row.state),
    plan: Value.Parse(Plan, row.plan),
    createdBy: row.created_by,
    createdAt: row.created_at,
    startedAt: row.started_at,
    endedAt: row.ended_at,
  };
}
