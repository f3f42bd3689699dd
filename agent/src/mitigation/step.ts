import type { OrderedMitigation } from '@fixpoint/contract/mitigation.ts';
import { readBootId } from '../process.ts';
import { TaskDropped, TaskFailed, type EventDetail, type TaskContext } from '../task/context.ts';
import type { InstallTask } from '../task/task.ts';
import { applyMitigation, undoMitigation, type MitigationParts } from './carry-out.ts';
import { thisHost } from './host-access.ts';
import { openMitigationRecords } from './records.ts';

/** The step of a task that changes configuration: after the packages, one mitigation after the other. */

type Reported = NonNullable<EventDetail['mitigations']>;

/** Does what the order says about mitigations; throws TaskFailed with what was reached. */
export async function mitigate(
  task: InstallTask,
  ordered: readonly OrderedMitigation[],
  context: TaskContext,
): Promise<void> {
  // With packages before it, the server has been told of the installation already.
  const alone = task.order.packages.length === 0;
  if (task.attempts('mitigate') === 0) {
    if (alone && context.isCancelled(task)) throw new TaskDropped();
    if (context.clock.now() >= Date.parse(task.order.expires_at) && alone) {
      throw new TaskFailed(
        'order_refused',
        `The order expired at ${task.order.expires_at}, before anything was changed.`,
      );
    }
    task.note('mitigate', 'begin', {
      ...(alone ? { event: { state: 'installing' } } : {}),
      data: { boot_id: readBootId() },
    });
    context.wake();
  }
  context.stopAt.pass('mitigate');
  const parts: MitigationParts = {
    host: thisHost,
    records: openMitigationRecords(context.stateDir),
    clock: context.clock,
    ownUnit: context.ownUnit,
    neverRestart: context.policy().policy?.never_restart ?? [],
    onWritten: () => {
      context.stopAt.pass('mitigate:running');
    },
  };
  const reported: Reported = [];
  for (const { action, mitigation } of ordered) {
    if (task.order.units === 'leave' && mitigation.restart_units.length > 0) {
      throw new TaskFailed(
        'mitigation_failed',
        `${mitigation.id}: the order says to leave services alone, and without them it has no effect.`,
        { mitigations: reported },
      );
    }
    context.log('info', 'mitigation', { action, id: mitigation.id, task_id: task.order.task_id });
    const result =
      action === 'apply'
        ? await applyMitigation(mitigation, parts)
        : await undoMitigation(mitigation.id, parts);
    if (!result.ok) {
      throw new TaskFailed('mitigation_failed', `${mitigation.id}: ${result.message}`, {
        mitigations: reported,
      });
    }
    reported.push({ id: mitigation.id, action, state: result.state, detail: result.detail.slice(0, 1_000) });
  }
  context.stopAt.pass('mitigate:done');
  task.note('mitigate', 'done', {
    ...(alone ? { event: { state: 'installed', detail: { mitigations: reported } } } : {}),
    data: { mitigations: reported },
  });
  context.wake();
}
