import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { FeedRecord } from '../feed.ts';
import { textOf } from '../input.ts';
import { madeUpFile, readFeed, recordedFile } from '../recorded.ts';
import { jsonElements, type JsonPiece } from './json-elements.ts';
import { nvd } from './nvd.ts';

const scoresOf = (record: FeedRecord | undefined) =>
  record?.facts.flatMap((fact) =>
    fact.kind === 'cvss' ? [[fact.scorer, fact.version, fact.baseScore]] : [],
  );

test('the sample', async () => {
  const file = recordedFile(new URL('sample/nvdcve-2.0-sample.json', import.meta.url));
  const { records, rejections } = await readFeed(nvd, file);
  expect(rejections).toEqual([]);
  const [heartbleed, fresh, rejected, unscored] = records;
  expect(heartbleed?.facts[0]).toMatchObject({
    id: 'CVE-2014-0160',
    description: 'A sample of our own: over-read of a heap buffer, with "quotes", {braces} and [brackets].',
    publishedAt: '2014-04-07T22:55:03.893Z',
    withdrawnAt: null,
  });
  expect(scoresOf(heartbleed)).toEqual([
    ['nvd', '2.0', 5],
    ['nvd', '3.1', 7.5],
    ['adp:CISA-ADP', '3.1', 7.5],
  ]);
  expect(heartbleed?.facts.at(-1)).toMatchObject({
    threat: 'ssvc',
    assertedOn: '2025-02-07',
    ssvc: { exploitation: 'active', automatable: true, technicalImpact: 'partial' },
  });
  // CPE is not read: no statement about any package comes of it.
  expect(records.some(({ facts }) => facts.some(({ kind }) => kind === 'statement'))).toBe(false);
  expect(scoresOf(fresh)).toEqual([
    ['cna:security@example.org', '3.0', 9.8],
    ['security-advisories@github.com', '3.0', 8.4],
    ['cna:security@example.org', '4.0', 9.3],
  ]);
  expect(rejected?.facts).toMatchObject([{ withdrawnAt: '2024-06-03T08:30:00.000Z' }]);
  expect(unscored?.facts).toMatchObject([{ id: 'CVE-2026-99003', withdrawnAt: null }]);
});

const page = (items: readonly unknown[], changes: object = {}): string =>
  JSON.stringify({
    resultsPerPage: items.length,
    startIndex: 0,
    totalResults: items.length,
    format: 'NVD_CVE',
    version: '2.0',
    timestamp: '2026-01-01T00:00:00.000',
    ...changes,
    vulnerabilities: items,
  });
const item = (changes: object = {}): object => ({
  cve: {
    id: 'CVE-2024-1234',
    published: '2024-01-01T00:00:00.000',
    lastModified: '2024-01-01T00:00:00.000',
    descriptions: [],
    ...changes,
  },
});

test('what does not fit is refused one by one', async () => {
  const vector = 'CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:N/A:N';
  const metrics = {
    cvssMetricV31: [
      { source: 'a@b.c', cvssData: { vectorString: 'CVSS:3.1/AV:N' } },
      { source: 'a@b.c' },
      { source: 'nvd@nist.gov', cvssData: { vectorString: vector } },
      { source: 'nvd@nist.gov', cvssData: { vectorString: vector } },
    ],
    cvssMetricV40: 'none',
    ssvcV203: [{ ssvcData: { options: [] } }],
    cvssMetricV99: [{}],
  };
  const text = page([item({ metrics }), item({ id: 'CVE-1' }), item({ published: 7 }), null]);
  const { records, rejections } = await readFeed(nvd, madeUpFile(gzipSync(text)));
  expect(records.map((record) => [record.id, scoresOf(record)])).toEqual([
    ['CVE-2024-1234', [['nvd', '3.1', 7.5]]],
  ]);
  expect(rejections.map(({ position, code, record }) => [position, code, record])).toEqual([
    ['vulnerabilities[0]', 'cvss_vector_invalid', 'CVE-2024-1234'],
    ['vulnerabilities[0]', 'metric_invalid', 'CVE-2024-1234'],
    ['vulnerabilities[0]', 'metric_invalid', 'CVE-2024-1234'],
    ['vulnerabilities[0]', 'ssvc_invalid', 'CVE-2024-1234'],
    ['vulnerabilities[1]', 'record_not_nvd', null],
    ['vulnerabilities[2]', 'record_not_nvd', 'CVE-2024-1234'],
    ['vulnerabilities[3]', 'record_not_nvd', null],
  ]);
});

test.each([
  ['an HTML page', '<html>', 'web_page_instead_of_feed'],
  ['another JSON', '{"a": 1}', 'no_records'],
  ['a list', `[${page([item()])}]`, 'not_this_format'],
  ['the format that was retired in 2023', '{"CVE_data_format": "MITRE", "CVE_Items": [{}]}', 'no_records'],
  ['a version to come', page([item()], { version: '3.0' }), 'not_this_format'],
  ['no version', page([item()], { version: undefined }), 'not_this_format'],
  ['no vulnerabilities', page([]), 'no_records'],
  ['an end too early', page([item(), item()]).slice(0, -60), 'file_truncated'],
  ['a cut gzip', gzipSync(page([item()])).subarray(0, -9), 'file_truncated'],
])('%s is refused as a whole', async (_, content, code) => {
  await expect(readFeed(nvd, madeUpFile(content))).rejects.toMatchObject({ name: 'FeedFormatError', code });
});

describe('a large object, piece by piece', () => {
  async function read(text: string, size: number): Promise<JsonPiece[]> {
    async function* pieces(): AsyncGenerator<Uint8Array> {
      const bytes = Buffer.from(text);
      for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
    }
    const found: JsonPiece[] = [];
    for await (const piece of jsonElements('made-up', textOf(pieces()), 'list')) found.push(piece);
    return found;
  }

  test('gives what JSON.parse gives, wherever the pieces of the text end', async () => {
    const value = fc.jsonValue({ maxDepth: 3 });
    await fc.assert(
      fc.asyncProperty(
        fc.dictionary(fc.string(), value, { maxKeys: 4 }),
        fc.array(value, { maxLength: 6 }),
        fc.dictionary(fc.string(), value, { maxKeys: 4 }),
        fc.integer({ min: 1, max: 20 }),
        fc.constantFrom(undefined, 1),
        async (before, list, after, size, space) => {
          const object = { ...without(before), list, ...without(after) };
          const found = await read(JSON.stringify(object, null, space), size);
          const elements: unknown[] = found.flatMap((piece) =>
            piece.kind === 'element' ? [JSON.parse(piece.text)] : [],
          );
          expect(elements).toEqual(JSON.parse(JSON.stringify(list)));
          const members = found.flatMap((piece) => (piece.kind === 'member' ? [piece.text] : []));
          const rest: unknown = JSON.parse(`{${members.join(',')}}`);
          const { list: _, ...others } = object;
          expect(rest).toEqual(JSON.parse(JSON.stringify(others)));
        },
      ),
      { numRuns: 300 },
    );
  });

  const without = (object: Readonly<Record<string, unknown>>): Record<string, unknown> =>
    Object.fromEntries(Object.entries(object).filter(([key]) => key !== 'list' && key !== '__proto__'));
});
