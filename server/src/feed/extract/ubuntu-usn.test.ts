import { expect, test } from 'vitest';
import { readFeed, madeUpFile } from '../recorded.ts';
import { ubuntuOsv } from '../ubuntu-osv/ubuntu-osv.ts';
import { usnRecord, type DerivedNotice } from './ubuntu-usn.ts';

function sourcesOf(packages: string[], fixed: DerivedNotice['fixed']): string[] {
  const notice = { id: 'USN-1-1', feed_date: '2025-01-01', packages, cves: ['CVE-2025-0001'], fixed };
  return usnRecord(notice).record.affected.map(
    (entry) => `${entry.package.ecosystem} ${entry.package.name} ${entry.ranges[0]?.events[1].fixed ?? ''}`,
  );
}

test('a source package, and the channel that its version tells', () => {
  expect(
    sourcesOf(['qemu'], {
      'UBUNTU20.04 LTS': { '1:4.2-3ubuntu6.14': ['qemu-system', 'qemu'] },
      'UBUNTU22.04 LTS': { '1:6.2-2ubuntu6.9+esm1': ['qemu-system'] },
    }),
  ).toEqual(['Ubuntu:20.04:LTS qemu 1:4.2-3ubuntu6.14', 'Ubuntu:Pro:22.04:LTS qemu 1:6.2-2ubuntu6.9+esm1']);
});

test('kernels: the image’s version, by flavour and series, and not that of linux-meta', () => {
  const packages = ['linux', 'linux-aws', 'linux-aws-5.15', 'linux-hwe-5.15', 'linux-lowlatency'];
  expect(
    sourcesOf(packages, {
      'UBUNTU22.04 LTS': {
        '5.15.0-87.97': ['linux-image-5.15.0-87-generic', 'linux-image-5.15.0-87-generic-64k'],
        '5.15.0-87.96': ['linux-image-5.15.0-87-lowlatency'],
        '5.15.0-1048.53': ['linux-image-5.15.0-1048-aws'],
        '5.15.0.87.84': ['linux-image-generic'],
      },
      'UBUNTU20.04 LTS': {
        '5.15.0-1048.53~20.04.1': ['linux-image-5.15.0-1048-aws'],
        '5.15.0-87.97~20.04.1': ['linux-image-5.15.0-87-generic'],
      },
    }),
  ).toEqual([
    'Ubuntu:22.04:LTS linux 5.15.0-87.97',
    'Ubuntu:22.04:LTS linux-lowlatency 5.15.0-87.96',
    'Ubuntu:22.04:LTS linux-aws 5.15.0-1048.53',
    'Ubuntu:20.04:LTS linux-aws-5.15 5.15.0-1048.53~20.04.1',
    'Ubuntu:20.04:LTS linux-hwe-5.15 5.15.0-87.97~20.04.1',
  ]);
});

test('of several sources each gets the version of its binaries; what no name tells is of the first', () => {
  expect(
    sourcesOf(['php7.4', 'php8.1'], { 'UBUNTU22.04 LTS': { '8.1.2-1ubuntu2.20': ['php8.1-cli', 'php8.1'] } }),
  ).toEqual(['Ubuntu:22.04:LTS php8.1 8.1.2-1ubuntu2.20']);
  expect(
    sourcesOf(['openssl', 'openssl1.0'], { 'UBUNTU20.04 LTS': { '1.1.1f-1ubuntu2.19': ['libssl1.1'] } }),
  ).toEqual(['Ubuntu:20.04:LTS openssl 1.1.1f-1ubuntu2.19']);
});

test('the feed reads such a record', async () => {
  const { record } = usnRecord({
    id: 'USN-4467-3',
    feed_date: '2021-02-23',
    packages: ['qemu'],
    cves: ['CVE-2020-13754'],
    fixed: { 'UBUNTU20.04 LTS': { '1:4.2-3ubuntu6.14': ['qemu'] } },
  });
  const { records, rejections } = await readFeed(ubuntuOsv, madeUpFile(JSON.stringify(record)));
  expect(rejections).toEqual([]);
  expect(records[0]?.facts).toMatchObject([
    { kind: 'advisory', id: 'USN-4467-3' },
    {
      kind: 'statement',
      vulnerability: 'CVE-2020-13754',
      release: '20.04',
      fixedVersion: '1:4.2-3ubuntu6.14',
    },
  ]);
});
