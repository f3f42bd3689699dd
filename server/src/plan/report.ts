import type { SimulationResult } from '@fixpoint/contract/simulation.ts';
import type { Context, Transact } from '../context.ts';
import { answer, refuse, type Answer } from '../refusal.ts';
import { lockQuestion, setAnswered } from './store.ts';

/** Of the output of a package manager the end is kept, which says how it ended. */
const outputKept = 4_000;

/**
 * Takes what an asset says would happen. What was answered already stays as it was: the answer may have been lost on its way back. An
 * answer to another asset's question is refused as if there were no such question.
 */
export async function reportSimulation(
  trx: Transact,
  context: Pick<Context, 'clock'>,
  agent: { readonly assetId: number },
  result: SimulationResult,
): Promise<Answer<{ accepted: boolean }>> {
  const id = result.simulation_id;
  const question = await lockQuestion(trx, id);
  if (question === undefined || question.asset_id !== agent.assetId) {
    return refuse(
      404,
      'simulation_unknown',
      `this asset was not asked ${id}`,
      'forget the question; what is asked comes with the answers to check-ins',
    );
  }
  if (question.answered_at !== null) return answer({ accepted: false });
  const now = context.clock.now();
  if (question.state !== 'simulating' || question.given_up !== null || now > question.deadline_at) {
    return refuse(
      409,
      'simulation_over',
      'the plan is made without this answer, which came too late',
      'forget the question; a new plan asks anew',
    );
  }
  await setAnswered(trx, id, { ...result, output: result.output.slice(-outputKept) }, now);
  return answer({ accepted: true });
}
