import { expect, test } from 'vitest';
import { readFeed, recordedFile } from '../recorded.ts';
import { opensuseOsv } from './opensuse-osv.ts';

test('the sample: Leap, what is beside it, and Tumbleweed', async () => {
  const { records, rejections } = await readFeed(
    opensuseOsv,
    recordedFile(new URL('sample/records.jsonl', import.meta.url)),
  );
  expect(rejections).toEqual([]);
  const said = records
    .flatMap(({ facts }) => facts)
    .flatMap((fact) => (fact.kind === 'statement' && fact.vulnerability !== 'CVE-2099-10002' ? [fact] : []));
  expect(
    said.map((one) => `${one.advisory ?? ''} ${one.package} ${one.release} ${one.channel ?? '-'}`),
  ).toEqual([
    'openSUSE-SU-2099:0004-1 chromium 15.5 product:Backports SLE',
    'openSUSE-SU-2099:0004-1 chromium 15.5 -',
    'openSUSE-SU-2099:0004-1 opera 15.6 -',
    'openSUSE-SU-2099:0004-1 podman 5.5 product:Leap Micro',
    // SUSE's own notices are Leap's too; their entries for SUSE Linux Enterprise are of another feed.
    'SUSE-SU-2099:0001-1 openssl-3 15.5 -',
    'openSUSE-SU-2099:10073-1 otrs  -',
  ]);
  expect(said[0]).toMatchObject({ ecosystem: 'opensuse', packageKind: 'source', status: 'fixed' });
});
