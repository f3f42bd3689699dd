import { expect, test } from 'vitest';
import { madeUpFile, readFeed, recordedFile } from '../recorded.ts';
import { wolfiSecdb } from './wolfi-secdb.ts';

test('the sample in the published form: no release, and records of the repository', async () => {
  const file = recordedFile(new URL('sample/security.json', import.meta.url));
  const { records, rejections } = await readFeed(wolfiSecdb, file);
  expect(rejections).toEqual([]);
  expect(records.map(({ id }) => id)).toEqual(['os/openssl', 'os/py3-jinja2']);
  expect(records[0]?.facts).toMatchObject([
    {
      ecosystem: 'wolfi',
      release: '',
      package: 'openssl',
      vulnerability: 'CVE-2022-1292',
      status: 'not_affected',
    },
    { ecosystem: 'wolfi', release: '', vulnerability: 'CVE-2024-0727', fixedVersion: '3.1.4-r5' },
  ]);
});

test.each([
  ['a file of Alpine’s', { distroversion: 'v3.18', reponame: 'main', packages: [] }, 'not_this_format'],
  ['an empty one', { reponame: 'os', packages: [] }, 'no_records'],
])('%s is refused', async (_, content, code) => {
  await expect(readFeed(wolfiSecdb, madeUpFile(JSON.stringify(content)))).rejects.toMatchObject({ code });
});
