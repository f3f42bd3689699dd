import type { CheckInRequest, CheckInResponse } from '@fixpoint/contract/agent.ts';
import { digestJson, sameDigests } from '@fixpoint/core/inventory/digest.ts';
import type { ServerContext } from '../app.ts';
import type { AgentIdentity } from '../auth/guard.ts';
import { assetHeard, hasActiveTask, ordersFor, rebootMembers } from '../deployment/commands.ts';
import { pointOfAsset } from '../distribution/points.ts';
import { openQuestions } from '../plan/store.ts';
import { answer, type Answer } from '../refusal.ts';
import { transact } from '../transact.ts';
import type { Contacts } from './contact.ts';
import { printOf, type Reading } from './known-agents.ts';
import { assetState, updateAsset } from './store.ts';

/** About plans, in one answer. */
const questionsAtOnce = 10;

/**
 * Answers a check-in: what the server holds of the host, what it wants done, and when to come back. An agent that says what it
 * said last, and has nothing to do, costs no question to the database and no write but its share of the next batch of
 * contacts.
 */
export async function checkIn(
  context: ServerContext,
  contacts: Contacts,
  agent: AgentIdentity,
  request: CheckInRequest,
): Promise<Answer<CheckInResponse>> {
  const print = request.tasks.length === 0 ? printOf(agent.uid, request) : null;
  if (print !== null && context.knownAgents.isSettled(agent.assetId, print)) {
    contacts.heard(agent.assetId, context.config.checkInSeconds);
    return answer({
      server_time: context.clock.now().toISOString(),
      next_check_in_seconds: context.config.checkInSeconds,
      // What is held is what was said.
      inventory: request.digests,
      orders: [],
      cancelled_tasks: [],
    });
  }
  const reading = context.knownAgents.beginReading(agent.assetId);
  try {
    return await askedCheckIn(context, contacts, agent, request, print, reading);
  } finally {
    reading.done();
  }
}

async function askedCheckIn(
  context: ServerContext,
  contacts: Contacts,
  agent: AgentIdentity,
  request: CheckInRequest,
  print: Buffer | null,
  reading: Reading,
): Promise<Answer<CheckInResponse>> {
  const { config } = context;
  const state = await assetState(context.db, agent.assetId);
  const isNewVersion = state.agent_version !== request.agent_version;
  const problems = request.problems ?? [];
  const problemsChanged =
    (problems.length > 0 || state.problems.length > 0) && digestJson(problems) !== digestJson(state.problems);
  const nothingToDo =
    !isNewVersion &&
    !problemsChanged &&
    !state.has_open_task &&
    !state.has_open_question &&
    request.tasks.length === 0;
  const members = nothingToDo ? new Map() : await rebootMembers(context, agent.assetId);
  const work = nothingToDo
    ? { orders: [], cancelled: [], held: [], active: false }
    : await transact(context.db, async (trx) => {
        if (isNewVersion) await updateAsset(trx, agent.assetId, { agent_version: request.agent_version });
        if (problemsChanged) await updateAsset(trx, agent.assetId, { problems: JSON.stringify(problems) });
        await assetHeard(trx, context, agent.assetId);
        const asking = { ...agent, bootId: request.boot_id, members, tasks: request.tasks };
        const { orders, cancelled, held } = await ordersFor(trx, context, asking);
        return { orders, cancelled, held, active: await hasActiveTask(trx, context, agent.assetId) };
      });
  const holdsWhatIsSaid = state.digests !== null && sameDigests(state.digests, request.digests);
  if (nothingToDo && holdsWhatIsSaid && print !== null && state.retired_at === null) {
    const { uid, mode } = state;
    reading.remember({ uid, mode: mode === 'manage' ? 'manage' : 'assess', print });
  }
  const nextSeconds = work.active ? config.activeCheckInSeconds : config.checkInSeconds;
  contacts.heard(agent.assetId, nextSeconds);
  return answer({
    server_time: context.clock.now().toISOString(),
    next_check_in_seconds: nextSeconds,
    inventory: state.digests,
    orders: work.orders,
    cancelled_tasks: work.cancelled,
    ...(work.held.length === 0 ? {} : { held_tasks: work.held }),
    ...(state.has_open_question
      ? { simulations: await openQuestions(context.db, agent.assetId, questionsAtOnce) }
      : {}),
    ...watchedAmong(context, request),
    // an agent with nothing to do loads nothing
    ...(nothingToDo ? {} : await pointOfAsset(context, agent.assetId)),
  });
}

/** Tasks of this agent whose output somebody wants to see as it comes. */
function watchedAmong(context: ServerContext, request: CheckInRequest): { watched_tasks?: string[] } {
  const watched = request.tasks.map((task) => task.task_id).filter((id) => context.taskWatch.isWatched(id));
  return watched.length === 0 ? {} : { watched_tasks: watched };
}
