import type { DecideOptions, TaskObservation } from '@fixpoint/core/deployment/decide.ts';
import type { TaskOfAsset } from './records.ts';

/** An asset is silent after three missed check-ins, and not before this. */
export const decideOptions: DecideOptions = { silentAfterSeconds: 30 };

/**
 * A task as core decides by it. `listeningSince`: since when this server could have heard anybody; while it was down,
 * silence was its own. Null when that does not matter.
 */
export function observationOf(
  task: TaskOfAsset,
  listeningSince: Date | null,
  asking = false,
): TaskObservation {
  const heard = task.lastSeenAt?.getTime() ?? null;
  const since = listeningSince?.getTime() ?? null;
  return {
    id: task.id,
    ring: task.ring,
    state: task.state,
    resumeState: task.resumeState,
    expiresAt: task.expiresAt?.getTime() ?? null,
    // Contacts are written in batches: who has an order and is not written down yet was heard a moment ago.
    heardAt: since === null ? heard : Math.max(heard ?? since, since),
    checkInSeconds: task.nextCheckInSeconds,
    retired: task.retiredAt !== null,
    asking,
  };
}
