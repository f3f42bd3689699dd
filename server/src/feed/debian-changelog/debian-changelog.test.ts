import { plainStatement } from '@fixpoint/core/knowledge/facts.ts';
import { describe, expect, test } from 'vitest';
import { madeUpFile, readFeed, recordedFile, type Reading } from '../recorded.ts';
import { debianChangelog } from './debian-changelog.ts';

const entry = (header: string, body: string, date = 'Wed, 23 Sep 2026 10:52:17 +0700'): string =>
  `${header}\n\n  * ${body}\n\n -- A Maintainer <a@example.org>  ${date}\n`;

function fixes({ records }: Reading): (string | null)[][] {
  return records.flatMap(({ facts }) =>
    facts.flatMap((fact) =>
      fact.kind === 'statement' ? [[fact.package, fact.release, fact.vulnerability, fact.fixedVersion]] : [],
    ),
  );
}

describe('the recorded sample', () => {
  const sample = (): Promise<Reading> =>
    readFeed(debianChangelog, recordedFile(new URL('sample/changelog.txt', import.meta.url)));

  test('each entry is a record, with its text', async () => {
    const { records, rejections } = await sample();
    expect(rejections).toEqual([]);
    expect(records.map(({ id }) => id)).toEqual([
      'curl/7.88.1-10+deb12u13',
      'glibc/2.36-9+deb12u7',
      'libarchive/3.6.2-1+deb12u5',
      'openssl/3.0.11-1~deb12u2',
      'openssl/3.0.22-1~deb12u1',
      'openssl/3.0.22-1~deb12u2',
      'osslsigncode/2.9-1~bpo12+1',
      'apache2/2.4.62-1~deb12u2',
    ]);
    expect(records[3]?.raw).toBe(
      [
        'openssl (3.0.11-1~deb12u2) bookworm-security; urgency=medium',
        '',
        '  * CVE-2023-5363 (Incorrect cipher key and IV length processing).',
        '',
        ' -- Sebastian Andrzej Siewior <sebastian@breakpoint.cc>  Mon, 23 Oct 2023 19:52:22 +0200',
      ].join('\n'),
    );
    expect(records[3]?.facts).toEqual([
      {
        ...plainStatement,
        vulnerability: 'CVE-2023-5363',
        ecosystem: 'debian',
        release: '12',
        package: 'openssl',
        status: 'fixed',
        fixedVersion: '3.0.11-1~deb12u2',
        fixState: 'available',
        note: null,
        advisory: null,
        statedAt: '2023-10-23T17:52:22.000Z',
      },
    ]);
  });

  test('shorthand counts for the CVEs that are written out, and a CVE named for its regression not at all', async () => {
    const found = fixes(await sample());
    expect(found.filter(([source]) => source === 'glibc').map(([, , cve]) => cve)).toEqual([
      'CVE-2024-33599',
      'CVE-2024-33600',
      'CVE-2024-33601',
      'CVE-2024-33602',
    ]);
    expect(found.filter(([source]) => source === 'curl' || source === 'apache2')).toEqual([]);
  });
});

describe('the release of an entry', () => {
  test.each([
    ['x (1-1+deb12u1) bookworm; urgency=low', '12'],
    ['x (1-1) bookworm-security; urgency=low', '12'],
    ['x (1-1) bookworm-proposed-updates bookworm; urgency=low', '12'],
    ['x (1-1~deb12u1) unstable; urgency=low', '12'],
    ['x (1-1+deb12u5) bullseye-security; urgency=low', '12'],
    ['x (1-1+deb11u5) bullseye-security; urgency=low', '11'],
    ['x (1-1) unstable; urgency=low', null],
    ['x (1-1~bpo12+1) bookworm-backports; urgency=low', null],
    ['x (1-1) UNRELEASED; urgency=low', null],
  ])('%s', async (header, release) => {
    const reading = await readFeed(debianChangelog, madeUpFile(entry(header, 'Fix CVE-2026-12345')));
    expect(reading.records).toHaveLength(1);
    expect(fixes(reading).map((row) => row[1])).toEqual(release === null ? [] : [release]);
  });
});

describe('which CVEs an entry names', () => {
  test.each([
    ['Fix CVE-2024-1234 (and cve-2024-1235).', ['CVE-2024-1234', 'CVE-2024-1235']],
    ['CVE-2024-1234, again CVE-2024-1234', ['CVE-2024-1234']],
    ['CVE-2024-1234/5678 and CVE-2024-1234-0001.patch', ['CVE-2024-1234']],
    ['debian/patches/CVE-2026-123640.patch', ['CVE-2026-123640']],
    ['CVE-2024-123, CVE-24-12345, XCVE-2024-1234', []],
    ['Fix CVE-2024-1234 regression', []],
    ['fix regression of\n    CVE-2024-1234', []],
    ['Fix a regression in foo (CVE-2024-1234)', ['CVE-2024-1234']],
  ])('%j', async (body, cves) => {
    const reading = await readFeed(
      debianChangelog,
      madeUpFile(entry('x (1-1+deb12u1) bookworm; urgency=low', body)),
    );
    expect(fixes(reading).map((row) => row[2])).toEqual(cves);
  });
});

describe('bad input', () => {
  const good = entry('good (1-1) bookworm; urgency=low', 'CVE-2024-1234');

  test.each([
    [
      'an entry without its trailer',
      'bad (1-1) bookworm; urgency=low\n\n  * CVE-2024-1\n',
      'entry_not_signed',
    ],
    [
      'a date that is none',
      entry('bad (1-1) bookworm; urgency=low', 'x', 'Wed, 99 Foo 2026'),
      'date_invalid',
    ],
    [
      'a trailer without address',
      'bad (1-1) bookworm; urgency=low\n\n  * x\n\n -- nobody\n',
      'trailer_invalid',
    ],
    ['a header that is none', entry('bad 1-1 bookworm', 'CVE-2024-1'), 'header_invalid'],
  ])('%s is a rejection, and the entries around it are read', async (_, bad, code) => {
    const { records, rejections } = await readFeed(debianChangelog, madeUpFile([good, bad, good].join('\n')));
    expect(records.map(({ id }) => id)).toEqual(['good/1-1', 'good/1-1']);
    expect(rejections).toMatchObject([{ code }]);
  });

  test('a last entry that is cut short is a rejection', async () => {
    const cut = entry('cut (2-1) bookworm; urgency=low', 'CVE-2024-1234').slice(0, 50);
    const { records, rejections } = await readFeed(debianChangelog, madeUpFile(`${good}\n${cut}`));
    expect(records).toHaveLength(1);
    expect(rejections).toMatchObject([{ code: 'entry_not_signed', position: 'line 7' }]);
  });

  test.each([
    ['an HTML page', '<html>', 'web_page_instead_of_feed'],
    ['JSON', '{"a": 1}', 'not_this_format'],
    ['blank lines', '\n\n', 'no_records'],
    ['only a broken entry', 'bad (1-1) bookworm; urgency=low\n', 'no_records'],
  ])('%s is refused as a whole', async (_, text, code) => {
    await expect(readFeed(debianChangelog, madeUpFile(text))).rejects.toMatchObject({
      name: 'FeedFormatError',
      code,
    });
  });
});
