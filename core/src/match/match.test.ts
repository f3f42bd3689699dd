import { describe, expect, test } from 'vitest';
import type { Decision } from '../knowledge/decision.ts';
import { evidenceOf } from './evidence.ts';
import { isKernelImage } from './kernel.ts';
import { concerns, indexDecisions, lookUp, matchSoftware } from './match.ts';

/** CVE-2023-5363 in Debian 12 as OSV has it: fixed in openssl 3.0.11-1~deb12u2 by DSA-5532-1. */
const fixedInOpenssl: Decision = {
  vulnerability: 'CVE-2023-5363',
  ecosystem: 'debian',
  release: '12',
  package: 'openssl',
  packageKind: 'source',
  module: null,
  status: 'fixed',
  introducedVersion: null,
  fixedVersion: '3.0.11-1~deb12u2',
  updates: [],
  channel: null,
  branchFixes: [],
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
    expect(lookUp('debian', image)).toMatchObject({
      source: 'linux',
      sourceVersion: '6.1.106-3',
      package: 'linux',
    });
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
});

/** ALSA-2022:7821, as published: nodejs:18 of AlmaLinux 8. */
const modular: Decision = {
  ...fixedInOpenssl,
  vulnerability: 'CVE-2022-43548',
  ecosystem: 'almalinux',
  release: '8',
  package: 'nodejs',
  packageKind: 'binary',
  module: 'nodejs:18',
  fixedVersion: '1:18.9.1-1.module_el8.7.0+3343+ea2b7901',
  advisory: 'ALSA-2022:7821',
  feed: 'almalinux-osv',
  record: 'ALSA-2022:7821',
};
const nodejs = (version: string, module?: string) => ({
  name: 'nodejs',
  version,
  source: 'nodejs',
  source_version: version,
  ...(module === undefined ? {} : { module }),
});

describe('RPM', () => {
  const index = indexDecisions([modular]);
  test('a module’s statement speaks of the same stream only', () => {
    expect(concerns(nodejs('1:18.1.0-1.module_el8', 'nodejs:18'), index)).toHaveLength(1);
    expect(concerns(nodejs('1:16.1.0-1.module_el8', 'nodejs:16'), index)).toEqual([]);
    expect(concerns(nodejs('1:10.1.0-1.el8'), index)).toEqual([]);
    // and a statement about no module speaks of no module's package
    const plain = indexDecisions([{ ...modular, module: null }]);
    expect(concerns(nodejs('1:1-1.module_el8', 'nodejs:18'), plain)).toEqual([]);
  });
  test('a module build whose stream the record does not name is undetermined for modular packages', () => {
    const unnamed = indexDecisions([{ ...modular, module: '?' }]);
    expect(concerns(nodejs('1:18.1.0-1.module_el8', 'nodejs:18'), unnamed)).toMatchObject([
      { kind: 'undetermined', rule: 'module_stream_unknown' },
    ]);
    expect(concerns(nodejs('1:10.1.0-1.el8'), unnamed)).toEqual([]);
  });
  test('what is said of the installed package outranks what is said of its source', () => {
    const source: Decision = {
      ...modular,
      packageKind: 'source',
      status: 'affected',
      fixedVersion: null,
      fixState: 'will_not_fix',
    };
    const both = indexDecisions([source, modular]);
    const kinds: string[] = [];
    matchSoftware(nodejs('1:18.20-1.module_el8', 'nodejs:18'), both, (kind) => kinds.push(kind));
    expect(kinds).toEqual(['fixed']);
    expect(concerns(nodejs('1:18.20-1.module_el8', 'nodejs:18'), indexDecisions([source]))).toMatchObject([
      { kind: 'vulnerable', rule: 'no_fix_published' },
    ]);
  });

  const eus: Decision = {
    ...modular,
    ecosystem: 'redhat',
    release: '9',
    package: 'openssl-libs',
    module: null,
    fixedVersion: '1:3.0.7-25.el9_3',
    branchFixes: [
      {
        channel: 'eus:9.2',
        fixedVersion: '1:3.0.7-18.el9_2',
        advisory: 'RHSA-2',
        feed: 'redhat-osv',
        record: 'RHSA-2',
      },
    ],
  };
  const libs = (version: string) => ({
    name: 'openssl-libs',
    version,
    source: 'openssl',
    source_version: version,
  });
  test.each([
    ['1:3.0.7-18.el9_2', 'fixed', 'a backport of its own branch'],
    ['1:3.0.7-16.el9_2', 'vulnerable', 'its branch is not fixed yet'],
    ['1:3.0.7-24.el9', 'vulnerable', 'the release itself'],
    ['1:3.0.7-25.el9_3', 'fixed', 'the release itself'],
    ['1:3.0.7-6.el9_1', 'vulnerable', 'another branch'],
  ])('%s is %s: %s', (version, kind) => {
    const kinds: string[] = [];
    matchSoftware(libs(version), indexDecisions([eus]), (one) => kinds.push(one));
    expect(kinds).toEqual([kind]);
  });
  test('a fix of a branch alone says nothing about other builds', () => {
    const only: Decision = { ...eus, status: 'branch_only', fixedVersion: null };
    expect(concerns(libs('1:3.0.7-1.el9'), indexDecisions([only]))).toEqual([]);
    expect(concerns(libs('1:3.0.7-1.el9_2'), indexDecisions([only]))).toHaveLength(1);
  });
  test('nor does it silence what is said of the source as a whole', () => {
    const only: Decision = { ...eus, status: 'branch_only', fixedVersion: null };
    const vex: Decision = {
      ...eus,
      package: 'openssl',
      packageKind: 'source',
      status: 'affected',
      fixedVersion: null,
      branchFixes: [],
      fixState: 'none_yet',
    };
    const both = indexDecisions([only, vex]);
    expect(concerns(libs('1:3.0.7-1.el9'), both)).toMatchObject([
      { kind: 'vulnerable', rule: 'no_fix_published' },
    ]);
    expect(concerns(libs('1:3.0.7-18.el9_2'), both)).toEqual([]);
  });
  test.each([
    ['docker', '20.10.25-1.amzn2.0.1', '25.0.3-1.amzn2.0.1', 'vulnerable'],
    ['nginx1', '1:1.22.1-1.amzn2.0.2', '1:1.26.2-1.amzn2.0.1', 'vulnerable'],
    ['postgresql14', '14.10-1.amzn2', '14.13-1.amzn2.0.1', 'vulnerable'],
    ['postgresql14', '14.13-1.amzn2.0.1', '14.13-1.amzn2.0.1', 'fixed'],
    ['postgresql14', '9.2.24-8.amzn2', '14.13-1.amzn2.0.1', undefined],
    ['kernel-5.10', '5.10.205-195.804.amzn2', '5.10.210-201.852.amzn2', 'vulnerable'],
    ['kernel-5.10', '5.4.100-1.amzn2', '5.10.210-201.852.amzn2', undefined],
  ])('Amazon’s extra %s: %s against %s is %s', (topic, version, fixedVersion, kind) => {
    const only: Decision = {
      ...eus,
      ecosystem: 'amazon',
      release: '2',
      package: 'thing',
      status: 'branch_only',
      fixedVersion: null,
      branchFixes: [
        { channel: `extra:${topic}`, fixedVersion, advisory: 'A', feed: 'amazon-alas', record: 'A' },
      ],
    };
    const kinds: string[] = [];
    const thing = { name: 'thing', version, source: 'thing', source_version: version };
    matchSoftware(thing, indexDecisions([only]), (one) => kinds.push(one));
    expect(kinds[0]).toBe(kind);
  });
  test('debug packages carry no code', () => {
    expect(
      concerns(
        { ...libs('1:1-1'), name: 'openssl-libs-debuginfo' },
        indexDecisions([{ ...eus, package: 'openssl', packageKind: 'source' }]),
      ),
    ).toEqual([]);
  });
});

describe('who built it', () => {
  test('a third party’s build is never judged by the distribution’s data, in either direction', () => {
    for (const version of ['1.0', '99']) {
      const foreign = { ...libssl(version), origin: 'third_party', vendor: 'Example' } as const;
      const [first] = concerns(foreign, indexDecisions([fixedInOpenssl]));
      expect(first).toMatchObject({ kind: 'undetermined', rule: 'not_built_by_distribution' });
      if (first !== undefined) expect(evidenceOf(foreign, first).sentence).toContain('Example');
      expect(
        concerns(
          foreign,
          indexDecisions([{ ...fixedInOpenssl, status: 'not_affected', fixedVersion: null }]),
        ),
      ).toHaveLength(1);
    }
  });
  test('and is not safe for being in no module where the distribution has it in modules', () => {
    const streams = indexDecisions([modular, { ...modular, module: 'nodejs:16', fixedVersion: '1:16.1-1' }]);
    const node = {
      name: 'nodejs',
      version: '2:20.1-1nodesource',
      source: 'nodejs',
      source_version: '2:20.1-1',
    };
    expect(concerns({ ...node, origin: 'third_party', vendor: 'NodeSource' }, streams)).toMatchObject([
      { kind: 'undetermined', rule: 'not_built_by_distribution' },
    ]);
    // The distribution's own build outside of modules is another package, of which these statements do not speak.
    expect(concerns(node, streams)).toEqual([]);
  });
  test('nor is one of unknown origin', () => {
    expect(concerns({ ...libssl('99'), origin: 'unknown' }, indexDecisions([fixedInOpenssl]))).toMatchObject([
      { kind: 'undetermined', rule: 'origin_unknown' },
    ]);
  });
});

test('a version from before the flaw is not affected', () => {
  const late: Decision = { ...fixedInOpenssl, introducedVersion: '3.0.0-1' };
  expect(verdict('1.1.1w-0', late)).toEqual(['not_affected']);
  expect(verdict('3.0.0-1', late)).toEqual(['vulnerable']);
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
      'openssl 3.0.9-1 (package libssl3) is older than 3.0.11-1~deb12u2, the first version in which CVE-2023-5363 is fixed in Debian 12.',
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
