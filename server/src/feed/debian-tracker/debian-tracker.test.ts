import { describe, expect, test } from 'vitest';
import type { StatementFact } from '@fixpoint/core/knowledge/facts.ts';
import { madeUpFile, readFeed, recordedFile } from '../recorded.ts';
import { debianTracker } from './debian-tracker.ts';

async function bookworm(release: object): Promise<Partial<StatementFact> | undefined> {
  const text = JSON.stringify({ openssl: { 'CVE-2023-5363': { releases: { bookworm: release } } } });
  const { records } = await readFeed(debianTracker, madeUpFile(text));
  return records[0]?.facts.find((fact) => fact.kind === 'statement');
}

describe('the sample in the published form', () => {
  test('each issue of each source package is a record with its releases by number', async () => {
    const file = recordedFile(new URL('sample/tracker.json', import.meta.url));
    const { records, rejections } = await readFeed(debianTracker, file);
    expect(rejections).toEqual([]);
    expect(records.map(({ id }) => id)).toEqual([
      'openssl/CVE-2023-5363',
      'openssl/CVE-2010-0928',
      'curl/CVE-2024-11053',
      'openssh/CVE-2024-6387',
    ]);
    expect(JSON.parse(records[0]?.raw ?? '')).toHaveProperty('openssl.CVE-2023-5363.debianbug', 1055473);
    const statements = records[0]?.facts.filter((fact) => fact.kind === 'statement') ?? [];
    expect(statements.map(({ release, status, fixedVersion }) => [release, status, fixedVersion])).toEqual([
      ['12', 'fixed', '3.0.11-1~deb12u2'],
      ['13', 'fixed', '3.0.12-1'],
      ['11', 'not_affected', null],
      ['sid', 'fixed', '3.0.12-1'],
    ]);
    expect(
      records[2]?.facts.find((fact) => fact.kind === 'statement' && fact.release === '12'),
    ).toMatchObject({
      status: 'affected',
      fixState: 'deferred',
      note: 'postponed: Minor issue; in the next point update',
    });
  });
});

describe('what a status becomes', () => {
  test.each([
    [
      { status: 'open', urgency: 'unimportant' },
      { status: 'affected', fixState: 'none_yet', note: 'unimportant' },
    ],
    [
      { status: 'open', urgency: 'end-of-life' },
      { status: 'affected', fixState: 'end_of_life', note: 'end-of-life' },
    ],
    [
      { status: 'open', urgency: 'not yet assigned', nodsa: 'Minor issue', nodsa_reason: 'ignored' },
      { status: 'affected', fixState: 'will_not_fix', note: 'ignored: Minor issue' },
    ],
    [
      { status: 'open', nodsa: 'Minor issue', nodsa_reason: '' },
      { status: 'affected', fixState: 'none_yet', note: 'no-dsa: Minor issue' },
    ],
    [{ status: 'undetermined' }, { status: 'undetermined', fixState: 'none_yet', note: 'undetermined' }],
    [
      { status: 'resolved', fixed_version: '0' },
      { status: 'not_affected', fixedVersion: null, note: null },
    ],
    [
      { status: 'resolved', fixed_version: '1-1' },
      { status: 'fixed', fixedVersion: '1-1', fixState: 'available' },
    ],
  ])('%j', async (release, expected) => {
    expect(await bookworm(release)).toMatchObject(expected);
  });
});

describe('bad input', () => {
  test('a bad release, issue or package is a rejection, and everything else is read', async () => {
    const text = JSON.stringify({
      bad: 7,
      curl: {
        'CVE-2024-1': { releases: [] },
        'not an id': { releases: {} },
        'TEMP-0000000-8BA7A3': { releases: {} },
      },
      openssl: {
        'CVE-2023-5363': {
          releases: {
            bookworm: { status: 'resolved' },
            trixie: { status: 'resolved', fixed_version: '3.0.12-1' },
            bullseye: { status: 4 },
            buster: { status: 'removed' },
          },
        },
      },
    });
    const { records, rejections } = await readFeed(debianTracker, madeUpFile(text));
    expect(rejections.map(({ position, code }) => [position, code])).toEqual([
      ['package bad', 'package_not_an_object'],
      ['curl CVE-2024-1', 'record_not_tracker'],
      ['curl not an id', 'id_unknown'],
      ['openssl CVE-2023-5363 bookworm', 'status_unknown'],
      ['openssl CVE-2023-5363 bullseye', 'record_not_tracker'],
      ['openssl CVE-2023-5363 buster', 'status_unknown'],
    ]);
    expect(records.map(({ id, facts }) => [id, facts.length])).toEqual([
      ['curl/TEMP-0000000-8BA7A3', 1],
      ['openssl/CVE-2023-5363', 5],
    ]);
  });

  test('one package that is not JSON is a rejection', async () => {
    const text =
      '{"a": {"CVE-2024-0001": {"releases": {}}}, "b": {nonsense}, "c": {"CVE-2024-0002": {"releases": {}}}}';
    const { records, rejections } = await readFeed(debianTracker, madeUpFile(text));
    expect(records.map(({ id }) => id)).toEqual(['a/CVE-2024-0001', 'c/CVE-2024-0002']);
    expect(rejections).toMatchObject([{ position: 'member 2', code: 'json_invalid' }]);
  });

  test('brackets and quotes inside texts do not end a package, wherever the pieces of the file end', async () => {
    const description = `a "quoted" } ] , \\ ${'x{['.repeat(400)}`;
    const text = JSON.stringify({ a: { 'CVE-2024-0001': { description, releases: {} } } }, null, 3);
    const { records } = await readFeed(debianTracker, madeUpFile(text));
    expect(records[0]?.facts[0]).toMatchObject({ description });
  });

  test.each([
    ['an HTML page', '<html>', 'web_page_instead_of_feed'],
    ['a list', '[{}]', 'not_this_format'],
    ['text', 'hello', 'not_this_format'],
    ['more after the end', '{"a": {}} {"b": {}}', 'not_this_format'],
    ['no package', '{}', 'no_records'],
    ['an end too early', '{"a": {"CVE-2024-0001": {"releases": {}}}, "b": {', 'file_truncated'],
    ['an end too early inside a text', '{"a": {"CVE-2024-0001": {"rel', 'file_truncated'],
    ['an end too early between packages', '{"a": {"CVE-2024-0001": {"releases": {}}},', 'file_truncated'],
  ])('%s is refused as a whole', async (_, text, code) => {
    await expect(readFeed(debianTracker, madeUpFile(text))).rejects.toMatchObject({
      name: 'FeedFormatError',
      code,
    });
  });
});
