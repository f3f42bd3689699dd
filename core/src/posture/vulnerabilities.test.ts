import { expect, test } from 'vitest';
import type { VulnerabilityFacts } from './facts.ts';
import { Vulnerabilities } from './vulnerabilities.ts';

const facts = (id: string, aliases: readonly string[]): VulnerabilityFacts => ({
  id,
  aliases,
  title: null,
  publishedAt: null,
  withdrawn: false,
  scores: [],
  threats: [],
});

test('an alias of two is the same one in whatever order they became known, and stays when one no longer has it', () => {
  const [a, b] = [facts('CVE-2026-1', ['GHSA-x']), facts('CVE-2026-2', ['ghsa-X', 'GHSA-x'])];
  for (const order of [
    [a, b],
    [b, a],
    [a, b, a, b],
  ]) {
    const known = new Vulnerabilities();
    for (const one of order) known.put(one);
    const called = (name: string): string | null => {
      const index = known.called(name);
      return index === null ? null : known.facts(index).id;
    };
    expect(called('ghsa-x')).toBe('CVE-2026-1');
    known.put(facts('CVE-2026-1', []));
    expect(called('ghsa-x')).toBe('CVE-2026-2');
    known.put(facts('CVE-2026-2', []));
    expect(called('ghsa-x')).toBeNull();
  }
});
