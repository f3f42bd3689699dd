import { expect, test } from 'vitest';
import { readRange, streamsOf, versionToReach } from './fix.ts';

const range = (...events: Record<string, string>[]) => ({ ranges: [{ type: 'ECOSYSTEM', events }] });

test('a range from one version to at most one fix is read, nothing else', () => {
  expect(readRange(range({ introduced: '0' }, { fixed: '2' }), true)).toEqual({
    introduced: null,
    fixed: '2',
  });
  expect(readRange(range({ introduced: '1.5' }, { fixed: '2' }), true)).toEqual({
    introduced: '1.5',
    fixed: '2',
  });
  expect(readRange(range({ introduced: '1.5' }), true)).toEqual({ introduced: '1.5', fixed: null });
  expect(readRange(range({ introduced: '1.5' }, { fixed: '2' }), false)).toBeNull();
  expect(readRange(range({ introduced: '0' }, { last_affected: '2' }), true)).toBeNull();
  expect(readRange(range({ introduced: '0' }, { limit: '2' }), true)).toBeNull();
  expect(
    readRange(range({ introduced: '0' }, { fixed: '2' }, { introduced: '3' }, { fixed: '4' }), true),
  ).toBeNull();
  expect(readRange(range({ fixed: '2' }), true)).toBeNull();
  expect(readRange({ ranges: [] }, true)).toBeNull();
  expect(readRange({}, true)).toBeNull();
  const twice = range({ introduced: '0' }, { fixed: '2' }).ranges;
  expect(readRange({ ranges: [...twice, ...twice] }, true)).toBeNull();
});

// Pairs as AlmaLinux and Rocky name them in one erratum.
test.each([
  ['rebuilt for a later minor release', ['16.el8_5.13', '16.el8'], '16.el8'],
  [
    'rebuilt with the module',
    ['1.0.1-2.module_el8.6.0+3048+383bc947', '1.0.1-2.module_el8.6.0+2741+01592ae8'],
    1,
  ],
  ['with a patch of the rebuilder', ['91.3.0-2.el8_4.alma', '91.3.0-2.el8_4.alma.plus'], 0],
  ['epoch 0 or none', ['0:1.2-3.el9_1', '1.2-3.el9_1.0.1'], 0],
  [
    'of different source versions the highest, and of its rebuilds the lowest',
    [
      '0:2.4.37-39.module+el8.4.0+571+fd70afb1',
      '0:2.4.37-43.module+el8.6.0+800+00000000',
      '0:2.4.37-43.module+el8.5.0+714+5ec56ee8',
    ],
    2,
  ],
  ['an epoch is part of the source version', ['1.0.3-1.module_el8.6.0+2', '1:1.0.3-1.module_el8.6.0+1'], 1],
])('the version to reach: %s', (_, versions, expected) => {
  expect(versionToReach(versions)).toBe(typeof expected === 'number' ? versions[expected] : expected);
  expect(versionToReach(versions.toReversed())).toBe(
    typeof expected === 'number' ? versions[expected] : expected,
  );
});

test('of versions of which one is no RPM version none is chosen', () => {
  expect(versionToReach(['1.0-1.el8', '1.0 1.el8'])).toBeNull();
});

test.each([
  ['Moderate: nginx:1.22 security update', ['nginx:1.22']],
  ['Red Hat Security Advisory: httpd:2.4/mod_http2 security update', ['httpd:2.4']],
  ['Important: container-tools:rhel8 security and bug fix update', ['container-tools:rhel8']],
  ['Low: virt:rhel and virt-devel:rhel security update', ['virt:rhel', 'virt-devel:rhel']],
  ['idm:DL1 bug fix', ['idm:DL1']],
  ['Important: perl-DBD-SQLite:1.58 security update', ['perl-DBD-SQLite:1.58']],
  ['Important: varnish security update', ['?']],
  ['Replaces RHSA-2024:0001: varnish', ['?']],
])('the streams of %j', (summary, expected) => {
  expect(streamsOf({ id: 'X-1', modified: '', summary }, {})).toEqual(expected);
});

test('a stream in the purl is surer than the summary', () => {
  const affected = {
    package: { purl: 'pkg:rpm/redhat/nodejs?rpmmod=nodejs%3A18%3A8060020230306%3Aad008a3a' },
  };
  expect(streamsOf({ id: 'X-1', modified: '', summary: 'nodejs:16 update' }, affected)).toEqual([
    'nodejs:18',
  ]);
});
