import fc from 'fast-check';
import { expect, test } from 'vitest';
import { matchesWildcard, wildcardMatcher } from './wildcard.ts';

const text = fc.string({ unit: fc.constantFrom('a', 'b', '-'), maxLength: 12 });
const pattern = fc.string({ unit: fc.constantFrom('a', 'b', '-', '*', '*', '?'), maxLength: 8 });

test('a matcher made of a pattern says what the pattern says', () => {
  fc.assert(
    fc.property(pattern, text, (wanted, given) => {
      expect(wildcardMatcher(wanted)(given)).toBe(matchesWildcard(wanted, given));
    }),
    { numRuns: 5_000 },
  );
});
