import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { UpdateFact } from '../knowledge/facts.ts';
import { fixedByUpdate, supersedenceOf, updateToDeploy } from './windows-updates.ts';
import {
  matchWindows,
  type WindowsClaim,
  type WindowsMatch,
  type WindowsSoftware,
  type WindowsVerdict,
} from './windows.ts';

const server2019 = 'Windows Server 2019';
const server2012 = 'Windows Server 2012 R2';

function update(id: string, changes: Partial<UpdateFact> = {}): UpdateFact {
  return {
    kind: 'update',
    id,
    product: server2019,
    title: null,
    supersedes: [],
    fixedBuild: null,
    restart: 'required',
    type: 'Security Update',
    publishedAt: '2024-07-09T07:00:00.000Z',
    url: null,
    knownIssues: false,
    ...changes,
  };
}

function claim(
  number: number,
  updates: readonly string[],
  changes: Partial<WindowsClaim> = {},
): WindowsClaim {
  return {
    vulnerability: `CVE-2024-${String(10_000 + number)}`,
    package: server2019,
    status: 'fixed',
    fixedVersion: null,
    updates,
    ...changes,
  };
}

/** Twelve vulnerabilities, as many as make an update a cumulative one. */
function monthly(
  from: number,
  updates: readonly string[],
  changes: Partial<WindowsClaim> = {},
): WindowsClaim[] {
  return Array.from({ length: 12 }, (_, i) => claim(from + i, updates, changes));
}

function only(match: WindowsMatch<WindowsClaim>): WindowsVerdict<WindowsClaim> {
  const [verdict, more] = match.ok ? match.verdicts : [];
  if (verdict === undefined || more !== undefined) throw new Error('one verdict is expected');
  return verdict;
}

// Three cumulative updates of which the second is not said to supersede the first; KB5012170 replaces Secure Boot's list.
const june = monthly(100, ['KB5039217'], { fixedVersion: '10.0.17763.5936' });
const july = monthly(200, ['KB5040430'], { fixedVersion: '10.0.17763.6054' });
const august = monthly(300, ['KB5041578'], { fixedVersion: '10.0.17763.6189' });
const secureBoot = claim(400, ['KB5012170'], { fixedVersion: '10.0.17763.3284' });
const claims = [...june, ...july, ...august, secureBoot];
const updates = [
  update('KB5039217', { fixedBuild: '10.0.17763.5936' }),
  update('KB5040430', { fixedBuild: '10.0.17763.6054' }),
  update('KB5041578', { fixedBuild: '10.0.17763.6189', supersedes: ['KB5040430'] }),
  update('KB5012170', { fixedBuild: '10.0.17763.3284' }),
];
const graph = supersedenceOf(updates, claims);
const judge = (software: Partial<WindowsSoftware>, one: WindowsClaim) =>
  only(matchWindows({ name: server2019, version: '10.0.17763', ...software }, [one], graph));
const [ofJune, ofJuly] = [june[0] ?? secureBoot, july[0] ?? secureBoot];

describe('by build', () => {
  test.each([
    ['10.0.17763.6054', 'fixed', 'build_at_or_after_fixed_build', 'equal'],
    ['10.0.17763.6189', 'fixed', 'build_at_or_after_fixed_build', 'greater'],
    ['10.0.17763.5936', 'vulnerable', 'build_older_than_fixed_build', 'less'],
    ['10.0.20348.9999', 'undetermined', 'build_cannot_prove_fix', null],
    ['10.0.17763', 'undetermined', 'build_and_updates_unknown', null],
    ['', 'undetermined', 'build_and_updates_unknown', null],
    ['ten', 'undetermined', 'build_and_updates_unknown', null],
  ])('build %s is %s', (version, kind, rule, comparison) => {
    expect(judge({ version }, ofJuly)).toMatchObject({ kind, rule, comparison });
  });

  test('an update that is reported and not running', () => {
    const verdict = judge({ version: '10.0.17763.5936', updates: ['KB5040430'] }, ofJuly);
    expect(verdict).toMatchObject({
      kind: 'vulnerable',
      rule: 'update_installed_but_build_older',
      installedUpdate: 'KB5040430',
    });
    expect(verdict.sentence).toMatch(/a restart is pending/u);
  });

  test('a single update beside the cumulative ones is not proven by the build that its record names', () => {
    expect(judge({ version: '10.0.17763.6189' }, secureBoot).kind).toBe('undetermined');
    expect(judge({ version: '10.0.17763.6189', updates: [] }, secureBoot).kind).toBe('vulnerable');
    expect(judge({ version: '10.0.17763.6189', updates: ['KB5012170'] }, secureBoot).kind).toBe('fixed');
  });

  test('a hotpatch, whose build is older than that of the cumulative update', () => {
    const hot = claim(1, ['KB5040430', 'KB5040999'], { fixedVersion: '10.0.17763.6054' });
    const withHotpatch = supersedenceOf(
      [...updates, update('KB5040999', { fixedBuild: '10.0.17763.6000', type: 'SecurityHotpatchUpdate' })],
      [...claims, hot],
    );
    const on = (version: string, installed: string[]) =>
      only(matchWindows({ name: server2019, version, updates: installed }, [hot], withHotpatch)).kind;
    expect(on('10.0.17763.6000', ['KB5040999'])).toBe('fixed');
    expect(on('10.0.17763.6000', [])).toBe('vulnerable');
    expect(on('10.0.17763.5999', ['KB5040999'])).toBe('vulnerable');
  });

  test('where "Security Only" updates exist, a newer build proves nothing', () => {
    const rollup = monthly(500, ['KB5041828', 'KB5041770'], {
      package: server2012,
      fixedVersion: '6.3.9600.22134',
    });
    const graph2012 = supersedenceOf(
      [
        update('KB5041828', { product: server2012, type: 'Monthly Rollup', fixedBuild: '6.3.9600.22134' }),
        update('KB5041770', { product: server2012, type: 'Security Only', fixedBuild: '6.3.9600.22134' }),
      ],
      rollup,
    );
    const [one = secureBoot] = rollup;
    const on = (version: string) => only(matchWindows({ name: server2012, version }, [one], graph2012)).kind;
    expect(on('6.3.9600.22134')).toBe('fixed');
    expect(on('6.3.9600.22200')).toBe('undetermined');
    expect(on('6.3.9600.22000')).toBe('vulnerable');
  });
});

describe('by installed updates', () => {
  test.each([
    [['KB5040430'], 'fixed', 'fixing_update_installed'],
    [['KB5041578'], 'fixed', 'containing_update_installed'],
    [['KB5039217'], 'vulnerable', 'no_fixing_update_installed'],
    [[], 'vulnerable', 'no_fixing_update_installed'],
    [['KB5041100'], 'undetermined', 'unlisted_update_may_contain_fix'],
    [['KB4999999'], 'vulnerable', 'no_fixing_update_installed'],
    [['KB5012170'], 'vulnerable', 'no_fixing_update_installed'],
  ])('%j is %s', (installed, kind, rule) => {
    expect(judge({ updates: installed }, ofJuly)).toMatchObject({ kind, rule });
  });

  test('a gap in the chain is bridged by builds of cumulative updates', () => {
    expect(judge({ updates: ['KB5041578'] }, ofJune)).toMatchObject({
      kind: 'fixed',
      sentence: `${server2019}: KB5041578 is installed, which contains KB5039217, the fix of CVE-2024-10100.`,
    });
  });

  test('a gap in the chain is bridged by numbers that are far enough apart', () => {
    // Server 2019 from November 2018 to February 2019, as MSRC has it: without builds, and with steps missing between.
    const winter = [
      ...monthly(0, ['KB4467708']),
      ...monthly(20, ['KB4471332']),
      ...monthly(40, ['KB4480116']),
      ...monthly(60, ['KB4487044']),
    ];
    const ids = ['KB4467708', 'KB4471332', 'KB4480116', 'KB4487044'];
    const known = supersedenceOf(
      ids.map((id) => update(id)),
      winter,
    ).of(server2019);
    expect(known?.contains('KB4480116', 'KB4471332')).toBe(true);
    expect(known?.contains('KB4480116', 'KB4467708')).toBe(true);
    expect(known?.contains('KB4480116', 'KB4487044')).toBe(false);
    // Less far apart than updates of one season can be: nothing is concluded.
    expect(known?.contains('KB4471332', 'KB4467708')).toBe(false);
    // Where "Security Only" updates exist beside, numbers have been out of order by more.
    const mixed = supersedenceOf(
      [...ids.map((id) => update(id)), update('KB4467709', { type: 'Security Only' })],
      winter,
    ).of(server2019);
    expect(mixed?.contains('KB4480116', 'KB4471332')).toBe(false);
    expect(mixed?.contains('KB4480116', 'KB4467708')).toBe(true);
  });
  test('a fix of which only the build is named', () => {
    const buildOnly = claim(1, [], { fixedVersion: '10.0.17763.6054' });
    expect(judge({ updates: ['KB5041578'] }, buildOnly).kind).toBe('fixed');
    expect(judge({ updates: ['KB5039217'] }, buildOnly)).toMatchObject({
      kind: 'undetermined',
      rule: 'build_cannot_prove_fix',
    });
  });
});

test.each([
  ['affected', 'vulnerable', 'no_fix_published'],
  ['not_affected', 'not_affected', 'vendor_says_not_affected'],
  ['undetermined', 'undetermined', 'vendor_has_not_looked'],
] as const)('a claim that is %s', (status, kind, rule) => {
  expect(judge({}, claim(1, [], { status }))).toMatchObject({ kind, rule });
});

test('a product that the data does not have', () => {
  const match = matchWindows({ name: 'Windows 12', version: '10.0.30000.1', updates: [] }, [], graph);
  expect(match).toMatchObject({ ok: false, rule: 'product_not_in_data' });
});

describe('the update to deploy', () => {
  test('is the newest that contains a fix, with what else it fixes', () => {
    expect(updateToDeploy(graph, server2019, ['KB5040430'])).toMatchObject({
      update: { id: 'KB5041578' },
      reason: 'newest_of_chain',
      fixing: 'KB5040430',
      alternatives: [],
    });
    expect(updateToDeploy(graph, server2019, ['KB5039217'])).toMatchObject({
      update: { id: 'KB5041578' },
      reason: 'newest_cumulative',
    });
    expect(updateToDeploy(graph, server2019, ['KB5012170'])).toMatchObject({
      update: { id: 'KB5012170' },
      reason: 'only_update',
    });
    expect(updateToDeploy(graph, server2019, ['KB1111111'])).toBeNull();
    expect(updateToDeploy(graph, 'Windows 12', ['KB5040430'])).toBeNull();
    expect(fixedByUpdate(graph, server2019, 'KB5040430', claims)).toEqual(
      [...june, ...july].map(({ vulnerability }) => vulnerability),
    );
  });

  test('is a rollup before the security-only update, and no hotpatch', () => {
    const of = (type: string, id: string) =>
      update(id, { type, product: server2012, supersedes: type === 'Monthly Rollup' ? ['KB5040456'] : [] });
    const rollups = monthly(500, ['KB5041828', 'KB5041770', 'KB5041999'], { package: server2012 });
    const some = supersedenceOf(
      [
        of('Monthly Rollup', 'KB5041828'),
        of('Security Only', 'KB5041770'),
        of('SecurityHotpatchUpdate', 'KB5041999'),
      ],
      rollups,
    );
    expect(updateToDeploy(some, server2012, ['KB5041770', 'KB5041999', 'KB5041828'])).toMatchObject({
      update: { id: 'KB5041828' },
      // A hotpatch needs a baseline, so it comes last.
      alternatives: ['KB5041770', 'KB5041999'],
    });
  });

  test('a circle in the data ends, and nothing in it is called newest of a chain', () => {
    const circle = supersedenceOf(
      [
        update('KB5000001', { supersedes: ['KB5000002'] }),
        update('KB5000002', { supersedes: ['KB5000001'] }),
      ],
      [],
    );
    expect(circle.of(server2019)?.below('KB5000001')).toEqual(new Set(['KB5000002']));
    expect(updateToDeploy(circle, server2019, ['KB5000001'])).toMatchObject({ reason: 'only_update' });
  });
});

describe('laws, over made-up chains with gaps', () => {
  const numbers = fc.integer({ min: 0, max: 24 });
  const id = (number: number): string => `KB${String(5_000_000 + number * 3000)}`;
  const types = ['Security Update', 'Security Only', 'Monthly Rollup', 'SecurityHotpatchUpdate', null];
  /** Updates that supersede only older ones, and claims that several of them fix. */
  const world = fc
    .record({
      updates: fc.uniqueArray(
        fc.record({
          number: numbers,
          older: fc.array(numbers, { maxLength: 3 }),
          type: fc.constantFrom(...types),
          build: fc.option(fc.nat(3), { nil: null }),
        }),
        { minLength: 1, maxLength: 20, selector: ({ number }) => number },
      ),
      fixes: fc.array(fc.array(numbers, { minLength: 1, maxLength: 3 }), { minLength: 1, maxLength: 60 }),
      installed: fc.array(numbers, { maxLength: 6 }),
    })
    .map(({ updates: drafts, fixes, installed }) => {
      const facts = drafts.map(({ number, older, type, build }) =>
        update(id(number), {
          type,
          supersedes: older.filter((one) => one < number).map(id),
          fixedBuild: build === null ? null : `10.0.17763.${String(number * 4 + build)}`,
        }),
      );
      const said = fixes.map((of, i) => claim(i, [...new Set(of.map(id))]));
      return { graph: supersedenceOf(facts, said), claims: said, installed: [...new Set(installed.map(id))] };
    });
  const verdicts = (made: { graph: typeof graph; claims: WindowsClaim[] }, installed: readonly string[]) => {
    const match = matchWindows(
      { name: server2019, version: '10.0.17763', updates: installed },
      made.claims,
      made.graph,
    );
    if (!match.ok) throw new Error(match.sentence);
    return match.verdicts;
  };

  test('supersedence is transitive', () => {
    fc.assert(
      fc.property(world, ({ graph: made }) => {
        const known = made.of(server2019);
        for (const one of known?.updates.keys() ?? []) {
          for (const older of known?.below(one) ?? []) {
            for (const oldest of known?.below(older) ?? [])
              if (oldest !== one) expect(known?.below(one).has(oldest)).toBe(true);
            expect(known?.contains(one, older)).toBe(true);
          }
        }
      }),
    );
  });

  test('another installed update never opens a finding', () => {
    const order = ['vulnerable', 'undetermined', 'fixed'];
    fc.assert(
      fc.property(world, numbers, (made, more) => {
        const before = verdicts(made, made.installed);
        const after = verdicts(made, [...made.installed, id(more)]);
        for (const [i, verdict] of before.entries()) {
          expect(order.indexOf(after[i]?.kind ?? '')).toBeGreaterThanOrEqual(order.indexOf(verdict.kind));
        }
      }),
    );
  });

  test('the updates to deploy close everything that can be closed', () => {
    fc.assert(
      fc.property(world, (made) => {
        const open = verdicts(made, made.installed).filter(({ kind }) => kind !== 'fixed');
        const plan = open.map((verdict) => updateToDeploy(made.graph, server2019, verdict.claim.updates));
        const ids = plan.flatMap((one) => one?.update.id ?? []);
        const after = new Map(
          verdicts(made, [...made.installed, ...ids]).map((verdict) => [verdict.claim, verdict.kind]),
        );
        for (const [i, verdict] of open.entries()) {
          if (plan[i] === null) continue;
          expect(after.get(verdict.claim)).toBe('fixed');
          expect(fixedByUpdate(made.graph, server2019, plan[i]?.update.id ?? '', made.claims)).toContain(
            verdict.claim.vulnerability,
          );
        }
      }),
    );
  });

  test('without a list of updates and without a build nothing is fixed', () => {
    fc.assert(
      fc.property(world, (made) => {
        const match = matchWindows({ name: server2019, version: '10.0.17763' }, made.claims, made.graph);
        expect(match.ok && match.verdicts.every(({ kind }) => kind === 'undetermined')).toBe(true);
      }),
    );
  });
});
