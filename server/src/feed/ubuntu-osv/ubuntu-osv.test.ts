import { beforeAll, describe, expect, test } from 'vitest';
import { madeUpFile, readFeed, recordedFile, type Reading } from '../recorded.ts';
import { ubuntuOsv } from './ubuntu-osv.ts';

let sample: Reading;
beforeAll(async () => {
  sample = await readFeed(ubuntuOsv, recordedFile(new URL('sample/records.jsonl', import.meta.url)));
});

const factsOf = (id: string) => sample.records.find((record) => record.id === id)?.facts ?? [];
const statementsOf = (id: string) => factsOf(id).filter((fact) => fact.kind === 'statement');

async function read(changes: object) {
  const record = {
    id: 'USN-7000-1',
    modified: '2025-01-14T08:05:45Z',
    affected: [
      {
        package: { ecosystem: 'Ubuntu:22.04:LTS', name: 'curl' },
        ranges: [{ type: 'ECOSYSTEM', events: [{ introduced: '0' }, { fixed: '7.81.0-1ubuntu1.21' }] }],
      },
    ],
    ...changes,
  };
  const { records, rejections } = await readFeed(ubuntuOsv, madeUpFile(JSON.stringify(record)));
  return { facts: records.flatMap(({ facts }) => facts), rejections };
}

describe('the recorded sample', () => {
  test('every record is read', () => {
    expect(sample.rejections).toEqual([]);
    expect(sample.records.map(({ id }) => id)).toEqual([
      'UBUNTU-CVE-2023-2650',
      'UBUNTU-CVE-2025-10148',
      'USN-6429-1',
      'USN-6429-3',
      'USN-5495-2',
      'LSN-0103-1',
    ]);
  });

  test('a CVE record: the CVE, one vector once, and a statement for each release and channel', () => {
    const facts = factsOf('UBUNTU-CVE-2023-2650');
    expect(facts[0]).toMatchObject({
      kind: 'vulnerability',
      id: 'CVE-2023-2650',
      aliases: ['UBUNTU-CVE-2023-2650'],
    });
    expect(facts.filter(({ kind }) => kind === 'cvss')).toMatchObject([
      { scorer: 'ubuntu-osv', version: '3.1', baseScore: 6.5 },
    ]);
    expect(
      statementsOf('UBUNTU-CVE-2023-2650').map(
        (said) =>
          `${said.release} ${said.channel ?? '-'} ${said.package} ${said.status} ${said.fixedVersion ?? '-'}`,
      ),
    ).toEqual([
      '14.04 pro openssl fixed 1.0.1f-1ubuntu2.27+esm9',
      '16.04 pro openssl fixed 1.0.2g-1ubuntu4.20+esm9',
      '16.04 pro edk2 affected -',
      '16.04 fips-updates openssl fixed 1.0.2g-1ubuntu4.fips.4.20.9',
      '16.04 fips openssl affected -',
      '18.04 - openssl fixed 1.1.1-1ubuntu2.1~18.04.23',
      '18.04 - openssl1.0 fixed 1.0.2n-1ubuntu5.13',
      '18.04 pro edk2 affected -',
      '18.04 fips-updates openssl fixed 1.1.1-1ubuntu2.fips.2.1~18.04.23',
      '18.04 fips openssl affected -',
      '20.04 - openssl fixed 1.1.1f-1ubuntu2.19',
      '20.04 - edk2 affected -',
      '20.04 fips-updates openssl fixed 1.1.1f-1ubuntu2.fips.19',
      '20.04 fips openssl affected -',
      '22.04 - edk2 fixed 2022.02-3ubuntu0.22.04.4',
      '22.04 - nodejs fixed 12.22.9~dfsg-1ubuntu3.4',
      '22.04 - openssl fixed 3.0.2-0ubuntu1.10',
      '22.04 fips-preview openssl fixed 3.0.2-0ubuntu1.10+Fips1',
      '22.04 fips-updates openssl fixed 3.0.2-0ubuntu1.10+Fips1',
    ]);
    expect(statementsOf('UBUNTU-CVE-2023-2650')[0]).toMatchObject({
      ecosystem: 'ubuntu',
      packageKind: 'source',
      note: 'medium',
      advisory: null,
      statedAt: '2025-11-27T08:02:59.280456Z',
    });
  });

  test('no fix, with the priority and its reason', () => {
    const [said] = statementsOf('UBUNTU-CVE-2025-10148');
    expect(said?.note).toMatch(/^low: ./u);
    expect(said).toMatchObject({ status: 'affected', fixState: 'none_yet', fixedVersion: null });
  });

  test('a notice fixes in each release only what its map names there', () => {
    const said = statementsOf('USN-6429-1').map(
      ({ release, vulnerability }) => `${release} ${vulnerability}`,
    );
    expect(said).toEqual(['20.04 CVE-2023-38546', '22.04 CVE-2023-38545', '22.04 CVE-2023-38546']);
    expect(factsOf('USN-6429-1')[0]).toMatchObject({
      kind: 'advisory',
      vulnerabilities: ['CVE-2023-38545', 'CVE-2023-38546'],
      url: 'https://ubuntu.com/security/notices/USN-6429-1',
    });
    // Without a map, everything that is named.
    expect(statementsOf('USN-6429-3').map(({ vulnerability }) => vulnerability)).toEqual([
      'CVE-2023-38545',
      'CVE-2023-38546',
    ]);
    expect(statementsOf('USN-6429-1').map(({ note }) => note)).toEqual(['low', 'high', 'low']);
  });

  test('what repairs a regression, and a Livepatch notice, fix no package', () => {
    expect(factsOf('USN-5495-2').map(({ kind }) => kind)).toEqual(['advisory']);
    expect(factsOf('LSN-0103-1')).toMatchObject([{ kind: 'advisory', id: 'LSN-0103-1' }]);
    const [livepatch] = factsOf('LSN-0103-1');
    expect(livepatch?.kind === 'advisory' ? livepatch.vulnerabilities.length : 0).toBeGreaterThan(3);
  });
});

test('a first notice without a CVE is a vulnerability, unless it repairs a regression', async () => {
  expect((await read({ summary: 'NSS update' })).facts.map(({ kind }) => kind)).toEqual([
    'vulnerability',
    'advisory',
    'statement',
  ]);
  const references = [{ type: 'REPORT', url: 'https://ubuntu.com/security/CVE-2022-32205' }];
  expect((await read({ summary: 'curl regression', references })).facts.map(({ kind }) => kind)).toEqual([
    'advisory',
  ]);
  expect((await read({ summary: 'curl vulnerability', references })).facts).toMatchObject([
    { kind: 'advisory', vulnerabilities: ['CVE-2022-32205'] },
    { kind: 'statement', vulnerability: 'CVE-2022-32205' },
  ]);
});

test('a range that a statement cannot express is undetermined; where it begins is kept', async () => {
  const withEvents = (events: object[]) =>
    read({
      id: 'UBUNTU-CVE-2024-1',
      upstream: ['CVE-2024-0001'],
      affected: [
        { package: { ecosystem: 'Ubuntu:22.04:LTS', name: 'curl' }, ranges: [{ type: 'ECOSYSTEM', events }] },
      ],
    });
  const begun = await withEvents([{ introduced: '7.80' }, { fixed: '7.81.0-1ubuntu1.21' }]);
  expect(begun.facts.at(-1)).toMatchObject({ status: 'fixed', introducedVersion: '7.80' });
  const unread = await withEvents([{ introduced: '0' }, { last_affected: '7.80' }]);
  expect(unread.facts.at(-1)).toMatchObject({ vulnerability: 'CVE-2024-0001', status: 'undetermined' });
  expect(unread.rejections).toMatchObject([{ code: 'range_unsupported', record: 'UBUNTU-CVE-2024-1' }]);
});

test('an entry without a release is refused, the record kept', async () => {
  const { facts, rejections } = await read({
    upstream: ['CVE-2024-0001'],
    affected: [{ package: { ecosystem: 'Ubuntu', name: 'curl' } }],
  });
  expect(facts.map(({ kind }) => kind)).toEqual(['advisory']);
  expect(rejections).toMatchObject([{ code: 'release_missing' }]);
});

test('a record of another id about two CVEs is about both', async () => {
  const record = {
    id: 'UBUNTU-TEMP-0000001',
    modified: '2026-01-01T00:00:00Z',
    upstream: ['CVE-2026-0001', 'CVE-2026-0002'],
    affected: [
      {
        package: { ecosystem: 'Ubuntu:22.04:LTS', name: 'demo' },
        ranges: [{ type: 'ECOSYSTEM', events: [{ introduced: '0' }, { fixed: '1.1' }] }],
      },
    ],
  };
  const { records } = await readFeed(ubuntuOsv, madeUpFile(JSON.stringify(record)));
  const facts = records[0]?.facts ?? [];
  expect(facts.flatMap((fact) => (fact.kind === 'statement' ? [fact.vulnerability] : []))).toEqual([
    'CVE-2026-0001',
    'CVE-2026-0002',
  ]);
  expect(facts.flatMap((fact) => (fact.kind === 'vulnerability' ? [fact.aliases] : []))).toEqual([[], []]);
});
