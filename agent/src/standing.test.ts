import { expect, test } from 'vitest';
import type { CheckInResponse } from '@fixpoint/contract/agent.ts';
import { createStanding } from './standing.ts';

/** Time goes on only while somebody sleeps. */
function clockOf(world: { now: number; tick: () => void }) {
  return {
    now: () => world.now * 1000,
    elapsedSeconds: () => world.now,
    sleep(seconds: number) {
      world.now += seconds;
      world.tick();
      return Promise.resolve();
    },
  };
}
const answer = (held: string[]): CheckInResponse => ({
  server_time: '1970-01-01T00:00:00.000Z',
  next_check_in_seconds: 60,
  inventory: null,
  orders: [],
  cancelled_tasks: [],
  held_tasks: held,
});

test('an answer to a question that was sent before does not count, and it is asked again', async () => {
  const world = { now: 100, tick: (): void => undefined };
  const standing = createStanding(clockOf(world));
  let asks = 0;
  let late: number | null = null;
  world.tick = () => {
    // Under way since before it was asked; held since then.
    if (world.now > 100.2 && late === null) {
      late = world.now;
      standing.heard(answer([]), 0, 99);
    } else if (asks > 1) standing.heard(answer(['task']), 0, world.now);
  };
  const heard = await standing.next(15, new AbortController().signal, () => asks++);
  expect(heard?.held.has('task')).toBe(true);
  expect(asks).toBe(2);
  expect(world.now).toBeLessThan(103);
});

test('without an answer there is none, and nobody is asked again and again', async () => {
  const world = { now: 100, tick: (): void => undefined };
  const standing = createStanding(clockOf(world));
  let asks = 0;
  const asking = standing.next(15, new AbortController().signal, () => asks++);
  expect(standing.isAwaited()).toBe(true);
  expect(await asking).toBeNull();
  expect(standing.isAwaited()).toBe(false);
  expect(asks).toBe(1);
});
