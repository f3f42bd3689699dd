import { expect, test } from 'vitest';
import { faultKinds, faultOf } from './fault.ts';
import { chanceOf } from './seeded.ts';

test('the same seed decides the same, and others otherwise', () => {
  const draw = (seed: number): number[] => {
    const chance = chanceOf(seed);
    return Array.from({ length: 5 }, () => chance.between(0, 1_000_000));
  };
  expect(draw(7)).toEqual(draw(7));
  expect(draw(7)).not.toEqual(draw(8));
  expect(Math.min(...draw(7))).toBeGreaterThanOrEqual(0);
});

test('two hundred seeds meet every kind of fault several times', () => {
  const counts = Map.groupBy(
    Array.from({ length: 200 }, (_, seed) => faultOf(seed).kind),
    (kind) => kind,
  );
  for (const kind of faultKinds) expect(counts.get(kind)?.length ?? 0, kind).toBeGreaterThanOrEqual(3);
});
