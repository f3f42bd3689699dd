import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { taskStates } from '@fixpoint/core/task/states.ts';
import { isAtWork, isEnded } from '@fixpoint/core/task/transitions.ts';
import { testFleet, type Fleet } from './fleet-double.ts';
import { countAtWork, countNotEnded } from './reads.ts';
import { tasksDue } from './store.ts';

let fleet: Fleet;
beforeAll(async () => {
  fleet = await testFleet();
});
afterAll(async () => {
  await fleet.close();
});

describe('what a turn looks at', () => {
  test('only tasks about which something is to be done, so that no number of others keeps them from their turn', async () => {
    const { db } = fleet.database;
    // the first by its number, and so the first to be looked at
    const atWork = await fleet.enrol('at-work');
    const late = await fleet.enrol('late');
    const deployment = await fleet.start();
    const order = await atWork.fetchOrder();
    await atWork.report(order, [
      { index: 0, state: 'downloading' },
      { index: 1, state: 'staged' },
      { index: 2, state: 'installing' },
    ]);
    await late.fetchOrder();
    // contacts are written in batches
    await new Promise((resolve) => setTimeout(resolve, 400));
    const due = async (stopped = false) => {
      const found = await fleet.context.db.transaction().execute((trx) =>
        tasksDue(trx, deployment, {
          now: fleet.clock.now(),
          silentAfterSeconds: 30,
          stopped,
          zonesWithoutWindow: [],
          limit: 1,
        }),
      );
      return found.map((task) => task.planned.hostname);
    };
    const heardAgo = async (seconds: number) => {
      const at = new Date(fleet.clock.now().getTime() - seconds * 1000);
      const { id } = await db
        .selectFrom('asset')
        .select('id')
        .where('hostname', '=', 'at-work')
        .executeTakeFirstOrThrow();
      for (const { id: asset } of await db.selectFrom('asset').select('id').execute()) {
        const heard = asset === id ? at : fleet.clock.now();
        await db
          .insertInto('asset_contact')
          .values({ asset_id: asset, last_seen_at: heard, next_check_in_seconds: 60 })
          .onConflict((on) =>
            on.column('asset_id').doUpdateSet({ last_seen_at: heard, next_check_in_seconds: 60 }),
          )
          .execute();
      }
    };
    // as long as it keeps to its interval it is not silent
    await heardAgo(170);
    expect(await due()).toEqual([]);
    await heardAgo(190);
    expect(await due()).toEqual(['at-work']);
    // an order that is carried out expires no more
    fleet.clock.pass(4_000);
    await heardAgo(10);
    expect(await due()).toEqual(['late']);
    // and what is being installed is not stopped
    fleet.clock.pass(-4_000);
    await heardAgo(10);
    expect(await due()).toEqual([]);
    expect(await due(true)).toEqual(['late']);
  });

  test('at work is in SQL what it is in core', async () => {
    const { db } = fleet.database;
    await fleet.enrol('counted');
    const deployment = await fleet.start({ target: { tags: [], assets: ['counted'], exclude: [] } });
    for (const state of taskStates) {
      for (const resumeState of state === 'unreachable'
        ? taskStates.filter((one) => !isEnded(one))
        : [null]) {
        if (resumeState === 'unreachable') continue;
        await db
          .updateTable('task')
          .set({ state, resume_state: resumeState, ended_at: isEnded(state) ? fleet.clock.now() : null })
          .where('deployment_id', '=', deployment)
          .execute();
        const is = `${state} ${String(resumeState)}`;
        expect(await countAtWork(db, deployment), is).toBe(isAtWork({ state, resumeState }) ? 1 : 0);
        expect(await countNotEnded(db, deployment, 5), is).toBe(isEnded(state) ? 0 : 1);
      }
    }
    expect(await countNotEnded(db, deployment, 0)).toBe(0);
  });
});
