import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  assetRisk,
  assetRiskConstants,
  criticalityWeight,
  type Criticality,
  type RiskFinding,
} from './asset-risk.ts';
import { assetRisks, fleetRisk, softwareLogSurvivals } from './bulk-risk.ts';

const statuses = [
  'open',
  'restart_pending',
  'reboot_pending',
  'mitigated',
  'accepted',
  'undetermined',
] as const;
const criticalities = fc.constantFrom<Criticality>(1, 2, 3, 4, 5);
const findings = fc.array(
  fc.record<RiskFinding>({
    vulnerability: fc.nat(12).map((number) => `CVE-2024-${String(number)}`),
    chance: fc.oneof(fc.double({ min: 0, max: 1, noNaN: true }), fc.constantFrom(0, 1, 1e-9)),
    status: fc.constantFrom(...statuses),
    effect: fc.constantFrom('blocks', 'reduces'),
  }),
  { maxLength: 20 },
);
const open = (vulnerability: string, chance: number, more: Partial<RiskFinding> = {}): RiskFinding => ({
  vulnerability,
  chance,
  status: 'open',
  ...more,
});

describe('risk of an asset', () => {
  test.each([
    ['nothing found', 5, [], 0],
    ['one certain', 5, [open('a', 1)], 200],
    ['the least critical', 1, [open('a', 1)], 40],
    ['two', 5, [open('a', 1), open('b', 1)], 360],
    ['one vulnerability in two packages', 5, [open('a', 1), open('a', 1)], 200],
    ['fixed in one package, open in another', 5, [open('a', 1, { status: 'fixed' }), open('a', 1)], 200],
    ['restart pending', 5, [open('a', 1, { status: 'restart_pending' })], 200],
    ['reboot pending', 5, [open('a', 1, { status: 'reboot_pending' })], 200],
    ['blocked', 5, [open('a', 1, { status: 'mitigated', effect: 'blocks' })], 10],
    ['reduced', 5, [open('a', 1, { status: 'mitigated', effect: 'reduces' })], 100],
    ['mitigated, nobody says how', 5, [open('a', 1, { status: 'mitigated' })], 100],
    ['undetermined', 5, [open('a', 1, { status: 'undetermined' })], 100],
    ['accepted', 5, [open('a', 1, { status: 'accepted' })], 0],
  ] as const)('%s', (_, criticality, found, expected) => {
    expect(assetRisk(criticality, found).risk).toBeCloseTo(expected, 9);
  });

  test('shows apart what is accepted and what is undetermined, and what each would remove', () => {
    const risk = assetRisk(5, [
      open('a', 1),
      open('b', 1, { status: 'accepted' }),
      open('c', 1, { status: 'undetermined' }),
    ]);
    expect(risk.accepted.vulnerabilities).toBe(1);
    expect(risk.accepted.risk_with_accepted).toBeCloseTo(1000 * (1 - 0.8 * 0.8 * 0.9), 9);
    expect(risk.undetermined.vulnerabilities).toBe(1);
    expect(risk.undetermined.risk_without).toBeCloseTo(200, 9);
    expect(risk.factors.map(({ vulnerability }) => vulnerability)).toEqual(['a', 'c']);
    expect(risk.factors[0]?.removed_if_fixed).toBeCloseTo(risk.risk - 100, 9);
    expect(risk.factors[0]?.alone).toBeCloseTo(200, 9);
  });

  test('a chance or a criticality that is none is a bug', () => {
    expect(() => assetRisk(5, [open('a', 1.1)])).toThrow('no probability');
    expect(() => criticalityWeight(0)).toThrow('no criticality');
  });
});

describe('monotone', () => {
  test('finding anything never lowers it, fixing anything never raises it', () => {
    fc.assert(
      fc.property(criticalities, findings, findings, (criticality, found, more) => {
        const less = assetRisk(criticality, found).risk;
        expect(assetRisk(criticality, [...found, ...more]).risk).toBeGreaterThanOrEqual(less - 1e-9);
        for (const index of found.keys())
          expect(assetRisk(criticality, found.toSpliced(index, 1)).risk).toBeLessThanOrEqual(less + 1e-9);
      }),
    );
  });

  test('a higher chance, a status that leaves more, or more criticality never lowers it', () => {
    const order: Partial<RiskFinding>[] = [
      { status: 'fixed' },
      { status: 'mitigated', effect: 'blocks' },
      { status: 'mitigated', effect: 'reduces' },
      { status: 'undetermined' },
      { status: 'restart_pending' },
      { status: 'reboot_pending' },
      { status: 'open' },
    ];
    fc.assert(
      fc.property(
        criticalities,
        findings,
        fc.double({ min: 0, max: 1, noNaN: true }),
        (level, found, chance) => {
          let before = 0;
          for (const status of order) {
            const { risk } = assetRisk(level, [...found, open('x', chance, status)]);
            expect(risk).toBeGreaterThanOrEqual(before - 1e-9);
            before = risk;
          }
          expect(assetRisk(level, [...found, open('x', 1)]).risk).toBeGreaterThanOrEqual(before - 1e-9);
          const risks = ([1, 2, 3, 4, 5] as const).map((one) => assetRisk(one, found).risk);
          expect(risks).toEqual([...risks].sort((a, b) => a - b));
        },
      ),
    );
  });

  test('thousands of tiny chances are not lost, and thousands of certain ones do not overflow', () => {
    const many = (count: number, chance: number): RiskFinding[] =>
      Array.from({ length: count }, (_, index) => open(`CVE-${String(index)}`, chance));
    expect(assetRisk(5, many(5000, 1e-14)).risk / (1000 * 5000 * 0.2 * 1e-14)).toBeCloseTo(1, 9);
    expect(assetRisk(5, many(5000, 1)).risk).toBe(1000);
  });
});

describe('bulk', () => {
  /** Software lists vulnerabilities, assets list software; some software share all their vulnerabilities. */
  const fleets = fc
    .record({
      chance: fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { minLength: 1, maxLength: 30 }),
      sources: fc.array(fc.uniqueArray(fc.nat(29), { maxLength: 6 }), { minLength: 1, maxLength: 8 }),
      software: fc.array(fc.nat(7), { minLength: 1, maxLength: 20 }),
      assets: fc.array(
        fc.record({ criticality: criticalities, software: fc.uniqueArray(fc.nat(19), { maxLength: 20 }) }),
        { maxLength: 20 },
      ),
    })
    .map(({ chance, sources, software, assets }) => ({
      chance,
      vulnerabilitiesOf: software.map((source) =>
        (sources[source % sources.length] ?? []).filter((vulnerability) => vulnerability < chance.length),
      ),
      group: software.map((source) => source % sources.length),
      assets: assets.map(({ criticality, software: own }) => ({
        criticality,
        software: own.filter((one) => one < software.length),
      })),
    }));
  const csr = (rows: readonly (readonly number[])[]): { offsets: Uint32Array; items: Uint32Array } => {
    const offsets = new Uint32Array(rows.length + 1);
    for (const [index, row] of rows.entries()) offsets[index + 1] = (offsets[index] ?? 0) + row.length;
    return { offsets, items: Uint32Array.from(rows.flat()) };
  };

  test('against the exact definition: never too low, and too high by no more than the stated bound', () => {
    fc.assert(
      fc.property(fleets, fc.boolean(), ({ chance, vulnerabilitiesOf, group, assets }, single) => {
        const logs = softwareLogSurvivals(csr(vulnerabilitiesOf), Float64Array.from(chance));
        const rows = csr(assets.map(({ software }) => software));
        const criticality = Uint8Array.from(assets, (asset) => asset.criticality);
        const out = new Float32Array(assets.length);
        const grouped = new Float32Array(assets.length);
        const lists = { offsets: rows.offsets, software: rows.items };
        const used = single ? Float32Array.from(logs) : logs;
        assetRisks(lists, used, criticality, out);
        // Group numbers must be below the number of software.
        const numbers = new Map([...new Set(group)].map((source, index) => [source, index]));
        assetRisks(lists, used, criticality, grouped, {
          group: Uint16Array.from(group, (source) => numbers.get(source) ?? 0),
        });
        for (const [index, asset] of assets.entries()) {
          const all = asset.software.flatMap((one) => vulnerabilitiesOf[one] ?? []);
          const exact = assetRisk(
            asset.criticality,
            all.map((one) => open(String(one), chance[one] ?? 0)),
          );
          const repeated = (ids: readonly number[]): number =>
            Math.max(1, ...[...new Set(ids)].map((id) => ids.filter((other) => other === id).length));
          const atMost = (times: number): number =>
            assetRiskConstants.mostRisk * exact.weight * (1 - (1 - exact.chance) ** times);
          expect(out[index]).toBeGreaterThanOrEqual(exact.risk - 0.001);
          expect(out[index]).toBeLessThanOrEqual(atMost(repeated(all)) + 0.001);
          const sources = [...new Set(asset.software.map((one) => group[one]))];
          const once = sources.flatMap((source) => vulnerabilitiesOf[group.indexOf(source ?? 0)] ?? []);
          expect(grouped[index]).toBeGreaterThanOrEqual(exact.risk - 0.001);
          expect(grouped[index]).toBeLessThanOrEqual(atMost(repeated(once)) + 0.001);
        }
      }),
      { numRuns: 500 },
    );
  });

  test('what an asset has mitigated is taken out by its own correction', () => {
    const logs = Float64Array.of(Math.log1p(-0.2), Math.log1p(-0.1));
    const out = new Float32Array(2);
    const lists = { offsets: Uint32Array.of(0, 2, 4), software: Uint16Array.of(0, 1, 0, 1) };
    assetRisks(lists, logs, Uint8Array.of(5, 5), out, {
      assetLogSurvival: Float64Array.of(0, Math.log1p(-0.2 * 0.05) - Math.log1p(-0.2)),
    });
    const exact = assetRisk(5, [open('a', 1, { status: 'mitigated', effect: 'blocks' }), open('b', 0.5)]);
    expect(out[0]).toBeCloseTo(280, 3);
    expect(out[1]).toBeCloseTo(exact.risk, 3);
  });

  test('arrays that do not fit are a bug', () => {
    const lists = { offsets: Uint32Array.of(0, 1), software: Uint16Array.of(0) };
    const logs = Float64Array.of(-1);
    expect(() => assetRisks(lists, logs, Uint8Array.of(1, 2), new Float32Array(1))).toThrow('same assets');
    expect(() => assetRisks(lists, logs, Uint8Array.of(6), new Float32Array(1))).toThrow('from 1 to 5');
  });
});

test('risk of a fleet and of a part of it', () => {
  const risks = Float32Array.from([0, 10, 20, 30, 40, 50, 60, 70, 80, 90]);
  expect(fleetRisk(risks)).toEqual({ assets: 10, sum: 450, mean: 45, p50: 40, p90: 80, p99: 90, most: 90 });
  expect(fleetRisk(risks, Uint32Array.of(1, 3))).toMatchObject({ assets: 2, sum: 40, p50: 10, p90: 30 });
  expect(fleetRisk(new Float32Array())).toEqual({
    assets: 0,
    sum: 0,
    mean: 0,
    p50: 0,
    p90: 0,
    p99: 0,
    most: 0,
  });
  expect(() => fleetRisk(risks, Uint32Array.of(10))).toThrow('no asset');
});
