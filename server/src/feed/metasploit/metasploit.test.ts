import { gzipSync } from 'node:zlib';
import { expect, test } from 'vitest';
import { madeUpFile, readFeed, recordedFile } from '../recorded.ts';
import { metasploit } from './metasploit.ts';

test('the recorded sample: exploits are weaponised, what is no scanner is public', async () => {
  const file = recordedFile(new URL('sample/modules_metadata_base.json', import.meta.url));
  const { records, rejections } = await readFeed(metasploit, file);
  expect(rejections).toEqual([]);
  expect(
    records.map(({ id, facts }) => [
      id,
      facts.map((fact) => (fact.kind === 'threat' ? `${fact.vulnerability} ${fact.threat}` : '')),
    ]),
  ).toEqual([
    ['auxiliary/admin/dcerpc/cve_2020_1472_zerologon', ['CVE-2020-1472 exploit_public']],
    ['exploit/multi/http/log4shell_header_injection', ['CVE-2021-44228 exploit_weaponised']],
    [
      'exploit/multi/http/opmanager_sumpdu_deserialization',
      ['CVE-2020-28653 exploit_weaponised', 'CVE-2021-3287 exploit_weaponised'],
    ],
  ]);
  expect(records[1]?.facts).toEqual([
    {
      kind: 'threat',
      vulnerability: 'CVE-2021-44228',
      threat: 'exploit_weaponised',
      probability: null,
      percentile: null,
      ransomware: null,
      ssvc: null,
      assertedOn: '2021-12-09',
      dueOn: null,
      title: 'Log4Shell HTTP Header Injection',
      reference:
        'https://github.com/rapid7/metasploit-framework/blob/master/modules/exploits/multi/http/log4shell_header_injection.rb',
    },
  ]);
  // Without a day of disclosure, that of the last change.
  expect(records[0]?.facts).toMatchObject([{ assertedOn: '2026-08-07' }]);
});

const module = (name: string, changes: object = {}): [string, object] => [
  `exploit_${name}`,
  {
    name: 'A module',
    fullname: `exploit/${name}`,
    type: 'exploit',
    rank: 0,
    disclosure_date: '2024-01-01',
    mod_time: '2025-05-21 23:32:40 -0500',
    references: ['CVE-2024-0001', 'URL-https://example.org/CVE-2024-0002'],
    ...changes,
  },
];
const list = (...modules: [string, unknown][]): string =>
  JSON.stringify(Object.fromEntries(modules), null, 2);

test('what counts, and what does not', async () => {
  const text = list(
    module('a/none', { references: ['OSVDB-1'] }),
    module('a/post', { type: 'post', fullname: 'post/a' }),
    module('a/odd', { references: ['CVE-CVE-2024-0003', 'cve-2024-0004 ', 'CVE-2024-0003'] }),
    module('a/day', { disclosure_date: null }),
  );
  const { records, rejections } = await readFeed(metasploit, madeUpFile(gzipSync(text)));
  expect(rejections).toEqual([]);
  expect(
    records.map(({ id, facts }) => [
      id,
      ...facts.map((fact) => (fact.kind === 'threat' ? `${fact.vulnerability} ${fact.assertedOn}` : '')),
    ]),
  ).toEqual([
    ['exploit/a/odd', 'CVE-2024-0003 2024-01-01', 'CVE-2024-0004 2024-01-01'],
    ['exploit/a/day', 'CVE-2024-0001 2025-05-22'],
  ]);
  expect(records[0]?.facts[0]).toMatchObject({ reference: 'exploit/a/odd' });
});

test('bad modules are rejections of their record', async () => {
  const text = list(
    module('b/references', { references: 'CVE-2024-0001' }),
    module('b/name', { fullname: 'b' }),
    module('b/code', { references: ['CVE-2024-0001', 'CVE-2024-?'] }),
    module('b/day', { disclosure_date: 'long ago', mod_time: null }),
    ['b/null', null],
  );
  const { records, rejections } = await readFeed(metasploit, madeUpFile(text));
  expect(records.map(({ id, facts }) => [id, facts.length])).toEqual([['exploit/b/code', 1]]);
  expect(rejections.map(({ position, code, record }) => [position, code, record])).toEqual([
    ['module exploit_b/references', 'module_invalid', 'exploit/b/references'],
    ['module exploit_b/name', 'module_invalid', null],
    ['module exploit_b/code', 'reference_invalid', 'exploit/b/code'],
    ['module exploit_b/day', 'day_invalid', 'exploit/b/day'],
    ['module b/null', 'module_invalid', null],
  ]);
});

test.each([
  ['an HTML page', '<html>', 'web_page_instead_of_feed'],
  ['a list', '[1, 2]', 'not_this_format'],
  ['another JSON', '{"a": 1}', 'no_records'],
  ['no modules', '{}', 'no_records'],
  ['an end too early', list(module('a'), module('b')).slice(0, -30), 'file_truncated'],
  ['a cut gzip', gzipSync(list(module('a'))).subarray(0, -9), 'file_truncated'],
])('%s is refused as a whole', async (_, content, code) => {
  await expect(readFeed(metasploit, madeUpFile(content))).rejects.toMatchObject({
    name: 'FeedFormatError',
    code,
  });
});
