/** Questions by when findings were first seen, answered by sets of a real fleet, against the findings themselves. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { parse } from '../../query/parse.ts';
import { Fleet } from '../fleet.ts';
import { assetFacts, softwareFacts, start, vulnerabilityFacts, vulnerabilityIds } from '../test-fleets.ts';
import { selectFindings } from './select.ts';
import { atOnce } from './selection.ts';

const day = 86_400_000;
const epoch = Date.UTC(2020, 0, 1);
const softwareCount = 7;
/** Days before the start. Verdicts are up to 400 days old. */
const days = fc.integer({ min: 1, max: 450 });

const universe = fc.record({
  software: fc.tuple(...Array.from({ length: softwareCount }, (_, index) => softwareFacts(index + 1))),
  vulnerabilities: fc.tuple(...vulnerabilityIds.map(vulnerabilityFacts)),
  assets: fc.tuple(...[1, 2, 3, 4].map((id) => assetFacts(id, softwareCount))),
  /** By asset, since when it has what is installed: before the verdicts, or between them. */
  installed: fc.array(days, { minLength: 5, maxLength: 5 }),
  kept: fc.array(
    fc.dictionary(
      fc
        .tuple(fc.constantFrom(...vulnerabilityIds), fc.constantFrom('openssl', 'curl', 'linux'))
        .map((finding) => finding.join('\t')),
      days,
      { maxKeys: 4 },
    ),
    { minLength: 5, maxLength: 5 },
  ),
});

test('first_seen, also of findings that are older than their software', () => {
  let older = 0;
  fc.assert(
    fc.property(universe, fc.array(days, { minLength: 4, maxLength: 4 }), (of, moments) => {
      const secondsBefore = (ago: number): number => (start - ago * day - epoch) / 1000;
      const fleet = new Fleet();
      fleet.apply(
        {
          software: of.software,
          vulnerabilities: of.vulnerabilities,
          assets: of.assets.map((asset) => ({
            ...asset,
            since: Array.from(asset.software, () => secondsBefore(of.installed[asset.id] ?? 0)),
            stale: [],
            firstSeen: Object.fromEntries(
              Object.entries(of.kept[asset.id] ?? {}).map(([key, ago]) => [key, secondsBefore(ago)]),
            ),
          })),
        },
        { now: start },
      );
      const findings = fleet.assets.live.toArray().flatMap((id) => fleet.findingsOf(id));
      for (const { asset, pair, firstSeenAt } of findings) {
        const key = `${fleet.vulnerability(pair.vulnerability).id}\t${pair.package}`;
        const ago = of.kept[asset]?.[key];
        if (ago !== undefined) expect(firstSeenAt).toBeLessThanOrEqual(start - ago * day);
        if (firstSeenAt === start - (ago ?? 0) * day) older += 1;
      }
      for (const ago of moments) {
        for (const [text, isMeant] of [
          [`first_seen < ${ago}d`, (at: number) => at > start - ago * day],
          [`first_seen >= ${ago}d`, (at: number) => at <= start - ago * day],
          [
            `first_seen ${ago}d..${ago + 30}d`,
            (at: number) => at <= start - ago * day && at >= start - (ago + 30) * day,
          ],
        ] as const) {
          const query = parse(text, 'finding');
          if (!query.ok) throw new Error(query.message);
          const found = [...atOnce(selectFindings(fleet, query.query, start)).byPair]
            .flatMap(([pair, assets]) => assets.toArray().map((asset) => `${text}: ${asset} ${pair}`))
            .toSorted();
          expect(found).toEqual(
            findings
              .filter(({ firstSeenAt }) => isMeant(firstSeenAt))
              .map(({ asset, pair }) => `${text}: ${asset} ${pair.index}`)
              .toSorted(),
          );
        }
      }
    }),
    { numRuns: 150 },
  );
  expect(older).toBeGreaterThan(100);
});
