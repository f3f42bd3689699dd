import fc from 'fast-check';
import { expect, test } from 'vitest';
import { ruleFor, type SlaRule } from '../finding/sla.ts';
import { parse } from '../query/parse.ts';
import { coverages, firstFindings, riskTaken } from './acceptance-coverage.ts';
import { Fleet } from './fleet.ts';
import { assetFacts, softwareFacts, start, vulnerabilityFacts, vulnerabilityIds } from './test-fleets.ts';
import type { FleetFinding } from './reading.ts';
import { assetTruths } from './select/asset-truths.ts';
import { dangerFact } from './select/danger-facts.ts';
import { dueFact } from './select/due.ts';
import { selectFindings } from './select/select.ts';
import { atOnce } from './select/selection.ts';
import { slaTotals } from './sla-totals.ts';

const day = 86_400_000;
const made = fc.record({
  software: fc.tuple(...[1, 2, 3, 4, 5, 6].map((id) => softwareFacts(id))),
  assets: fc.tuple(...[1, 2, 3, 4].map((id) => assetFacts(id, 6))),
  vulnerabilities: fc.tuple(...vulnerabilityIds.map((id) => vulnerabilityFacts(id))),
  days: fc.constantFrom(1, 30, 200),
  scope: fc.constantFrom<string[]>(
    'package = openssl',
    'vulnerability = CVE-2024-1',
    'asset.hostname = web-*',
  ),
});

const rules = (days: number): SlaRule[] => [
  { name: 'critical', when: { criticalityAtLeast: 4 }, days, kevDueDate: 'if_earlier' },
  { name: 'attacked', when: { exploited: true, scoreAtLeast: 10 }, days: 2 * days },
  { name: 'grave', when: { scoreAtLeast: 60 }, days: 3 * days },
];

type Made = typeof made extends fc.Arbitrary<infer Facts> ? Facts : never;

function fleetOf({ software, assets, vulnerabilities, days, scope }: Made): Fleet {
  const fleet = new Fleet();
  const acceptance = { id: 'a', scope, startsAt: start - day, expiresAt: start + day, revokedAt: null };
  fleet.apply(
    { software, assets, vulnerabilities, slaRules: rules(days), acceptances: [acceptance] },
    { now: start },
  );
  atOnce(fleet.settle(start));
  return fleet;
}

const all = (fleet: Fleet): FleetFinding[] =>
  [...fleet.assets.live].flatMap((asset) => fleet.findingsOf(asset));

test('each finding is counted once, and as the field due has it', () => {
  fc.assert(
    fc.property(made, (facts) => {
      const fleet = fleetOf(facts);
      const query = parse('vulnerability != CVE-2024-2', 'finding');
      if (!query.ok) throw new Error(query.message);
      const selected = atOnce(selectFindings(fleet, query.query, start));
      for (const selection of [null, selected]) {
        const totals = atOnce(slaTotals(fleet, selection, start));
        const counts = { inTime: 0, dueSoon: 0, overdue: 0, paused: 0 };
        for (const { counts: one } of totals.byRule)
          for (const key of ['inTime', 'dueSoon', 'overdue', 'paused'] as const) counts[key] += one[key];
        const expected = {
          findings: 0,
          noRule: 0,
          undetermined: 0,
          inTime: 0,
          dueSoon: 0,
          overdue: 0,
          paused: 0,
        };
        for (const finding of all(fleet)) {
          if (selection !== null && selection.byPair.get(finding.pair.index)?.has(finding.asset) !== true)
            continue;
          expected.findings += 1;
          const due = dueFact(fleet, finding, start);
          const danger = fleet.danger(finding.pair.danger);
          const exploited = dangerFact(danger, 'exploited');
          const fitting = ruleFor(fleet.slaRules, {
            criticality: fleet.criticality(finding.asset).level,
            exploited: typeof exploited === 'boolean' ? exploited : null,
            score: danger.score.score,
            tags: [],
          });
          if (fitting === null) expected.noRule += 1;
          else if (fitting.missing.length > 0) expected.undetermined += 1;
          else if (finding.status === 'accepted') expected.paused += 1;
          else if (typeof due !== 'number') throw new Error('a rule fits, and it is not due');
          else if (due < start) expected.overdue += 1;
          else {
            expected.inTime += 1;
            if (due - start <= 7 * day) expected.dueSoon += 1;
          }
        }
        const { findings, noRule, undetermined } = totals;
        expect({ findings, noRule, undetermined, ...counts }).toEqual(expected);
      }
    }),
    { numRuns: 60 },
  );
});

test('an acceptance covers what the fleet says that it accepts, and takes the risk that then is missing', () => {
  fc.assert(
    fc.property(made, (facts) => {
      const fleet = fleetOf(facts);
      const without = fleetOf({ ...facts, scope: 'vulnerability = CVE-0' });
      const list = [{ id: 'x', scope: facts.scope }];
      const accepted = all(fleet).filter(({ acceptance }) => acceptance !== null);
      const held = atOnce(coverages(fleet, assetTruths, list, start)).get('x');
      const wanted = atOnce(coverages(without, assetTruths, list, start)).get('x');
      if (held === undefined || wanted === undefined) throw new Error('no coverage');
      expect([held.findings, held.notAccepted]).toEqual([accepted.length, 0]);
      expect([wanted.findings, wanted.notAccepted]).toEqual([accepted.length, accepted.length]);
      expect(firstFindings(without, wanted, 1_000)).toHaveLength(accepted.length);
      const risk = atOnce(riskTaken(without, wanted));
      const sum = (of: Fleet): number =>
        [...wanted.assets].reduce((total, asset) => total + of.risk(asset), 0);
      expect(risk.now).toBeCloseTo(sum(without), 1);
      expect(risk.accepted).toBeCloseTo(sum(fleet), 1);
    }),
    { numRuns: 60 },
  );
});
