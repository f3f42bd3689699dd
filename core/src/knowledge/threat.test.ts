import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { FeedId, ThreatFact } from './facts.ts';
import { summariseThreats, type ExploitMaturity, type SourcedThreat } from './threat.ts';

const plain: ThreatFact = {
  kind: 'threat',
  vulnerability: 'CVE-2024-1234',
  threat: 'exploited',
  probability: null,
  percentile: null,
  ransomware: null,
  ssvc: null,
  assertedOn: '2024-05-01',
  dueOn: null,
  title: null,
  reference: null,
};
const said = (feed: FeedId, changes: Partial<ThreatFact>, record = 'CVE-2024-1234'): SourcedThreat => ({
  feed,
  record,
  threat: { ...plain, ...changes },
});
const kev = (changes: Partial<ThreatFact> = {}): SourcedThreat =>
  said('cisa-kev', { dueOn: '2024-05-22', ...changes });
const ssvc = (
  exploitation: 'none' | 'poc' | 'active',
  assertedOn: string,
  feed: FeedId = 'vulnrichment',
  automatable: boolean | null = false,
): SourcedThreat =>
  said(feed, {
    threat: 'ssvc',
    assertedOn,
    ssvc: { exploitation, automatable, technicalImpact: 'total' },
  });
const epss = (probability: number, assertedOn: string): SourcedThreat =>
  said('epss', { threat: 'exploit_probability', probability, percentile: 0.5, assertedOn });
const exploit = said('exploit-db', { threat: 'exploit_public', assertedOn: '2024-04-01' }, '50592');
const module = said(
  'metasploit',
  { threat: 'exploit_weaponised', assertedOn: '2024-06-01' },
  'exploit/multi/http/x',
);

test('nothing is known', () => {
  expect(summariseThreats([])).toEqual({
    exploitedSince: null,
    dueOn: null,
    ransomware: null,
    maturity: 'none',
    epss: null,
    ssvc: null,
    sources: [],
    disagreements: [],
  });
});

test('all sources together', () => {
  const all = [
    epss(0.9, '2024-07-01'),
    ssvc('active', '2024-05-03'),
    exploit,
    module,
    kev({ ransomware: true }),
  ];
  expect(summariseThreats(all)).toEqual({
    exploitedSince: '2024-05-01',
    dueOn: '2024-05-22',
    ransomware: true,
    maturity: 'active',
    epss: { probability: 0.9, percentile: 0.5, assertedOn: '2024-07-01' },
    ssvc: {
      exploitation: 'active',
      automatable: false,
      technicalImpact: 'total',
      assertedOn: '2024-05-03',
    },
    sources: [all[4], all[3], all[2], all[1], all[0]],
    disagreements: [],
  });
});

describe('exploited', () => {
  test('KEV says so, SSVC says none: exploited, and the disagreement is listed', () => {
    const none = ssvc('none', '2024-06-01');
    expect(summariseThreats([none, kev()])).toMatchObject({
      exploitedSince: '2024-05-01',
      maturity: 'active',
      ssvc: { exploitation: 'none' },
      disagreements: [{ about: 'exploitation', taken: kev(), against: none }],
    });
  });

  test('SSVC alone says so', () => {
    expect(summariseThreats([ssvc('active', '2024-06-01')])).toMatchObject({
      exploitedSince: '2024-06-01',
      maturity: 'active',
      disagreements: [],
    });
  });

  test('KEV takes it back: what the others say is left', () => {
    expect(summariseThreats([module])).toMatchObject({ exploitedSince: null, maturity: 'weaponised' });
    expect(summariseThreats([exploit])).toMatchObject({ exploitedSince: null, maturity: 'public' });
  });
});

describe('maturity', () => {
  test.each<[ExploitMaturity, SourcedThreat[]]>([
    ['none', [epss(0.99, '2024-01-01'), ssvc('none', '2024-01-01')]],
    ['public', [ssvc('poc', '2024-01-01')]],
    ['public', [exploit]],
    ['weaponised', [exploit, module, ssvc('poc', '2024-01-01')]],
    ['active', [module, ssvc('active', '2024-01-01')]],
    ['active', [kev()]],
  ])('%s', (maturity, threats) => {
    expect(summariseThreats(threats).maturity).toBe(maturity);
  });

  test('SSVC knows of no exploit, and there is one', () => {
    const none = ssvc('none', '2024-05-01');
    expect(summariseThreats([none, exploit]).disagreements).toEqual([
      { about: 'exploit', taken: exploit, against: none },
    ]);
  });
});

describe('opinions of a day', () => {
  test('the newest speaks, and an older one is no disagreement', () => {
    const threats = [
      epss(0.1, '2025-08-17'),
      epss(0.3, '2026-08-16'),
      ssvc('active', '2024-01-01', 'vulnrichment'),
      ssvc('poc', '2024-02-01', 'cve-list'),
    ];
    expect(summariseThreats(threats)).toMatchObject({
      exploitedSince: null,
      maturity: 'public',
      epss: { probability: 0.3, assertedOn: '2026-08-16' },
      ssvc: { exploitation: 'poc', assertedOn: '2024-02-01' },
      disagreements: [],
    });
  });

  test('of the same day the more severe, and the other is listed', () => {
    const severe = ssvc('poc', '2024-02-01', 'nvd', true);
    const mild = ssvc('poc', '2024-02-01', 'cve-list', false);
    const again = ssvc('poc', '2024-02-01', 'vulnrichment', true);
    const [high, low] = [epss(0.3, '2026-08-16'), epss(0.2, '2026-08-16')];
    expect(summariseThreats([mild, low, severe, again, high])).toMatchObject({
      epss: { probability: 0.3 },
      ssvc: { automatable: true },
      disagreements: [
        { about: 'exploit_probability', taken: high, against: low },
        { about: 'ssvc', taken: severe, against: mild },
      ],
    });
  });
});

test('one source denies ransomware, another confirms it', () => {
  const yes = kev({ ransomware: true });
  const no = said('vulnrichment', { ransomware: false });
  expect(summariseThreats([no])).toMatchObject({ ransomware: false, disagreements: [] });
  expect(summariseThreats([no, yes])).toMatchObject({
    ransomware: true,
    disagreements: [{ about: 'ransomware', taken: yes, against: no }],
  });
});

describe('for any set of sources', () => {
  const day = fc.constantFrom('2024-01-01', '2024-06-01', '2025-01-01');
  const anySource = fc.oneof(
    fc
      .record({ day, ransomware: fc.constantFrom(true, false, null) })
      .map(({ day: assertedOn, ransomware }) => kev({ assertedOn, ransomware })),
    fc
      .tuple(
        fc.constantFrom('none', 'poc', 'active'),
        day,
        fc.constantFrom<FeedId>('cve-list', 'vulnrichment', 'nvd'),
        fc.constantFrom(true, false, null),
      )
      .map((points) => ssvc(...points)),
    fc.tuple(fc.double({ min: 0, max: 1, noNaN: true }), day).map((score) => epss(...score)),
    fc.constantFrom(exploit, module),
  );
  const sources = fc.array(anySource, { maxLength: 8 });
  const levels: readonly ExploitMaturity[] = ['none', 'public', 'weaponised', 'active'];

  test('the order of the input does not matter', () => {
    fc.assert(
      fc.property(
        sources.chain((list) =>
          fc.tuple(fc.constant(list), fc.shuffledSubarray(list, { minLength: list.length })),
        ),
        ([list, shuffled]) => {
          expect(summariseThreats(shuffled)).toEqual(summariseThreats(list));
        },
      ),
    );
  });

  test('a report of attacks or of an exploit never lowers anything, and nothing said is lost', () => {
    fc.assert(
      fc.property(sources, fc.constantFrom(kev({ ransomware: true }), exploit, module), (list, more) => {
        const [before, after] = [summariseThreats(list), summariseThreats([...list, more])];
        expect(levels.indexOf(after.maturity)).toBeGreaterThanOrEqual(levels.indexOf(before.maturity));
        expect(after.ransomware === true || before.ransomware !== true).toBe(true);
        if (before.exploitedSince !== null)
          expect((after.exploitedSince ?? '9') <= before.exploitedSince).toBe(true);
        expect(after.sources).toHaveLength(list.length + 1);
      }),
    );
  });

  test('exploited and active are one', () => {
    fc.assert(
      fc.property(sources, (list) => {
        const { exploitedSince, maturity } = summariseThreats(list);
        expect(exploitedSince !== null).toBe(maturity === 'active');
      }),
    );
  });
});
