import { expect, test } from 'vitest';
import type { UpdateFact } from '../knowledge/facts.ts';
import { supersedenceOf, updateToDeploy } from './windows-updates.ts';

const product = 'Windows Server 2012 R2';
const update = (id: string, type: string, supersedes: readonly string[]): UpdateFact => ({
  kind: 'update',
  id,
  product,
  title: null,
  supersedes,
  fixedBuild: null,
  restart: null,
  type,
  publishedAt: null,
  url: null,
  knownIssues: false,
});

test('a Security Only update contains no rollup, though MSRC says twice that it replaces one', () => {
  // KB5004951 of July 2021 names KB5003667 of June.
  const graph = supersedenceOf(
    [
      update('KB5003667', 'Monthly Rollup', ['KB5003209']),
      update('KB5003209', 'Monthly Rollup', []),
      update('KB5004951', 'Security Only', ['KB5003667', 'KB3178034']),
      update('KB3178034', 'Security Update', []),
    ],
    [],
  );
  const known = graph.of(product);
  expect(known?.contains('KB5004951', 'KB5003667')).toBe(false);
  expect(known?.contains('KB5004951', 'KB5003209')).toBe(false);
  expect(known?.contains('KB5003667', 'KB5003209')).toBe(true);
  // Single updates of before October 2016 it does replace.
  expect(known?.contains('KB5004951', 'KB3178034')).toBe(true);
  expect(updateToDeploy(graph, product, ['KB5003209'])?.update.id).toBe('KB5003667');
});
