import fc from 'fast-check';
import { expect, test } from 'vitest';
import { assetSet } from '@fixpoint/core/posture/asset-set.ts';
import type { FleetReading } from '@fixpoint/core/posture/reading.ts';
import { atOnce } from '@fixpoint/core/posture/select/selection.ts';
import { fleetRisk } from '@fixpoint/core/risk/bulk-risk.ts';
import { riskSpread } from './risk-spread.ts';

test('is what sorting all risks gives, to a hundredth', () => {
  fc.assert(
    fc.property(fc.array(fc.float({ min: 0, max: 1000, noNaN: true }), { maxLength: 60 }), (risks) => {
      const ids = risks.map((_, i) => i + 1);
      // Of the fleet only these two are asked.
      // oxlint-disable-next-line typescript/no-unsafe-type-assertion
      const fleet = {
        risk: (id: number) => risks[id - 1] ?? 0,
        openFindings: (id: number) => ((risks[id - 1] ?? 0) > 0 ? 1 : 0),
      } as unknown as FleetReading;
      const spread = atOnce(riskSpread(fleet, assetSet(ids)));
      const sorted = fleetRisk(Float32Array.from(risks));
      for (const name of ['sum', 'mean', 'most'] as const) expect(spread[name]).toBeCloseTo(sorted[name], 2);
      for (const name of ['p50', 'p90', 'p99'] as const)
        expect(Math.abs(spread[name] - sorted[name])).toBeLessThanOrEqual(0.0101);
      expect(spread.bands.reduce((sum, { assets }) => sum + assets, 0)).toBe(risks.length);
      expect(spread.withOpenFindings).toBe(risks.filter((risk) => risk > 0).length);
    }),
  );
});
