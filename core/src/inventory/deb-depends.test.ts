import { expect, test } from 'vitest';
import { unmetDependencies } from './deb-depends.ts';

const installed = new Map([
  ['libc6', '2.36-9+deb12u7'],
  ['libssl3', '3.0.9-1'],
  ['default-mta', '1.0'],
]);

test('what is met, has no version, or has an alternative that is met, is not needed', () => {
  const fields = [
    'libc6 (>= 2.34), debconf | debconf-2.0, exim4 (>= 4.9) | default-mta (>= 0.9), libfoo:any',
  ];
  expect(unmetDependencies(fields, installed)).toEqual([]);
});

test('an older version, and a missing one that is named with its version, are', () => {
  // as bookworm's openssl and linux-image-amd64 write them
  const fields = ['libc6 (>= 2.34), libssl3 (>= 3.0.17)', 'linux-image-6.1.0-41-amd64 (= 6.1.158-1)'];
  expect(unmetDependencies(fields, installed)).toEqual([
    'libssl3 (>= 3.0.17)',
    'linux-image-6.1.0-41-amd64 (= 6.1.158-1)',
  ]);
});

test.each([
  ['(<< 3.0.9-1)', false],
  ['(<= 3.0.9-1)', true],
  ['(= 3.0.9-1)', true],
  ['(>= 3.0.9-1)', true],
  ['(>> 3.0.9-1)', false],
  ['(= 3.0.9-1) [amd64]', true],
])('libssl3 %s', (relation, met) => {
  expect(unmetDependencies([`libssl3 ${relation}`], installed)).toHaveLength(met ? 0 : 1);
});
