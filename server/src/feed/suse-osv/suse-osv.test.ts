import { expect, test } from 'vitest';
import { readFeed, recordedFile } from '../recorded.ts';
import { suseOsv } from './suse-osv.ts';

test('the sample: each product of SUSE Linux Enterprise once, other ecosystems passed over', async () => {
  const { records, rejections } = await readFeed(
    suseOsv,
    recordedFile(new URL('sample/records.jsonl', import.meta.url)),
  );
  expect(rejections).toEqual([]);
  const [openssl, xz, zypper] = records.map(({ facts }) => facts);
  expect(openssl?.[0]).toMatchObject({
    kind: 'advisory',
    id: 'SUSE-SU-2099:0001-1',
    url: 'https://www.suse.com/support/update/announcement/2099/suse-su-20990001-1/',
  });
  const said = (openssl ?? []).flatMap((fact) =>
    fact.kind === 'statement' && fact.vulnerability === 'CVE-2099-10001' ? [fact] : [],
  );
  expect(said.map((one) => `${one.package} ${one.release} ${one.channel ?? '-'}`)).toEqual([
    'openssl-3 15.5 -',
    'openssl-1_1 12.5 ltss',
    'openssl-1_1 12.5 ltss-extended-security',
    'openssl-3-livepatches 15.5 product:Linux Enterprise Live Patching',
    'openssl-3 15.5 product:Linux Enterprise Server for SAP Applications',
  ]);
  expect(said[0]).toMatchObject({
    ecosystem: 'suse',
    packageKind: 'source',
    status: 'fixed',
    fixedVersion: '3.0.8-150500.5.36.1',
  });
  // A security update without a CVE is a vulnerability of its own name, another kind of update is none.
  expect(xz?.map(({ kind }) => kind)).toEqual(['vulnerability', 'advisory', 'statement']);
  expect(zypper?.map(({ kind }) => kind)).toEqual(['advisory']);
});
