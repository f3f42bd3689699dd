import type { CheckInRequest, CheckInResponse } from '@fixpoint/contract/agent.ts';
import { digestJson } from '@fixpoint/core/inventory/digest.ts';
import type { ServerContext } from '../app.ts';
import type { AgentIdentity } from '../auth/guard.ts';
import { assetHeard, hasActiveTask, ordersFor } from '../deployment/commands.ts';
import { answer, type Answer } from '../refusal.ts';
import { transact } from '../transact.ts';
import type { Contacts } from './contact.ts';
import { assetState, updateAsset } from './store.ts';

/**
 * Answers a check-in: what the server holds of the host, what it wants done, and when to come back. With nothing to do
 * it reads one row and writes nothing but its share of the next batch of contacts.
 */
export async function checkIn(
  context: ServerContext,
  contacts: Contacts,
  agent: AgentIdentity,
  request: CheckInRequest,
): Promise<Answer<CheckInResponse>> {
  const { config } = context;
  const state = await assetState(context.db, agent.assetId);
  const isNewVersion = state.agent_version !== request.agent_version;
  const problems = request.problems ?? [];
  const problemsChanged = digestJson(problems) !== digestJson(state.problems);
  const work =
    isNewVersion || problemsChanged || state.has_open_task || request.tasks.length > 0
      ? await transact(context.db, async (trx) => {
          if (isNewVersion) await updateAsset(trx, agent.assetId, { agent_version: request.agent_version });
          if (problemsChanged) await updateAsset(trx, agent.assetId, { problems: JSON.stringify(problems) });
          await assetHeard(trx, context, agent.assetId);
          const { orders, cancelled } = await ordersFor(trx, context, { ...agent, tasks: request.tasks });
          return { orders, cancelled, active: await hasActiveTask(trx, agent.assetId) };
        })
      : { orders: [], cancelled: [], active: false };
  const nextSeconds = work.active ? config.activeCheckInSeconds : config.checkInSeconds;
  contacts.heard(agent.assetId, nextSeconds);
  return answer({
    server_time: context.clock.now().toISOString(),
    next_check_in_seconds: nextSeconds,
    inventory: state.digests,
    orders: work.orders,
    cancelled_tasks: work.cancelled,
  });
}
