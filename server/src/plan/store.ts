import { sql, type Kysely, type Selectable } from 'kysely';
import { Value } from 'typebox/value';
import { SignedOrder } from '@fixpoint/contract/order.ts';
import { Plan } from '@fixpoint/contract/patch-job.ts';
import { planStates, type PlanState } from '@fixpoint/contract/plan.ts';
import { SimulationResult } from '@fixpoint/contract/simulation.ts';
import type { Transact } from '../context.ts';
import type { Cursor } from '../cursor.ts';
import type { Database, PlanTable } from '../database/tables.ts';

/**
 * The only writer of plan and simulation. The row of a plan is locked before its simulations are written; who answers locks only the
 * row of its own question, and reads the plan's.
 */

export type PlanHead = Omit<Selectable<PlanTable>, 'content' | 'state' | 'unanswered'> & {
  readonly state: PlanState;
  readonly unanswered: 'leave_out' | 'keep';
};

function headOf<T extends { state: string; unanswered: string }>(
  row: T,
): Omit<T, 'state' | 'unanswered'> & Pick<PlanHead, 'state' | 'unanswered'> {
  const state = planStates.find((one) => one === row.state);
  if (state === undefined) throw new Error(`the database holds a state that there is not: ${row.state}`);
  return { ...row, state, unanswered: row.unanswered === 'keep' ? 'keep' : 'leave_out' };
}

const headColumns = [
  'plan.id',
  'plan.job_id',
  'plan.state',
  'plan.created_by',
  'plan.created_at',
  'plan.ready_at',
  'plan.deadline_at',
  'plan.unanswered',
  'plan.digest',
] as const;

export async function insertPlan(
  trx: Transact,
  one: {
    id: string;
    jobId: string;
    createdBy: string;
    at: Date;
    deadlineAt: Date;
    unanswered: 'leave_out' | 'keep';
    plan: Plan;
  },
): Promise<void> {
  await trx
    .insertInto('plan')
    .values({
      id: one.id,
      job_id: one.jobId,
      state: 'simulating',
      created_by: one.createdBy,
      created_at: one.at,
      deadline_at: one.deadlineAt,
      unanswered: one.unanswered,
      content: JSON.stringify(one.plan),
      digest: null,
    })
    .execute();
}

const rowsAtOnce = 500;

export async function insertSimulations(
  trx: Transact,
  planId: string,
  asked: readonly { readonly id: string; readonly assetId: number; readonly signed: SignedOrder }[],
  at: Date,
): Promise<void> {
  for (let i = 0; i < asked.length; i += rowsAtOnce) {
    await trx
      .insertInto('simulation')
      .values(
        asked.slice(i, i + rowsAtOnce).map((one) => ({
          id: one.id,
          plan_id: planId,
          asset_id: one.assetId,
          signed: JSON.stringify(one.signed),
          asked_at: at,
        })),
      )
      .execute();
  }
}

/** The questions that an asset has not answered yet, oldest first. */
export async function openQuestions(
  db: Kysely<Database>,
  assetId: number,
  limit: number,
): Promise<SignedOrder[]> {
  const rows = await db
    .selectFrom('simulation')
    .select('signed')
    .where('asset_id', '=', assetId)
    .where('answered_at', 'is', null)
    .where('given_up', 'is', null)
    .orderBy('asked_at')
    .orderBy('id')
    .limit(limit)
    .execute();
  return rows.map((row) => Value.Parse(SignedOrder, row.signed));
}

/** A question with as much of its plan as an answer has to fit; locked. */
export async function lockQuestion(trx: Transact, id: string) {
  return await trx
    .selectFrom('simulation')
    .innerJoin('plan', 'plan.id', 'simulation.plan_id')
    .select([
      'simulation.asset_id',
      'simulation.answered_at',
      'simulation.given_up',
      'plan.state',
      'plan.deadline_at',
    ])
    .where('simulation.id', '=', id)
    .forNoKeyUpdate('simulation')
    .executeTakeFirst();
}

export async function setAnswered(
  trx: Transact,
  id: string,
  result: SimulationResult,
  at: Date,
): Promise<void> {
  await trx
    .updateTable('simulation')
    .set({ answered_at: at, result: JSON.stringify(result) })
    .where('id', '=', id)
    .execute();
}

/** No answer is expected any more to what is still open of a plan. */
export async function giveUpQuestions(
  trx: Transact,
  planId: string,
  why: { readonly code: string; readonly message: string },
): Promise<void> {
  await trx
    .updateTable('simulation')
    .set({ given_up: JSON.stringify(why) })
    .where('plan_id', '=', planId)
    .where('answered_at', 'is', null)
    .where('given_up', 'is', null)
    .execute();
}

/** Plans that nothing is waited for any more: all assets have answered, or the time is over. */
export async function plansDue(db: Kysely<Database>, now: Date, limit: number): Promise<string[]> {
  const rows = await db
    .selectFrom('plan')
    .select('id')
    .where('state', '=', 'simulating')
    .where((e) =>
      e.or([
        e('deadline_at', '<=', now),
        e.not(
          e.exists(
            e
              .selectFrom('simulation')
              .select('simulation.id')
              .whereRef('simulation.plan_id', '=', 'plan.id')
              .where('answered_at', 'is', null)
              .where('given_up', 'is', null),
          ),
        ),
      ]),
    )
    .orderBy('created_at')
    .limit(limit)
    .execute();
  return rows.map((row) => row.id);
}

/** A plan with its content, locked; with `skip`, undefined when somebody else has it. */
export async function lockPlan(
  trx: Transact,
  id: string,
  skip = false,
): Promise<(PlanHead & { readonly plan: Plan }) | undefined> {
  const query = trx.selectFrom('plan').selectAll().where('id', '=', id).forNoKeyUpdate();
  const row = await (skip ? query.skipLocked() : query).executeTakeFirst();
  if (row === undefined) return undefined;
  const { content, ...head } = row;
  return { ...headOf(head), plan: Value.Parse(Plan, content) };
}

/** Which assets were asked, and what those that answered said. */
export async function answersOf(
  trx: Transact,
  planId: string,
): Promise<{ readonly assetId: number; readonly result: SimulationResult | null }[]> {
  const rows = await trx
    .selectFrom('simulation')
    .select(['asset_id', 'result'])
    .where('plan_id', '=', planId)
    .orderBy('asset_id')
    .execute();
  return rows.map((row) => ({
    assetId: row.asset_id,
    result: row.result === null ? null : Value.Parse(SimulationResult, row.result),
  }));
}

export async function setReady(trx: Transact, id: string, plan: Plan, at: Date): Promise<void> {
  await trx
    .updateTable('plan')
    .set({ state: 'ready', content: JSON.stringify(plan), digest: plan.digest, ready_at: at })
    .where('id', '=', id)
    .execute();
}

export async function setPlanState(trx: Transact, id: string, state: PlanState): Promise<void> {
  await trx.updateTable('plan').set({ state }).where('id', '=', id).execute();
}

export interface PlanRow extends PlanHead {
  readonly job_name: string;
  readonly deployment_id: string | null;
  readonly asked: number;
  readonly answered: number;
  readonly given_up: number;
}

function plans(db: Kysely<Database>) {
  return db
    .selectFrom('plan')
    .innerJoin('patch_job', 'patch_job.id', 'plan.job_id')
    .select([...headColumns, 'patch_job.name as job_name'])
    .select((e) => [
      e
        .selectFrom('deployment')
        .whereRef('deployment.plan_id', '=', 'plan.id')
        .select('deployment.id')
        .limit(1)
        .as('deployment_id'),
      e
        .selectFrom('simulation')
        .whereRef('simulation.plan_id', '=', 'plan.id')
        .select(sql<string>`count(*) || ' ' || count(answered_at) || ' ' || count(given_up)`.as('counts'))
        .as('counts'),
    ]);
}

function rowOf<T extends { state: string; unanswered: string; counts: string | null }>({
  counts,
  ...row
}: T) {
  const [asked = 0, answered = 0, givenUp = 0] = (counts ?? '').split(' ').map(Number);
  return { ...headOf(row), asked, answered, given_up: givenUp };
}

export async function findPlan(db: Kysely<Database>, id: string): Promise<PlanRow | undefined> {
  const row = await plans(db).where('plan.id', '=', id).executeTakeFirst();
  return row === undefined ? undefined : rowOf(row);
}

export async function planContentOf(db: Kysely<Database>, id: string): Promise<Plan> {
  const row = await db.selectFrom('plan').select('content').where('id', '=', id).executeTakeFirstOrThrow();
  return Value.Parse(Plan, row.content);
}

/** Newest first. */
export async function planPage(
  db: Kysely<Database>,
  filter: { jobId: string; limit: number; after: Cursor | null },
): Promise<{ rows: PlanRow[]; total: number }> {
  const { total } = await db
    .selectFrom('plan')
    .where('job_id', '=', filter.jobId)
    .select((e) => e.fn.countAll<string>().as('total'))
    .executeTakeFirstOrThrow();
  let query = plans(db).where('plan.job_id', '=', filter.jobId);
  const { after } = filter;
  if (after !== null) {
    query = query.where((e) =>
      e.or([
        e('plan.created_at', '<', after.at),
        e.and([e('plan.created_at', '=', after.at), e('plan.id', '<', after.id)]),
      ]),
    );
  }
  const rows = await query
    .orderBy('plan.created_at', 'desc')
    .orderBy('plan.id', 'desc')
    .limit(filter.limit)
    .execute();
  return { rows: rows.map(rowOf), total: Number(total) };
}
