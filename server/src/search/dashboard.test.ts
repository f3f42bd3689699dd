import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { inventoryOf, installed, testAgent } from '../asset/test-agent.ts';
import { rooms } from '../rooms.ts';
import { testApp, type TestApp } from '../test-app.ts';
import { Dashboards } from './dashboard.ts';

let app: TestApp;
let changes = 0;
const change = async (): Promise<void> => {
  const attributes = JSON.stringify({ turn: String(++changes) });
  await app.context.db.updateTable('asset').set({ attributes }).execute();
};

beforeAll(async () => {
  app = await testApp(rooms);
  const agent = await testAgent(app, { hostname: 'web-1' });
  expect((await agent.report(inventoryOf([installed('zip', '3.0-13')]))).statusCode).toBe(200);
}, 60_000);
afterAll(async () => await app.close());

describe('a dashboard', () => {
  test('is worked out no more than twice for many who ask at once, while the fleet changes all the time', async () => {
    const { posture, clock } = app.context;
    let worked = 0;
    const dashboards = new Dashboards({
      clock,
      posture: {
        fresh: async () => {
          await change();
          return await posture.fresh();
        },
        run: async (work) => {
          worked += 1;
          const result = await posture.run(work);
          await change();
          return result;
        },
        atLeast: async (transaction) => await posture.atLeast(transaction),
        state: () => posture.state(),
        start: async () => await posture.start(),
        stop: async () => await posture.stop(),
      },
    });
    const answers = await Promise.all(Array.from({ length: 12 }, async () => await dashboards.of({})));
    expect(answers.every((one) => one.ok && one.value.assets === 1)).toBe(true);
    // One may have begun before others asked; the next is of a state that is new enough for all of them.
    expect(worked).toBeLessThanOrEqual(2);
  });

  test('is of what was there when it was asked for', async () => {
    const dashboards = new Dashboards(app.context);
    const first = await dashboards.of({});
    const agent = await testAgent(app, { hostname: 'web-2' });
    expect((await agent.report(inventoryOf([installed('zip', '3.0-13')]))).statusCode).toBe(200);
    const second = await dashboards.of({});
    expect([first, second].map((one) => one.ok && one.value.assets)).toEqual([1, 2]);
  });
});
