/**
 * The OSV feeds over the full public snapshots, in the published layout, where those lie beside the repository. Prints what
 * it counts, so that a change of the reader shows how much of the real data it moves.
 */
import { expect, test } from 'vitest';
import type { FeedId } from '@fixpoint/core/knowledge/facts.ts';
import {
  almalinuxOsvZip,
  debianOsvZip,
  mixedOsvZip,
  redhatOsvZip,
  rockyOsvZip,
  ubuntuOsvZip,
} from '../extract/osv-zips.ts';
import { sharedFeedsMissing } from '../extract/shared-feeds.ts';
import type { FeedFile } from '../feed.ts';
import { feedOf } from '../feeds.ts';

if (sharedFeedsMissing !== null) console.warn(`osv/full-data.test.ts: ${sharedFeedsMissing}`);
const testOfFullData = test.skipIf(sharedFeedsMissing !== null);

async function count(id: FeedId, file: FeedFile) {
  const found = {
    records: 0,
    rejected: 0,
    advisories: 0,
    statements: 0,
    /** Statements about modular builds, and those of them whose stream nothing names. */
    modular: 0,
    streamUnknown: 0,
    fixed: 0,
    affected: 0,
    not_affected: 0,
    undetermined: 0,
  };
  const channels = new Set<string>();
  const started = performance.now();
  for await (const item of feedOf(id).parse(file)) {
    if (item.outcome === 'rejection') {
      found.rejected++;
      console.log(`${id}: ${item.code}: ${item.message}`);
      continue;
    }
    found.records++;
    for (const fact of item.facts) {
      if (fact.kind === 'advisory') found.advisories++;
      if (fact.kind !== 'statement') continue;
      found.statements++;
      found[fact.status]++;
      if (fact.module !== null) found.modular++;
      if (fact.module === '?') found.streamUnknown++;
      if (fact.channel !== null) channels.add(fact.channel);
    }
  }
  const seconds = (performance.now() - started) / 1000;
  console.log(
    `${id} (${file.name}): ${JSON.stringify(found)}, ${String(channels.size)} channels, ${String(Math.round(found.records / seconds))} records/s`,
  );
  return { ...found, channels: [...channels].sort() };
}

const limit = { timeout: 120_000 };

testOfFullData('AlmaLinux: all errata', limit, async () => {
  const found = await count('almalinux-osv', await almalinuxOsvZip());
  expect(found).toMatchObject({ records: 5680, rejected: 0, advisories: 5680, channels: [] });
  expect(found.statements).toBe(268_740);
  expect(found.streamUnknown / found.modular).toBeLessThan(0.005);
});

testOfFullData('Rocky Linux: all errata', limit, async () => {
  const found = await count('rocky-osv', await rockyOsvZip());
  expect(found).toMatchObject({ records: 1491, rejected: 0, channels: ['product:sig-cloud'] });
  expect(found.streamUnknown / found.modular).toBeLessThan(0.005);
});

testOfFullData('Red Hat: a sample of errata', limit, async () => {
  const found = await count('redhat-osv', await redhatOsvZip());
  expect(found).toMatchObject({ records: 900, rejected: 0 });
  expect(found.channels).toContain('eus:9.2');
  expect(found.channels).toContain('product:satellite:6.16');
  // The modules without a stream are Red Hat's own summaries: pki-core, container-tools, varnish, Certificate System.
  expect(found.streamUnknown / found.modular).toBeLessThan(0.02);
});

testOfFullData('Debian and Ubuntu', limit, async () => {
  expect(await count('debian-osv', await debianOsvZip())).toMatchObject({
    records: 17_624,
    rejected: 0,
    statements: 66_577,
    channels: [],
  });
  const ubuntu = await count('ubuntu-osv', await ubuntuOsvZip());
  expect(ubuntu).toMatchObject({
    records: 3244,
    rejected: 0,
    channels: ['fips', 'fips-preview', 'fips-updates', 'pro'],
  });
});

testOfFullData.each([
  ['debian-osv', 'debian', 120],
  ['ubuntu-osv', 'ubuntu', 124],
  ['almalinux-osv', 'almalinux', 121],
  ['rocky-osv', 'rocky', 116],
  ['alpine-osv', 'alpine', 204],
] as const)('current records: %s', limit, async (id, ecosystem, records) => {
  expect(await count(id, await mixedOsvZip(ecosystem))).toMatchObject({ records, rejected: 0 });
});
