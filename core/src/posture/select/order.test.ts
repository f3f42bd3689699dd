import fc from 'fast-check';
import { expect, test } from 'vitest';
import { compareText } from '../../knowledge/compare-text.ts';
import type { FleetFinding, FleetReading } from '../reading.ts';
import { assetOrders, assetsInOrder, findingOrders, findingsInOrder } from './order.ts';
import { assetRecord, findingRecord } from './records.ts';
import { selectFindings } from './select.ts';
import { atOnce } from './selection.ts';
import { factsArb, now } from './test-facts.ts';
import { PlainFleet } from './test-fleet.ts';

const pageArb = fc.record({ offset: fc.nat(12), limit: fc.integer({ min: 1, max: 6 }) });

/** The fact that the order is by; what is not known is last. */
function compareFacts(a: unknown, b: unknown, descending: boolean): number {
  const [known, other] = [a, b].map((each) => typeof each === 'number' || typeof each === 'string');
  if (known !== true || other !== true) return Number(known !== true) - Number(other !== true);
  const order = typeof a === 'number' ? a - Number(b) : compareText(String(a), String(b));
  return descending ? -order : order;
}

test('pages of assets are those of all, sorted', () => {
  fc.assert(
    fc.property(
      factsArb,
      fc.constantFrom(...assetOrders),
      fc.boolean(),
      pageArb,
      (facts, by, descending, page) => {
        const fleet = new PlainFleet(facts);
        const { live } = fleet.assets;
        const keyOf = (id: number): unknown =>
          by === 'risk'
            ? fleet.risk(id)
            : by === 'open_findings'
              ? fleet.openFindings(id)
              : assetRecord(fleet, id, now).field(by, null);
        const expected = [...live].toSorted((a, b) => compareFacts(keyOf(a), keyOf(b), descending) || a - b);
        const found = atOnce(assetsInOrder(fleet, live, { by, descending }, page));
        expect(found).toEqual(expected.slice(page.offset, page.offset + page.limit));
      },
    ),
    { numRuns: 200 },
  );
});

function factOf(fleet: FleetReading, finding: FleetFinding, by: string): unknown {
  if (by === 'asset.risk') return fleet.risk(finding.asset);
  if (by === 'asset.open_findings') return fleet.openFindings(finding.asset);
  if (by.startsWith('asset.')) return assetRecord(fleet, finding.asset, now).field(by.slice(6), null);
  return findingRecord(fleet, finding, now).field(by, null);
}

test('pages of findings are those of all, sorted', () => {
  let longest = 0;
  fc.assert(
    fc.property(
      factsArb,
      fc.constantFrom(...findingOrders),
      fc.boolean(),
      pageArb,
      (facts, by, descending, page) => {
        const fleet = new PlainFleet(facts);
        const all = [...fleet.assets.live].flatMap((id) => fleet.findingsOf(id));
        const score = ({ pair }: FleetFinding): number => fleet.danger(pair.danger).score.score;
        const expected = all.toSorted(
          (a, b) =>
            compareFacts(factOf(fleet, a, by), factOf(fleet, b, by), descending) ||
            (by.startsWith('asset.')
              ? a.asset - b.asset || score(b) - score(a)
              : fleet.risk(b.asset) - fleet.risk(a.asset) || a.asset - b.asset) ||
            a.pair.index - b.pair.index,
        );
        const selection = atOnce(selectFindings(fleet, { subject: 'finding', root: null }, now));
        expect(selection.total).toBe(all.length);
        const name = ({ asset, pair }: FleetFinding): string => `${asset} ${pair.index}`;
        const found = atOnce(findingsInOrder(fleet, selection, { by, descending }, page, now));
        expect(found.map(name)).toEqual(expected.slice(page.offset, page.offset + page.limit).map(name));
        longest = Math.max(longest, found.length);
      },
    ),
    { numRuns: 300 },
  );
  expect(longest).toBe(6);
});
