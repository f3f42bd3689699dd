import fc from 'fast-check';
import { expect, test } from 'vitest';
import { AddressIndex, type AddressRange } from './address-index.ts';

/** Numbers that look random, the same for a seed. */
function numbers(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state;
  };
}

test.each([1, 4] as const)(
  'ranges of addresses of %i words hold whoever has one in them, after any changes',
  (width) => {
    fc.assert(
      fc.property(fc.nat(), fc.constantFrom(10, 3000, 9000), (seed, assets) => {
        const next = numbers(seed);
        // Few different words, so that the later ones decide too, and some above 2^31.
        const word = (): number => (next() % 7) * 0x24924924 + (next() % 3);
        const address = (): number[] => Array.from({ length: width }, word);
        const index = new AddressIndex(width);
        const model = new Map<number, number[][]>();
        const check = (): void => {
          const ranges = Array.from({ length: (next() % 3) + 1 }, (): AddressRange => {
            const [first = [], last = []] = [address(), address()].toSorted(compare);
            return { first, last };
          });
          const expected = [...model]
            .filter(([, theirs]) =>
              theirs.some((each) =>
                ranges.some(({ first, last }) => compare(each, first) >= 0 && compare(each, last) <= 0),
              ),
            )
            .map(([id]) => id);
          expect(index.within(ranges).toArray()).toEqual(expected.toSorted((a, b) => a - b));
        };
        const put = (id: number): void => {
          const theirs = Array.from({ length: next() % 3 }, address);
          model.set(id, theirs);
          index.put(id, theirs.flat());
        };
        check();
        for (let id = 1; id <= assets; id++) put(id);
        check();
        for (let round = 0; round < 5; round++) {
          for (let change = 0; change < assets / 4; change++) put((next() % assets) + 1);
          check();
        }
      }),
      { numRuns: 8 },
    );
  },
);

function compare(a: readonly number[], b: readonly number[]): number {
  const differing = a.findIndex((word, at) => word !== b[at]);
  return differing < 0 ? 0 : (a[differing] ?? 0) - (b[differing] ?? 0);
}
