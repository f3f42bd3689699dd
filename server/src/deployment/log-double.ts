/** For tests only: an agent that has begun a task and tells what its commands write. */
import { Value } from 'typebox/value';
import { CheckInResponse, TaskLogResponse } from '@fixpoint/contract/agent.ts';
import type { InstallOrder } from '@fixpoint/contract/order.ts';
import type { AgentDouble } from './agent-double.ts';
import type { Fleet } from './fleet-double.ts';

export interface AtWork {
  readonly agent: AgentDouble;
  readonly order: InstallOrder;
  log(first: number, pieces: readonly { step: string; text: string }[]): Promise<TaskLogResponse>;
  checkIn(): Promise<{ watched: string[] }>;
}

/** A host of that name with an order of its own, on which it has reported `downloading`. */
export async function agentAtWork(fleet: Fleet, hostname: string): Promise<AtWork> {
  const agent = await fleet.enrol(hostname);
  await fleet.start({ name: hostname, target: { tags: [], assets: [agent.uid], exclude: [] } });
  const order = await agent.fetchOrder();
  await agent.report(order, [{ index: 0, state: 'downloading' }]);
  const { task_id, generation } = order;
  return {
    agent,
    order,
    async log(first, pieces) {
      let next: TaskLogResponse = { next: first, full: false };
      // As the agent: a hundred at a time.
      for (let i = 0; i === 0 || i < pieces.length; i += 100) {
        const at = fleet.clock.now().toISOString();
        const some = pieces.slice(i, i + 100).map((piece) => ({ at, ...piece }));
        next = Value.Parse(
          TaskLogResponse,
          await agent.post('/agent/v1/task-log', agent.session, {
            task_id,
            generation,
            first: first + i,
            pieces: some,
          }),
        );
      }
      return next;
    },
    async checkIn() {
      const answer = Value.Parse(
        CheckInResponse,
        await agent.post('/agent/v1/check-in', agent.session, {
          agent_version: 'double',
          boot_id: 'boot-1',
          digests: agent.digests(),
          tasks: [{ task_id, generation, state: 'downloading' }],
        }),
      );
      return { watched: answer.watched_tasks ?? [] };
    },
  };
}
