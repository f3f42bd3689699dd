import { gzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { madeUpFile, readFeed, recordedFile } from '../recorded.ts';
import { debianOsv } from './debian-osv.ts';

const sample = (): Promise<Awaited<ReturnType<typeof readFeed>>> =>
  readFeed(debianOsv, recordedFile(new URL('sample/all.zip', import.meta.url)));

const record = (changes: object): string =>
  JSON.stringify({
    id: 'CVE-2023-5363',
    modified: '2025-01-14T08:05:45.939892Z',
    affected: [
      {
        package: { ecosystem: 'Debian:12', name: 'openssl' },
        ranges: [{ type: 'ECOSYSTEM', events: [{ introduced: '0' }, { fixed: '3.0.11-1~deb12u2' }] }],
      },
    ],
    ...changes,
  });

async function statementsOf(...lines: string[]) {
  const { records, rejections } = await readFeed(debianOsv, madeUpFile(lines.join('\n')));
  return {
    statements: records.flatMap(({ facts }) => facts.filter((fact) => fact.kind === 'statement')),
    rejections,
  };
}

const affected = (events: object[], rest: object = {}): object => ({
  affected: [
    {
      package: { ecosystem: 'Debian:12', name: 'openssl' },
      ranges: [{ type: 'ECOSYSTEM', events }],
      ...rest,
    },
  ],
});

describe('the recorded sample', () => {
  test('every record is read', async () => {
    const { records, rejections } = await sample();
    expect(rejections).toEqual([]);
    expect(records.map(({ id }) => id)).toEqual([
      'CVE-2023-5363',
      'CVE-2016-4567',
      'DSA-5532-1',
      'DSA-5562-1',
      'DSA-5729-2',
      'DLA-3942-1',
      'DEBIAN-CVE-2023-2650',
      'DEBIAN-CVE-2023-2975',
      'DEBIAN-CVE-2023-3446',
      'DSA-6015-1',
    ]);
    expect(JSON.parse(records[0]?.raw ?? '')).toMatchObject({ id: 'CVE-2023-5363' });
  });

  test('an advisory states its fixed version for each CVE and release', async () => {
    const { records } = await sample();
    const facts = records.find(({ id }) => id === 'DSA-5532-1')?.facts;
    expect(facts?.[0]).toEqual({
      kind: 'advisory',
      id: 'DSA-5532-1',
      title: 'openssl - security update',
      publishedAt: '2023-10-24T00:00:00Z',
      withdrawnAt: null,
      vulnerabilities: ['CVE-2023-5363'],
      url: 'https://security-tracker.debian.org/tracker/DSA-5532-1',
    });
    expect(facts?.slice(1)).toEqual([
      {
        kind: 'statement',
        vulnerability: 'CVE-2023-5363',
        ecosystem: 'debian',
        release: '12',
        package: 'openssl',
        packageKind: 'source',
        module: null,
        channel: null,
        status: 'fixed',
        introducedVersion: null,
        fixedVersion: '3.0.11-1~deb12u2',
        updates: [],
        fixState: 'available',
        note: null,
        advisory: 'DSA-5532-1',
        statedAt: '2023-10-24T00:00:00Z',
      },
    ]);
  });

  test('an id in the style since 2025 is the CVE, and the other ids of a CVE are aliases', async () => {
    const { records } = await sample();
    const facts = records.find(({ id }) => id === 'DEBIAN-CVE-2023-2975')?.facts;
    expect(facts?.[0]).toMatchObject({
      kind: 'vulnerability',
      id: 'CVE-2023-2975',
      aliases: ['DEBIAN-CVE-2023-2975'],
    });
    expect(facts?.find((fact) => fact.kind === 'statement' && fact.release === '12')).toMatchObject({
      vulnerability: 'CVE-2023-2975',
      fixedVersion: '3.0.10-1~deb12u1',
      advisory: null,
    });
    const advisory = records.find(({ id }) => id === 'DSA-6015-1')?.facts[0];
    expect(advisory).toMatchObject({ vulnerabilities: ['CVE-2025-9230', 'CVE-2025-9232'] });
  });

  test('an advisory without a CVE is a vulnerability; a regression update without one is not', async () => {
    const { records } = await sample();
    const [tor, apache] = ['DSA-5562-1', 'DSA-5729-2'].map(
      (wanted) => records.find(({ id }) => id === wanted)?.facts,
    );
    expect(tor?.map(({ kind }) => kind)).toEqual(['vulnerability', 'advisory', 'statement']);
    expect(tor?.[0]).toMatchObject({ id: 'DSA-5562-1', title: 'tor - security update' });
    expect(apache?.map(({ kind }) => kind)).toEqual(['advisory']);
  });

  test('a git range with an empty package does not cost the record', async () => {
    const { records } = await sample();
    const facts = records.find(({ id }) => id === 'CVE-2016-4567')?.facts ?? [];
    expect(facts.filter(({ kind }) => kind === 'statement').length).toBeGreaterThan(0);
    expect(facts.find(({ kind }) => kind === 'cvss')).toMatchObject({
      scorer: 'nvd-via-osv',
      version: '3.0',
      baseScore: 6.1,
    });
  });
});

describe('what an entry becomes', () => {
  test('no fixed event: affected, with the vendor’s urgency', async () => {
    const unfixed = (urgency: string): string =>
      record(affected([{ introduced: '0' }], { ecosystem_specific: { urgency } }));
    const { statements } = await statementsOf(
      unfixed('not yet assigned'),
      unfixed('unimportant'),
      unfixed('end-of-life'),
    );
    expect(
      statements.map(({ status, fixedVersion, fixState, note }) => [status, fixedVersion, fixState, note]),
    ).toEqual([
      ['affected', null, 'none_yet', null],
      ['affected', null, 'none_yet', 'unimportant'],
      ['affected', null, 'end_of_life', 'end-of-life'],
    ]);
  });

  test('fixed version 0: not affected', async () => {
    const { statements } = await statementsOf(record(affected([{ introduced: '0' }, { fixed: '0' }])));
    expect(statements).toMatchObject([{ status: 'not_affected', fixedVersion: null }]);
  });

  test('releases are kept as they are, other ecosystems passed over', async () => {
    const entry = (ecosystem: string): object => ({
      package: { ecosystem, name: 'x' },
      ranges: [{ type: 'ECOSYSTEM', events: [{ introduced: '0' }, { fixed: '2' }] }],
    });
    const ecosystems = ['Debian:11', 'Debian:6.0', 'Alpine:v3.18', 'Debian', 'Debian:13'];
    const { statements, rejections } = await statementsOf(record({ affected: ecosystems.map(entry) }));
    expect(statements.map(({ release }) => release)).toEqual(['11', '6.0', '13']);
    expect(rejections).toMatchObject([{ code: 'release_missing', position: 'line 1' }]);
  });

  test.each([
    [[{ introduced: '1.0' }, { fixed: '2' }]],
    [[{ introduced: '0' }, { last_affected: '2' }]],
    [[{ introduced: '0' }, { fixed: '2' }, { introduced: '3' }, { fixed: '4' }]],
    [[{ fixed: '2' }]],
    [[]],
  ])(
    'a range that is not "from 0, fixed once" is rejected, the rest of the record kept: %j',
    async (events) => {
      const { records, rejections } = await readFeed(debianOsv, madeUpFile(record(affected(events))));
      const facts = records.flatMap((one) => one.facts);
      expect(facts.map(({ kind }) => kind)).toEqual(['vulnerability', 'statement']);
      expect(facts[1]).toMatchObject({ status: 'undetermined', fixedVersion: null });
      expect(rejections).toMatchObject([{ code: 'range_unsupported' }]);
    },
  );

  test('one whose CVE was rejected is withdrawn too, as OSV’s own records of 2024 show it', async () => {
    const details =
      'Rejected reason: This CVE ID has been rejected or withdrawn by its CVE Numbering Authority.';
    const rejected = await readFeed(debianOsv, madeUpFile(record({ details })));
    expect(rejected.records[0]?.facts).toMatchObject([
      { kind: 'vulnerability', withdrawnAt: '2025-01-14T08:05:45.939892Z' },
    ]);
    // A word about rejecting in the middle of a description is none.
    const other = await statementsOf(record({ details: 'A parser does not reject a negative length.' }));
    expect(other.statements).toHaveLength(1);
  });
  test('a withdrawn record says so and states nothing', async () => {
    const { records } = await readFeed(debianOsv, madeUpFile(record({ withdrawn: '2025-02-01T00:00:00Z' })));
    expect(records[0]?.facts).toMatchObject([{ kind: 'vulnerability', withdrawnAt: '2025-02-01T00:00:00Z' }]);
  });
});

describe('bad input', () => {
  test('one bad line among good ones is a rejection', async () => {
    const { statements, rejections } = await statementsOf(
      record({}),
      '{"id": "CVE-2023-1", nonsense}',
      '{"id": 5}',
      record({ modified: 'yesterday' }),
      record({ published: '2024-02-30T00:00:00Z' }),
      record({ id: 'USN-1-1' }),
      record({ severity: [{ type: 'CVSS_V3', score: 'CVSS:3.1/AV:N' }] }),
      '',
      record({ id: 'CVE-2023-9999' }),
      '',
    );
    expect(rejections.map(({ code, position }) => [code, position])).toEqual([
      ['json_invalid', 'line 2'],
      ['record_not_osv', 'line 3'],
      ['time_invalid', 'line 4'],
      ['time_invalid', 'line 5'],
      ['id_unknown', 'line 6'],
      ['cvss_vector_invalid', 'line 7'],
    ]);
    expect(statements).toHaveLength(3);
    expect(rejections[0]?.excerpt).toContain('nonsense');
  });

  test('half a surrogate pair does not reach the store', async () => {
    const { records } = await readFeed(
      debianOsv,
      madeUpFile(record({}).replace('{', '{"details":"a\\ud800b",')),
    );
    expect(records[0]?.facts[0]).toMatchObject({ description: 'a�b' });
  });

  test.each([
    ['an HTML page', '<!DOCTYPE html><html>503</html>', 'web_page_instead_of_feed'],
    ['nothing', '', 'file_empty'],
    ['another format', 'cve,epss,percentile\n', 'not_this_format'],
    ['a record cut short', `${record({})}\n${record({}).slice(0, 100)}`, 'file_truncated'],
    ['an indented record cut short', '{\n  "id": "CVE-2023-5363",\n  "modified"', 'file_truncated'],
    ['only records of others', `${record({ id: 'USN-1-1' })}\n`, 'no_records'],
    ['a cut gzip', gzipSync(record({}).repeat(50)).subarray(0, 200), 'file_truncated'],
    ['a damaged gzip', Buffer.concat([gzipSync('x').subarray(0, 10), Buffer.alloc(50, 255)]), 'gzip_damaged'],
  ])('%s is refused as a whole', async (_, content, code) => {
    await expect(readFeed(debianOsv, madeUpFile(content))).rejects.toMatchObject({
      name: 'FeedFormatError',
      code,
    });
  });

  test('an outage of the source is thrown on as it is', async () => {
    async function* broken(): AsyncGenerator<Uint8Array> {
      yield gzipSync(`${record({})}\n`).subarray(0, 30);
      throw new Error('connection reset');
    }
    await expect(readFeed(debianOsv, { name: 'x', bytes: broken() })).rejects.toThrow('connection reset');
  });
});
