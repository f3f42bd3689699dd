import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { groupCommit } from './group-commit.ts';

/** Work that takes a while, fails where it meets `-1`, and writes down what it was given. */
function double(mostItems = 250) {
  const groups: number[][] = [];
  let underWay = 0;
  let most = 0;
  const queue = groupCommit({
    work: async (items: readonly { key: number; value: number }[]) => {
      underWay += 1;
      most = Math.max(most, underWay);
      groups.push(items.map((one) => one.value));
      await sleep(15);
      underWay -= 1;
      if (items.some((one) => one.value === -1)) throw new Error('refused by the database');
      return items.map((one) => one.value * 2);
    },
    keyOf: (item) => item.key,
    mostItems,
    mostGroups: 2,
    patienceMilliseconds: 5,
  });
  return {
    groups,
    most: () => most,
    run: (key: number, value = key) => queue.run({ key, value }),
  };
}

describe('work that arrives', () => {
  it('alone is done at once', async () => {
    const { run, groups } = double();
    expect(await run(1)).toBe(2);
    expect(await run(2)).toBe(4);
    expect(groups).toEqual([[1], [2]]);
  });

  it('together is done together, and each gets its own answer', async () => {
    const { run, groups, most } = double();
    const keys = Array.from({ length: 100 }, (_, i) => i + 1);
    expect(await Promise.all(keys.map((key) => run(key)))).toEqual(keys.map((key) => key * 2));
    expect(groups.length).toBeLessThanOrEqual(3);
    expect(most()).toBe(2);
  });

  it('is bounded in each group', async () => {
    const { run, groups } = double(10);
    await Promise.all(Array.from({ length: 45 }, (_, i) => run(i)));
    expect(Math.max(...groups.map((group) => group.length))).toBe(10);
    expect(groups.flat().toSorted((a, b) => a - b)).toEqual(Array.from({ length: 45 }, (_, i) => i));
  });

  it('for one key is done one after the other, in order', async () => {
    const { run, groups } = double();
    await Promise.all([run(1, 10), run(1, 11), run(2, 20), run(1, 12), run(2, 21)]);
    for (const group of groups)
      expect(new Set(group.map((value) => Math.floor(value / 10))).size).toBe(group.length);
    expect(groups.flat().filter((value) => value < 20)).toEqual([10, 11, 12]);
    expect(groups.flat().filter((value) => value >= 20)).toEqual([20, 21]);
  });

  it('and fails takes nobody down with it', async () => {
    const { run } = double();
    const results = await Promise.allSettled([run(1), run(2), run(3, -1), run(4), run(5)]);
    expect(results.map((one) => (one.status === 'fulfilled' ? one.value : String(one.reason)))).toEqual([
      2,
      4,
      'Error: refused by the database',
      8,
      10,
    ]);
  });
});
