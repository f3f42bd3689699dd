import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { CvssFact, FeedId } from './facts.ts';
import { chosenScore, type SourcedScore } from './score.ts';

const said = (
  scorer: string,
  baseScore: number,
  version: CvssFact['version'] = '3.1',
  feed: FeedId = 'cve-list',
): SourcedScore => ({
  feed,
  record: 'CVE-2024-1234',
  score: {
    kind: 'cvss',
    vulnerability: 'CVE-2024-1234',
    scorer,
    version,
    // Only a name here: choosing does not look into it.
    vector: `CVSS:${version}/${String(baseScore)}`,
    baseScore,
  },
});

test('nobody has scored it', () => {
  expect(chosenScore([])).toBeNull();
});

describe('who speaks', () => {
  const redhat = said('redhat', 5.5, '3.1', 'redhat-csaf');
  const cna = said('cna:curl', 7.5);
  const nvd = said('nvd', 9.8, '3.1', 'nvd');
  const adp = said('adp:CISA-ADP', 8.8, '3.1', 'vulnrichment');

  test('the vendor of the system, where it has scored', () => {
    for (const ecosystem of ['redhat', 'almalinux', 'rocky'] as const) {
      expect(chosenScore([adp, nvd, cna, redhat], ecosystem)).toMatchObject({
        chosen: redhat,
        rule: 'vendor',
        disagreements: [nvd, adp, cna],
        evidence: [redhat, cna, nvd, adp],
      });
    }
  });

  test('else the CNA, NVD, an ADP, another', () => {
    expect(chosenScore([redhat, adp, nvd, cna], 'debian')).toMatchObject({ chosen: cna, rule: 'cna' });
    expect(chosenScore([redhat, adp, nvd])).toMatchObject({ chosen: nvd, rule: 'nvd' });
    expect(chosenScore([redhat, adp])).toMatchObject({ chosen: adp, rule: 'adp' });
    expect(chosenScore([redhat])).toMatchObject({ chosen: redhat, rule: 'other', disagreements: [] });
  });

  test('the vendor as CNA is the vendor', () => {
    const microsoft = said('cna:microsoft', 7.8);
    expect(chosenScore([nvd, microsoft, said('cna:github', 3)], 'windows')).toMatchObject({
      chosen: microsoft,
      rule: 'vendor',
    });
  });
});

describe('versions of CVSS', () => {
  test('the newest of one scorer', () => {
    const newest = said('cna:x', 8.7, '4.0');
    expect(chosenScore([said('cna:x', 9.8), newest, said('cna:x', 9.6, '3.0')])).toMatchObject({
      chosen: newest,
      disagreements: [],
    });
  });

  test('2.0 speaks only alone, and is compared with 2.0 only', () => {
    const old = said('cna:x', 5, '2.0');
    const other = said('nvd', 7.5, '2.0', 'nvd');
    const adp = said('adp:CISA-ADP', 9.8);
    expect(chosenScore([old, other])).toMatchObject({ chosen: old, disagreements: [other] });
    expect(chosenScore([old, other, adp])).toMatchObject({ chosen: adp, disagreements: [] });
  });

  test('another scorer is compared by the same version where it gives it', () => {
    const chosen = said('cna:x', 9.8);
    const same = said('nvd', 9.1, '3.0', 'nvd');
    const newer = said('nvd', 6.9, '4.0', 'nvd');
    expect(chosenScore([chosen, same, newer])?.disagreements).toEqual([]);
    expect(chosenScore([chosen, newer])?.disagreements).toEqual([newer]);
  });
});

describe('disagreements', () => {
  test('from 1.0 on, exactly', () => {
    const chosen = said('cna:x', 9.8);
    expect(chosenScore([chosen, said('nvd', 8.9)])?.disagreements).toEqual([]);
    expect(chosenScore([chosen, said('nvd', 8.8)])?.disagreements).toHaveLength(1);
  });

  test('a copy of a scorer’s vector by way of another feed is none: the nearest feed speaks', () => {
    const now = said('cna:x', 9.8, '3.1', 'cve-list');
    const copy = said('cna:x', 5.3, '3.1', 'vulnrichment');
    expect(chosenScore([copy, now])).toMatchObject({ chosen: now, disagreements: [] });
    const nvd = said('nvd', 6.5, '3.1', 'nvd');
    const relayed = said('nvd-via-osv', 9.8, '3.1', 'debian-osv');
    expect(chosenScore([relayed, nvd])).toMatchObject({ chosen: nvd, rule: 'nvd', disagreements: [] });
  });
});

describe('for any set of vectors', () => {
  const anyScore = fc
    .tuple(
      fc.constantFrom('cna:redhat', 'cna:x', 'nvd', 'nvd-via-osv', 'adp:CISA-ADP', 'redhat', 'suse'),
      fc.integer({ min: 0, max: 100 }).map((tenths) => tenths / 10),
      fc.constantFrom<CvssFact['version']>('2.0', '3.0', '3.1', '4.0'),
      fc.constantFrom<FeedId>('cve-list', 'vulnrichment', 'nvd', 'cvss-table', 'debian-osv'),
    )
    .map((parts) => said(...parts));
  const ecosystem = fc.constantFrom('debian', 'redhat', 'suse', null);

  test('the order of the input does not matter', () => {
    fc.assert(
      fc.property(
        fc
          .array(anyScore, { maxLength: 8 })
          .chain((list) =>
            fc.tuple(fc.constant(list), fc.shuffledSubarray(list, { minLength: list.length })),
          ),
        ecosystem,
        ([list, shuffled], system) => {
          expect(chosenScore(shuffled, system)).toEqual(chosenScore(list, system));
        },
      ),
    );
  });

  test('one is chosen, 2.0 never before 3.x and 4.0, and each disagreement is of another scorer and far away', () => {
    fc.assert(
      fc.property(fc.array(anyScore, { minLength: 1, maxLength: 8 }), ecosystem, (list, system) => {
        const result = chosenScore(list, system);
        if (result === null) throw new Error('there is a vector');
        expect(list).toContainEqual(result.chosen);
        expect(result.evidence).toHaveLength(list.length);
        if (result.chosen.score.version === '2.0')
          expect(list.every(({ score }) => score.version === '2.0')).toBe(true);
        for (const { score } of result.disagreements) {
          expect(score.scorer).not.toBe(result.chosen.score.scorer);
          expect(Math.abs(score.baseScore - result.chosen.score.baseScore)).toBeGreaterThan(0.99);
        }
      }),
    );
  });
});
