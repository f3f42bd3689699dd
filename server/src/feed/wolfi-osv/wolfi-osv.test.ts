import { expect, test } from 'vitest';
import { madeUpFile, readFeed, recordedFile } from '../recorded.ts';
import { wolfiOsv } from './wolfi-osv.ts';

test('the sample: the CVE or GHSA behind the id, each package once, Chainguard passed over', async () => {
  const { records, rejections } = await readFeed(
    wolfiOsv,
    recordedFile(new URL('sample/records.jsonl', import.meta.url)),
  );
  expect(rejections).toEqual([]);
  const [curl, haproxy, zlib] = records.map(({ facts }) => facts);
  expect(curl).toMatchObject([
    {
      kind: 'vulnerability',
      id: 'CVE-2099-20001',
      aliases: ['CGA-2222-2222-2222', 'GHSA-2222-3333-4444'],
    },
    {
      kind: 'statement',
      vulnerability: 'CVE-2099-20001',
      ecosystem: 'wolfi',
      release: '',
      package: 'curl',
      status: 'fixed',
      fixedVersion: '8.8.0-r1',
    },
  ]);
  expect(haproxy).toMatchObject([
    { kind: 'vulnerability', id: 'GHSA-5555-6666-7777', aliases: ['CGA-3333-3333-3333'] },
    { kind: 'statement', status: 'affected', fixState: 'none_yet' },
  ]);
  expect(zlib).toMatchObject([{ id: 'CVE-2099-20002' }, { status: 'not_affected' }]);
});

test('a record about two CVEs is a vulnerability and a statement for each, and an alias of neither', async () => {
  const record = {
    id: 'CGA-5555-5555-5555',
    modified: '2024-01-14T08:05:45Z',
    upstream: ['CVE-2099-20003', 'CVE-2099-20004', 'GHSA-8888-9999-aaaa'],
    severity: [{ type: 'CVSS_V3', score: 'CVSS:3.1/AV:L/AC:L/PR:L/UI:N/S:U/C:H/I:H/A:H' }],
    affected: [
      {
        package: { ecosystem: 'Wolfi', name: 'curl' },
        ranges: [{ type: 'ECOSYSTEM', events: [{ introduced: '0' }, { fixed: '8.8.0-r1' }] }],
      },
    ],
  };
  const { records } = await readFeed(wolfiOsv, madeUpFile(JSON.stringify(record)));
  expect(records[0]?.facts).toMatchObject([
    { kind: 'vulnerability', id: 'CVE-2099-20003', aliases: [] },
    { kind: 'vulnerability', id: 'CVE-2099-20004', aliases: [] },
    { kind: 'statement', vulnerability: 'CVE-2099-20003' },
    { kind: 'statement', vulnerability: 'CVE-2099-20004' },
  ]);
});
