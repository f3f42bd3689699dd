import { expect, test } from 'vitest';
import { SoftwarePrints } from './software-prints.ts';

test('software in another order is the same, and nothing else is', () => {
  const prints = new SoftwarePrints();
  expect(prints.isSame(5, [])).toBe(false);
  prints.set(5, [3, 1, 2]);
  expect(prints.isSame(5, Int32Array.of(1, 2, 3))).toBe(true);
  expect(prints.isSame(5, [1, 2])).toBe(false);
  expect(prints.isSame(5, [1, 2, 4])).toBe(false);
  expect(prints.isSame(5, [0, 1, 2, 3])).toBe(false);
  expect(prints.isSame(6, [1, 2, 3])).toBe(false);
  prints.set(5, []);
  expect(prints.isSame(5, [])).toBe(true);
});
