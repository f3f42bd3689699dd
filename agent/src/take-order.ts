import type { SignedOrder } from '@fixpoint/contract/order.ts';
import type { AgentParts } from './check-in.ts';
import { toIso } from './clock.ts';
import { sha256Hex } from './identity.ts';
import type { CollectedInventory } from './inventory.ts';
import { managerTraits } from './package-tools.ts';
import { readHostPolicy } from './policy.ts';
import { keptVersions } from './task/kept.ts';
import type { Task, TaskList } from './task/task.ts';
import { decideOrder } from './trust.ts';

/** Takes orders that this host obeys into its journal, and notes why it does not obey the others. */
export interface OrderTaker {
  /** @param settled payload digests of tasks whose end the server knew when it was asked */
  take(signed: SignedOrder, collected: CollectedInventory, settled: ReadonlySet<string>): void;
}

/** Those of which a later generation was taken; an earlier agent may have ended before it gave them up. */
export function supersededTasks(tasks: Pick<TaskList, 'active' | 'find'>): Task[] {
  return tasks
    .active()
    .filter(({ order }) =>
      tasks.find(order.task_id).some((other) => other.order.generation > order.generation),
    );
}

export function createOrderTaker(
  parts: AgentParts,
  given: { readonly cancelled: Set<string>; readonly superseded: Set<Task> },
): OrderTaker {
  const { clock, enrolment, log, refusals, tasks, taskParts } = parts;
  const waitsForReboot = (taskId: string, generation: number): Task | undefined =>
    tasks
      .find(taskId)
      .find(
        (task) =>
          task.order.generation === generation && !task.hasEnded() && task.state() === 'reboot_pending',
      );

  for (const task of supersededTasks(tasks)) given.superseded.add(task);

  return {
    take(signed, collected, settled) {
      const decision = decideOrder(signed, {
        assetId: enrolment.asset_id,
        mode: parts.source.takesOrders ? enrolment.mode : 'assess',
        serverKey: enrolment.server_key,
        now: clock.now(),
        lastSequence: tasks.lastSequence(),
        installed: collected.inventory.packages,
        scheme: managerTraits[parts.source.manager].scheme,
        policy: readHostPolicy().policy,
        awaitsReboot: (taskId, generation) => waitsForReboot(taskId, generation) !== undefined,
        kept: (taskId, generation) => keptVersions(taskParts.stateDir, taskId, generation),
        isJournaled: (order, payload) =>
          tasks.isJournaled(order, payload) && !settled.has(sha256Hex(payload)),
      });
      if (!decision.ok) {
        log('warn', 'order refused', {
          reason: decision.reason,
          detail: decision.message,
          task_id: decision.taskId,
        });
        refusals.add({
          reason: decision.reason,
          message: decision.message.slice(0, 2_000),
          task_id: decision.taskId,
          payload_digest: sha256Hex(signed.payload),
          at: toIso(clock.now()),
        });
        return;
      }
      if ('repeated' in decision) return;
      const { order } = decision;
      if (order.action === 'reboot') {
        const task = waitsForReboot(order.task_id, order.generation);
        if (task === undefined) throw new Error('a reboot was accepted that no task waits for');
        tasks.permitReboot(task, order, signed.payload);
        taskParts.stopAt.pass('permitted');
        log('info', 'reboot permitted', { task_id: order.task_id, mode: order.mode });
        return;
      }
      // A later generation replaces an earlier one that has not begun; one that has begun is seen to its end first.
      for (const earlier of tasks.find(order.task_id)) given.superseded.add(earlier);
      given.cancelled.delete(order.task_id);
      tasks.accept(order, signed.payload, () => {
        taskParts.stopAt.pass('accepted');
      });
      log('info', 'order accepted', {
        task_id: order.task_id,
        action: order.action,
        generation: order.generation,
        packages: order.packages
          .map((p) => `${p.name} ${order.action === 'install' ? p.to : p.from}`)
          .slice(0, 20),
        mitigations:
          order.action === 'install'
            ? order.mitigations?.map((m) => `${m.action} ${m.mitigation.id}`)
            : undefined,
      });
    },
  };
}
