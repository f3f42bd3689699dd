import { expect, test } from 'vitest';
import { summariseDanger } from './danger.ts';
import type { CvssFact, FeedId, ThreatFact } from './facts.ts';
import type { SourcedScore } from './score.ts';
import type { SourcedThreat } from './threat.ts';

const score = (feed: FeedId, scorer: string, baseScore: number): SourcedScore => ({
  feed,
  record: 'CVE-2024-1',
  score: {
    kind: 'cvss',
    vulnerability: 'CVE-2024-1',
    scorer,
    version: '3.1',
    vector: `CVSS:3.1/${scorer}`,
    baseScore,
  } satisfies CvssFact,
});
const threat = (feed: FeedId, more: Partial<ThreatFact>): SourcedThreat => ({
  feed,
  record: 'CVE-2024-1',
  threat: {
    kind: 'threat',
    vulnerability: 'CVE-2024-1',
    threat: 'exploited',
    probability: null,
    percentile: null,
    ransomware: null,
    ssvc: null,
    assertedOn: '2024-05-01',
    dueOn: null,
    title: null,
    reference: null,
    ...more,
  },
});

test('what the sources do not agree on is told, with what was taken', () => {
  const ssvc = { exploitation: 'none', automatable: null, technicalImpact: null } as const;
  const danger = summariseDanger(
    [score('nvd', 'nvd', 9.8), score('cve-list', 'cna:openssl', 5.3), score('redhat-csaf', 'redhat', 5.3)],
    [threat('cisa-kev', {}), threat('vulnrichment', { threat: 'ssvc', ssvc })],
    'redhat',
  );
  expect(danger.score?.chosen.score.scorer).toBe('redhat');
  expect(danger.threat.maturity).toBe('active');
  expect(danger.disagreements).toEqual([
    'nvd scores it 9.8 (CVSS 3.1); redhat’s 5.3 is taken.',
    'vulnrichment (2024-05-01) and cisa-kev (2024-05-01) disagree on whether it is attacked; cisa-kev is taken.',
  ]);
});

test('nothing said is no danger told, and no disagreement', () => {
  expect(summariseDanger([], [])).toMatchObject({
    score: null,
    threat: { maturity: 'none' },
    disagreements: [],
  });
});
