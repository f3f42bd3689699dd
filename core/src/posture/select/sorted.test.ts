import fc from 'fast-check';
import { expect, test } from 'vitest';
import { compareText } from '../../knowledge/compare-text.ts';
import type { Subject } from '../../query/fields.ts';
import { fleetPatches } from '../patches.ts';
import { assetSet } from '../asset-set.ts';
import type { FleetFinding, FleetReading } from '../reading.ts';
import { rowOf, type ColumnValue, type Items, type Sort } from './column.ts';
import { columnOf, columns } from './columns.ts';
import { selectFindings } from './select.ts';
import { atOnce } from './selection.ts';
import { assetsSorted, findingsSorted, patchesSorted, vulnerabilitiesSorted } from './sorted.ts';
import { factsArb, now } from './test-facts.ts';
import { PlainFleet } from './test-fleet.ts';

const sortArb = (subject: Subject): fc.Arbitrary<Sort[]> =>
  fc.array(
    fc.record({
      by: fc.constantFrom(...columns[subject].map((column) => column.name)),
      descending: fc.boolean(),
    }),
    { minLength: 1, maxLength: 3 },
  );

/** By the table of columns and nothing else; what is not known is last, and equals are as they were. */
function plainly<S extends Subject>(
  subject: S,
  fleet: FleetReading,
  items: readonly Items[S][],
  sort: readonly Sort[],
): Items[S][] {
  const read = (item: Items[S], name: string): ColumnValue => {
    const column = columnOf(subject, name);
    if (column === null) throw new Error(name);
    const value = column.of(rowOf(subject, fleet, item, now));
    if (typeof value === 'string' && column.choices !== undefined) return column.choices.indexOf(value);
    return Array.isArray(value) ? value.join(', ') : value;
  };
  return items.toSorted((a, b) => {
    for (const { by, descending } of sort) {
      const [one, other] = [read(a, by), read(b, by)];
      if (one === null || other === null) {
        if (one !== other) return one === null ? 1 : -1;
        continue;
      }
      const order = typeof one === 'string' ? compareText(one, String(other)) : Number(one) - Number(other);
      if (order !== 0) return descending ? -order : order;
    }
    return 0;
  });
}

test('assets, vulnerabilities and patches are sorted by any columns', () => {
  fc.assert(
    fc.property(
      factsArb,
      sortArb('asset'),
      sortArb('vulnerability'),
      sortArb('patch'),
      (facts, ofAssets, ofVulnerabilities, ofPatches) => {
        const fleet = new PlainFleet(facts);
        expect([...atOnce(assetsSorted(fleet, fleet.assets.live, ofAssets, now))]).toEqual(
          plainly('asset', fleet, [...fleet.assets.live], ofAssets),
        );
        const indexes = Array.from({ length: fleet.vulnerabilities }, (_, index) => index);
        expect(atOnce(vulnerabilitiesSorted(fleet, indexes, ofVulnerabilities, now))).toEqual(
          plainly('vulnerability', fleet, indexes, ofVulnerabilities),
        );
        const { all } = atOnce(fleetPatches(fleet));
        expect(atOnce(patchesSorted(fleet, all, ofPatches, now)).map(({ id }) => id)).toEqual(
          plainly('patch', fleet, all, ofPatches).map(({ id }) => id),
        );
      },
    ),
    { numRuns: 100 },
  );
});

test('findings are sorted by any columns, also of their assets', () => {
  fc.assert(
    fc.property(factsArb, sortArb('finding'), (facts, sort) => {
      const fleet = new PlainFleet(facts);
      const selection = atOnce(selectFindings(fleet, { subject: 'finding', root: null }, now));
      const all = [...fleet.assets.live].flatMap((id) => fleet.findingsOf(id));
      const { assets, pairs } = atOnce(findingsSorted(fleet, selection, sort, now));
      const found = [...assets].map((asset, at) => {
        const finding = fleet.findingsOf(asset).find((one) => one.pair.index === pairs[at]);
        if (finding === undefined) throw new Error('a finding that there is not');
        return finding;
      });
      const name = ({ asset, pair }: FleetFinding): string => `${String(asset)} ${String(pair.index)}`;
      expect(found.map(name).toSorted(compareText)).toEqual(all.map(name).toSorted(compareText));
      // Equals may be in another order: those that are sorted already stay where they are.
      expect(plainly('finding', fleet, found, sort).map(name)).toEqual(found.map(name));
    }),
    { numRuns: 100 },
  );
});

test('more than one run is merged, and others get their turn meanwhile', () => {
  const count = 20_000;
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion
  const fleet = {
    assetRecord: (asset: number) => ({
      field: (name: string) => (name === 'hostname' ? `h${String((asset * 7919) % 1000)}` : asset % 3),
      related: () => null,
    }),
  } as unknown as FleetReading;
  const ids = assetSet(Array.from({ length: count }, (_, at) => at + 1));
  const sort = [
    { by: 'risk', descending: true },
    { by: 'hostname', descending: false },
  ];
  const work = assetsSorted(fleet, ids, sort, now);
  let slices = 0;
  for (;;) {
    const step = work.next();
    if (step.done !== true) {
      slices += 1;
      continue;
    }
    const expected = [...ids].toSorted(
      (a, b) =>
        (b % 3) - (a % 3) ||
        compareText(`h${String((a * 7919) % 1000)}`, `h${String((b * 7919) % 1000)}`) ||
        a - b,
    );
    expect([...step.value]).toEqual(expected);
    break;
  }
  expect(slices).toBeGreaterThan(20);
});
