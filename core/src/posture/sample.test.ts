import { expect, test } from 'vitest';
import { assetSet } from './asset-set.ts';
import { sampleOf } from './sample.ts';

test('a small set is taken whole, and of a large one as many as are wanted, evenly, each standing for the same number', () => {
  const ids = Array.from({ length: 1_000 }, (_, index) => index * 3 + 1);
  const whole = sampleOf(assetSet(ids), 1_000);
  expect([[...whole.assets], whole.weight]).toEqual([ids, 1]);
  const { assets, weight } = sampleOf(assetSet(ids), 250);
  expect(weight).toBe(4);
  expect([...assets]).toEqual(ids.filter((_, index) => index % 4 === 0));
});
