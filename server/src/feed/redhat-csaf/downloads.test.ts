import { expect, test } from 'vitest';
import { madeUpPublisher } from '../made-up-publisher.ts';
import { readFeed } from '../recorded.ts';
import { redhatDownloads } from './downloads.ts';
import { redhatCsaf } from './redhat-csaf.ts';

const base = 'https://redhat.example/data/csaf/v2/vex/';
const changesOf = (...lines: string[]): string => lines.map((line) => `${line}\n`).join('');

test('the archive first, then what changed since its day, and then the deletions', async () => {
  const { client, content, asked } = madeUpPublisher(base, {
    [`${base}archive_latest.txt`]: 'csaf_vex_2024-09-10.tar.zst\n',
    [`${base}csaf_vex_2024-09-10.tar.zst`]: 'an archive',
    [`${base}changes.csv`]: changesOf(
      '"2024/cve-2024-0003.json","2024-09-13T20:58:30+00:00"',
      '"2024/cve-2024-0002.json","2024-09-11T00:00:00+00:00"',
      '"2024/cve-2024-0001.json","2024-09-09T00:00:00+00:00"',
    ),
    [`${base}2024/cve-2024-0002.json`]: '2',
    [`${base}2024/cve-2024-0003.json`]: '3',
    [`${base}deletions.csv`]: changesOf(
      '"2023/cve-2023-0118.json","2024-03-01T00:00:00+00:00"',
      '"2024/cve-2024-0003.json","2024-03-01T00:00:00+00:00"',
    ),
  });
  const first = await redhatDownloads.plan(client, { state: null });
  expect([first.files.map(({ name }) => name), first.more]).toEqual([['archive'], true]);
  const second = await redhatDownloads.plan(client, { state: first.state });
  expect(second.files.map(({ url, name }) => url ?? name)).toEqual([
    `${base}2024/cve-2024-0002.json`,
    `${base}2024/cve-2024-0003.json`,
    'deleted.jsonl',
  ]);
  const deleted = second.files.at(-1);
  if (deleted === undefined) throw new Error('a file');
  const { records } = await readFeed(redhatCsaf, { name: 'deleted.jsonl', bytes: deleted.open() });
  // CVE-2024-0003 has come back since.
  expect(records.map(({ id, facts }) => [id, facts])).toEqual([['CVE-2023-0118', []]]);
  asked.length = 0;
  const third = await redhatDownloads.plan(client, { state: second.state });
  expect([third.files, third.more ?? false]).toEqual([[], false]);
  expect(asked).toEqual([`${base}changes.csv`, `${base}deletions.csv`]);
  content.set(`${base}deletions.csv`, changesOf('2024/cve-2024-0002.json,2024-10-01T00:00:00+00:00'));
  const fourth = await redhatDownloads.plan(client, { state: third.state });
  expect(fourth.files.map(({ name }) => name)).toEqual(['deleted.jsonl']);
});

test.each([
  ['an archive that is somewhere else', 'archive_latest.txt', '../../x.tar.zst'],
  ['a document that is somewhere else', 'changes.csv', '"../../etc/passwd","2024-09-13T20:58:30+00:00"'],
])('%s is refused', async (_, file, text) => {
  const { client } = madeUpPublisher(base, {
    [`${base}archive_latest.txt`]: 'csaf_vex_2024-09-10.tar.zst',
    [`${base}csaf_vex_2024-09-10.tar.zst`]: 'an archive',
    [`${base}${file}`]: text,
  });
  const plans = async (): Promise<void> => {
    const first = await redhatDownloads.plan(client, { state: null });
    await redhatDownloads.plan(client, { state: first.state });
  };
  await expect(plans()).rejects.toMatchObject({ code: 'index_unusable' });
});
