import { describe, expect, test } from 'vitest';
import type { Decision } from '../knowledge/decision.ts';
import { evidenceOf } from './evidence.ts';
import { concerns, indexDecisions, isKernelImage, kernelRelease, lookUp, matchSoftware } from './match.ts';

/** CVE-2023-5363 in Debian 12 as OSV has it: fixed in openssl 3.0.11-1~deb12u2 by DSA-5532-1. */
const fixedInOpenssl: Decision = {
  vulnerability: 'CVE-2023-5363',
  ecosystem: 'debian',
  release: '12',
  package: 'openssl',
  status: 'fixed',
  fixedVersion: '3.0.11-1~deb12u2',
  fixState: 'available',
  note: null,
  advisory: 'DSA-5532-1',
  feed: 'debian-osv',
  record: 'CVE-2023-5363',
  disagreements: [],
};

const libssl = (version: string) => ({
  name: 'libssl3',
  version,
  source: 'openssl',
  source_version: version,
});

function verdict(version: string, decision: Decision) {
  const kinds: string[] = [];
  matchSoftware(libssl(version), indexDecisions([decision]), (kind) => kinds.push(kind));
  return kinds;
}

describe('a software against a fix', () => {
  test.each([
    ['3.0.11-1~deb12u1', 'vulnerable'],
    ['3.0.11-1~deb12u2', 'fixed'],
    ['3.0.11-1', 'fixed'],
    ['1:1.0', 'fixed'],
    ['3.0.9-1', 'vulnerable'],
    ['not a version', 'undetermined'],
  ])('%s is %s', (version, kind) => {
    expect(verdict(version, fixedInOpenssl)).toEqual([kind]);
  });

  test('the source version is compared, not that of the binary package', () => {
    // bind9-dnsutils style: a binary with a version of its own, built from an older source
    const binary = { name: 'dnsutils', version: '99:1', source: 'openssl', source_version: '3.0.9-1' };
    expect(concerns(binary, indexDecisions([fixedInOpenssl]))).toHaveLength(1);
  });

  test('another source package with the same binary name is not touched', () => {
    const other = { name: 'openssl', version: '1', source: 'openssl-fork', source_version: '1' };
    expect(concerns(other, indexDecisions([fixedInOpenssl]))).toEqual([]);
  });

  test('a fixed version that is not one makes the verdict undetermined, not safe', () => {
    expect(verdict('3.0.9-1', { ...fixedInOpenssl, fixedVersion: 'soon' })).toEqual(['undetermined']);
  });

  test('what the vendor has not looked at is undetermined, not safe and not vulnerable', () => {
    expect(verdict('3.0.9-1', { ...fixedInOpenssl, status: 'undetermined', fixedVersion: null })).toEqual([
      'undetermined',
    ]);
  });

  test('no fix published: vulnerable in every version; not affected: in none', () => {
    expect(
      verdict('99', { ...fixedInOpenssl, status: 'affected', fixedVersion: null, fixState: 'none_yet' }),
    ).toEqual(['vulnerable']);
    expect(verdict('0', { ...fixedInOpenssl, status: 'not_affected', fixedVersion: null })).toEqual([
      'not_affected',
    ]);
  });
});

describe('kernels', () => {
  const kernel: Decision = {
    ...fixedInOpenssl,
    package: 'linux',
    fixedVersion: '6.1.112-1',
    vulnerability: 'CVE-2024-46740',
  };
  const image = {
    name: 'linux-image-6.1.0-25-amd64',
    version: '6.1.106-3',
    source: 'linux-signed-amd64',
    source_version: '6.1.106+3',
  };

  test('a signed image is looked up as linux by its binary version', () => {
    expect(lookUp(image)).toEqual({ source: 'linux', version: '6.1.106-3' });
    expect(concerns(image, indexDecisions([kernel])).map((v) => v.kind)).toEqual(['vulnerable']);
    expect(concerns({ ...image, version: '6.1.112-1' }, indexDecisions([kernel]))).toEqual([]);
  });

  test.each([
    'linux-libc-dev',
    'linux-headers-6.1.0-25-amd64',
    'linux-perf',
    'linux-image-amd64',
    'linux-image-6.1.0-25-amd64-dbg',
  ])('%s carries no kernel that runs', (name) => {
    const other = { name, version: '6.1.106-3', source: 'linux', source_version: '6.1.106-3' };
    expect(isKernelImage(other)).toBe(false);
    expect(concerns(other, indexDecisions([kernel]))).toEqual([]);
  });

  test('the release is what uname says', () => {
    expect(kernelRelease('linux-image-6.1.0-25-amd64')).toBe('6.1.0-25-amd64');
    expect(kernelRelease('linux-image-6.1.0-25-amd64-unsigned')).toBe('6.1.0-25-amd64');
  });
});

test('evidence names source, record, both versions and the comparison, and a sentence that a person can check', () => {
  const software = libssl('3.0.9-1');
  const [first] = concerns(
    software,
    indexDecisions([{ ...fixedInOpenssl, disagreements: ['debian-changelog (…) says fixed in 3.0.12-1.'] }]),
  );
  if (first === undefined) throw new Error('no verdict');
  expect(evidenceOf(software, first)).toEqual({
    rule: 'older_than_fixed_version',
    sentence:
      'openssl 3.0.9-1 (package libssl3) is older than 3.0.11-1~deb12u2, the first version in which CVE-2023-5363 is fixed in debian 12.',
    feed: 'debian-osv',
    record: 'CVE-2023-5363',
    advisory: 'DSA-5532-1',
    installed_version: '3.0.9-1',
    fixed_version: '3.0.11-1~deb12u2',
    comparison: 'less',
    note: null,
    disagreements: ['debian-changelog (…) says fixed in 3.0.12-1.'],
  });
});
