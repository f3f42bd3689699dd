import { describe, expect, test } from 'vitest';
import fc from 'fast-check';
import { dayMilliseconds as day, type ClosedHow } from './remediation-time.ts';
import { checkSlaRules, ruleFor, slaState, type SlaFinding, type SlaRule } from './sla.ts';

const start = Date.UTC(2026, 10, 1);
const at = (days: number): number => start + days * day;
const interval = (from: number, to: number | null = null, how: ClosedHow = 'fixed') => ({
  openedAt: at(from),
  closed: to === null ? null : { at: at(to), how },
});
const finding: SlaFinding = {
  intervals: [interval(0)],
  accepted: [],
  criticality: 3,
  exploited: false,
  score: 50,
  tags: ['production'],
  kevDueOn: null,
};
const rules: SlaRule[] = [
  { name: 'exploited', when: { exploited: true }, days: 3, kevDueDate: 'if_earlier' },
  {
    name: 'critical',
    when: { criticalityAtLeast: 4, scoreAtLeast: 70, anyTag: ['production', 'dmz'] },
    days: 7,
  },
  { name: 'low', when: { scoreBelow: 20 }, days: 90 },
  { name: 'rest', when: {}, days: 30 },
];
const month: SlaRule = { name: 'month', when: {}, days: 30 };
const ask = (more: Partial<SlaFinding>, days: number, list: readonly SlaRule[] = [month]) =>
  slaState(list, { ...finding, ...more }, at(days));
const dueDay = (answer: ReturnType<typeof ask>): number =>
  answer.ok && 'dueAt' in answer ? (answer.dueAt - start) / day : NaN;

describe('which rule', () => {
  const name = (more: Partial<SlaFinding>) => ruleFor(rules, { ...finding, ...more })?.rule.name;
  test('the first that fits, all of its conditions', () => {
    expect(name({})).toBe('rest');
    expect(name({ exploited: true, criticality: 5, score: 90 })).toBe('exploited');
    expect(name({ criticality: 4, score: 70 })).toBe('critical');
    expect(name({ criticality: 4, score: 69.9 })).toBe('rest');
    expect(name({ criticality: 4, score: 70, tags: ['test'] })).toBe('rest');
    expect(name({ score: 19.9 })).toBe('low');
    expect(name({ score: 20 })).toBe('rest');
  });
  test('none', () => {
    expect(ask({}, 1, rules.slice(0, 1))).toMatchObject({ state: 'no_rule' });
  });
  test('what is not known is said, unless it could change nothing', () => {
    expect(ask({ exploited: null }, 1, rules)).toMatchObject({
      state: 'undetermined',
      rule: 'exploited',
      missing: ['exploited'],
    });
    expect(ask({ score: null, tags: [] }, 1, rules)).toMatchObject({ rule: 'low', missing: ['score'] });
    expect(ask({ criticality: null, score: 50 }, 1, rules)).toMatchObject({ state: 'due_in', rule: 'rest' });
  });
});

describe('where it stands', () => {
  test('due, overdue, met, breached', () => {
    expect(ask({}, 10)).toMatchObject({
      state: 'due_in',
      dueAt: at(30),
      seconds: 20 * 86_400,
      sentence: 'Due in 20 days (rule "month").',
    });
    expect(ask({}, 30)).toMatchObject({ state: 'due_in', seconds: 0 });
    expect(ask({}, 30.5)).toMatchObject({
      state: 'overdue_by',
      sentence: 'Overdue by 12 hours (rule "month").',
    });
    expect(ask({ intervals: [interval(0, 30)] }, 99)).toMatchObject({ state: 'met', closedAt: at(30) });
    expect(ask({ intervals: [interval(0, 31)] }, 99)).toMatchObject({
      state: 'breached',
      dueAt: at(30),
      sentence: 'Remediated 1 day too late (rule "month").',
    });
    expect(ask({ intervals: [interval(0, 31)] }, 20)).toMatchObject({ state: 'due_in' });
  });
  test('closings without remediation: nothing to fix is never late, a retired asset may be', () => {
    expect(ask({ intervals: [interval(0, 40, 'withdrawn')] }, 99)).toMatchObject({ state: 'not_due' });
    expect(ask({ intervals: [interval(0, 20, 'asset_retired')] }, 99)).toMatchObject({ state: 'not_due' });
    expect(ask({ intervals: [interval(0, 40, 'asset_retired')] }, 99)).toMatchObject({ state: 'breached' });
  });
  test('acceptance pauses, and moves the due time by its length, counted once where two overlap', () => {
    const accepted = [
      { from: at(12), until: at(20) },
      { from: at(10), until: at(15) },
    ];
    expect(ask({ accepted }, 14)).toMatchObject({
      state: 'paused',
      secondsLeft: 20 * 86_400,
      sentence: 'Accepted; 20 days are left when that ends (rule "month").',
    });
    expect(dueDay(ask({ accepted }, 25))).toBe(40);
    expect(dueDay(ask({ accepted }, 41))).toBe(40);
    expect(dueDay(ask({ accepted }, 5))).toBe(30);
    expect(ask({ accepted: [{ from: at(35), until: null }] }, 50)).toMatchObject({
      state: 'paused',
      secondsLeft: -5 * 86_400,
      sentence: 'Accepted; it was overdue by 5 days (rule "month").',
    });
    expect(ask({ intervals: [interval(0, 10, 'accepted')] }, 50)).toMatchObject({ state: 'paused' });
    const resumed = [interval(0, 10, 'accepted'), interval(50)];
    for (const reopened of ['without_time_fixed', 'from_first_seen', 'from_reopening'] as const)
      expect(dueDay(ask({ intervals: resumed }, 51, [{ ...month, reopened }]))).toBe(70);
  });
});

describe('reopened', () => {
  const intervals = [interval(0, 10), interval(25)];
  const due = (reopened: SlaRule['reopened']) =>
    dueDay(ask({ intervals }, 26, [reopened === undefined ? month : { ...month, reopened }]));
  test('days go on where they were, run through, or begin anew, as the rule says', () => {
    expect(due(undefined)).toBe(45);
    expect(due('without_time_fixed')).toBe(45);
    expect(due('from_first_seen')).toBe(30);
    expect(due('from_reopening')).toBe(55);
  });
  test('a late fix that did not last is late at once', () => {
    const late = [interval(0, 35), interval(40)];
    expect(ask({ intervals: late }, 41)).toMatchObject({ state: 'overdue_by', dueAt: at(30) });
  });
});

describe('KEV’s date', () => {
  const kev = (kevDueOn: string, days: number, more: Partial<SlaFinding> = {}) =>
    ask({ kevDueOn, ...more }, days, [{ ...month, kevDueDate: 'if_earlier' }]);
  test('counts when earlier, until the end of its day, and for no acceptance moves', () => {
    expect(kev('2026-11-10', 1)).toMatchObject({
      dueAt: at(10),
      sentence: 'Due in 9 days (rule "month", by KEV’s date).',
    });
    expect(dueDay(kev('2026-12-24', 1))).toBe(30);
    expect(dueDay(kev('2026-11-10', 9, { accepted: [{ from: at(1), until: at(8) }] }))).toBe(10);
    expect(dueDay(ask({ kevDueOn: '2026-11-10' }, 1))).toBe(30);
  });
  test('is what is left while accepted', () => {
    const accepted = [{ from: at(1), until: null }];
    expect(kev('2026-11-10', 4, { accepted })).toMatchObject({ state: 'paused', secondsLeft: 6 * 86_400 });
  });
  test('is not used when it was over before the finding was seen', () => {
    expect(dueDay(kev('2026-10-31', 1))).toBe(30);
    expect(dueDay(kev('2026-11-01', 0.5))).toBe(1);
  });
  test('no date is refused', () => {
    for (const text of ['2026-02-30', 'soon', '2026-1-1'])
      expect(kev(text, 1)).toMatchObject({ ok: false, code: 'kev_date_invalid' });
  });
});

describe('refusals', () => {
  test('histories that cannot be', () => {
    for (const intervals of [[], [interval(5, 4)], [interval(0, 5), interval(4)], [interval(0), interval(9)]])
      expect(ask({ intervals }, 20)).toMatchObject({ code: 'finding_history_invalid' });
    expect(ask({ accepted: [{ from: at(2), until: at(1) }] }, 20)).toMatchObject({
      code: 'finding_history_invalid',
    });
    expect(ask({ intervals: [interval(5)] }, 4)).toMatchObject({ code: 'finding_not_yet_seen' });
  });
  test('rules that mean nothing', () => {
    expect(checkSlaRules(rules)).toBeNull();
    const bad: SlaRule[] = [
      { ...month, days: 0 },
      { ...month, days: NaN },
      { ...month, when: { criticalityAtLeast: 6 } },
      { ...month, when: { scoreAtLeast: 50, scoreBelow: 50 } },
      { ...month, when: { anyTag: [] } },
    ];
    for (const rule of bad) expect(ask({}, 1, [rule])).toMatchObject({ ok: false, code: 'sla_rule_invalid' });
  });
});

describe('laws', () => {
  const hours = fc.integer({ min: 0, max: 2400 }).map((hour) => hour / 24);
  test('an acceptance never makes a finding due earlier, and the answer is stable as time goes by', () => {
    fc.assert(
      fc.property(hours, hours, hours, (a, b, now) => {
        const [from, until] = [Math.min(a, b), Math.max(a, b)];
        const accepted = [{ from: at(from), until: at(until) }];
        const answer = ask({ accepted }, now);
        fc.pre(answer.ok && answer.state !== 'paused');
        expect(dueDay(answer)).toBeGreaterThanOrEqual(30);
        const later = ask({ accepted }, 2400);
        if (now >= until) expect(dueDay(later)).toBeCloseTo(dueDay(answer), 6);
      }),
    );
  });
  test('late when open is late when fixed in that moment', () => {
    fc.assert(
      fc.property(hours, hours, hours, (a, b, now) => {
        const accepted = [{ from: at(Math.min(a, b)), until: at(Math.max(a, b)) }];
        const open = ask({ accepted }, now);
        fc.pre(open.ok && open.state !== 'paused');
        const fixed = ask({ accepted, intervals: [interval(0, now)] }, now);
        expect([open, fixed]).toMatchObject(
          open.ok && open.state === 'overdue_by'
            ? [{ state: 'overdue_by' }, { state: 'breached' }]
            : [{ state: 'due_in' }, { state: 'met' }],
        );
      }),
    );
  });
});
