/** The reader over all of the public snapshot, where it lies beside the repository; prints what it counts. */
import { expect, test } from 'vitest';
import { parseApk } from '@fixpoint/core/version/apk.ts';
import { tarEntries } from '../archive.ts';
import { sharedFeedsMissing, zstdFile } from '../extract/shared-feeds.ts';
import { openInput } from '../input.ts';
import { madeUpFile, readFeed } from '../recorded.ts';
import { alpineSecdb } from './alpine-secdb.ts';

if (sharedFeedsMissing !== null) console.warn(`alpine-secdb/full-data.test.ts: ${sharedFeedsMissing}`);

test.skipIf(sharedFeedsMissing !== null)('every repository of every release from 3.2 on', async () => {
  const input = await openInput(zstdFile('alpine-secdb/alpine-secdb.tar.zst'));
  const found = { files: 0, records: 0, fixed: 0, not_affected: 0, vulnerabilities: 0, incomparable: 0 };
  const rejected: string[] = [];
  for await (const entry of tarEntries(input, (name) => name.endsWith('.json'))) {
    if (entry.outcome === 'rejection') throw new Error(entry.message);
    const { records, rejections } = await readFeed(alpineSecdb, madeUpFile(entry.bytes, entry.name));
    found.files++;
    found.records += records.length;
    for (const { position, message } of rejections) rejected.push(`${position}: ${message}`);
    for (const fact of records.flatMap(({ facts }) => facts)) {
      if (fact.kind === 'vulnerability') found.vulnerabilities++;
      if (fact.kind !== 'statement') continue;
      if (fact.status === 'not_affected') found.not_affected++;
      else found.fixed++;
      if (fact.fixedVersion !== null && !parseApk(fact.fixedVersion).ok) found.incomparable++;
    }
  }
  console.log(`alpine-secdb: ${JSON.stringify(found)}, rejected ${JSON.stringify(rejected)}`);
  expect(found).toMatchObject({
    files: 41,
    records: 8000,
    fixed: 84_755,
    not_affected: 555,
    vulnerabilities: 350,
  });
  // CVE-46838, in four releases.
  expect(rejected).toHaveLength(4);
  // Versions that apk itself refuses, such as opensmtpd's 6.6.2p1-r0: their packages are undetermined, and not many.
  expect(found.incomparable).toBeLessThan(200);
});
