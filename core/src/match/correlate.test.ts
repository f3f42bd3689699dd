import { describe, expect, test } from 'vitest';
import { correlate, needsOf, type ToCorrelate } from './correlate.ts';

const finding: ToCorrelate = {
  product: { ecosystem: 'debian', release: '12' },
  package: 'openssl',
  fixState: 'available',
  fixedVersion: '3.0.20-1~deb12u1',
  channel: null,
  rule: 'older_than_fixed_version',
  installed: [
    { name: 'libssl3', version: '3.0.17-1~deb12u2', arch: 'amd64' },
    { name: 'openssl', version: '3.0.17-1~deb12u2', arch: 'amd64' },
  ],
  offered: [
    { package: 'openssl', version: '3.0.20-1~deb12u1', repository: 'bookworm/main' },
    {
      package: 'openssl',
      version: '3.0.22-1~deb12u2',
      repository: 'bookworm-security/main',
      name: 'openssl',
      requires: ['libc6 (>= 2.38)', 'libssl3 (>= 3.0.22-1)'],
    },
    { package: 'curl', version: '99', repository: 'bookworm/main' },
  ],
  held: [],
};

describe('a finding that is fixed somewhere', () => {
  test('gets the newest patch that the asset’s own repositories offer, with the repository', () => {
    expect(correlate(finding).patch).toEqual({
      id: 'debian:12/openssl@3.0.22-1~deb12u2',
      version: '3.0.22-1~deb12u2',
      offered: true,
      repository: 'bookworm-security/main',
      obstacle: null,
      needs: {
        reboot: 'no',
        restart: true,
        packages: ['libssl3 amd64', 'openssl amd64'],
        dependencies: ['libc6 (>= 2.38)'],
      },
    });
  });
  test('what is offered and older than the fix is not a patch of it', () => {
    const { patch } = correlate({ ...finding, fixedVersion: '3.0.23-1' });
    expect(patch).toMatchObject({ id: 'debian:12/openssl@3.0.23-1', offered: false, repository: null });
    expect(patch?.obstacle).toMatch(/No repository of this asset/);
  });
  test('a hold, and a channel that the asset does not have, are said', () => {
    expect(correlate({ ...finding, held: ['libssl3'] }).patch?.obstacle).toBe(
      'libssl3 is on hold on this asset.',
    );
    const pro = correlate({ ...finding, offered: [], channel: 'Ubuntu Pro' }).patch;
    expect(pro?.obstacle).toMatch(/published for Ubuntu Pro only/);
  });
});

test.each([
  ['none_yet', 'none_yet'],
  ['will_not_fix', 'will_not_fix'],
  ['end_of_life', 'end_of_life'],
  ['deferred', 'deferred'],
  ['available', 'undetermined'],
])('without a fixed version and %s, the reason is %s', (fixState, reason) => {
  const { patch, missing } = correlate({ ...finding, fixedVersion: null, fixState });
  expect(patch).toBeNull();
  expect(missing).toMatchObject({ reason });
});

test('a build of somebody else gets no patch of the distribution', () => {
  const { patch, missing } = correlate({ ...finding, rule: 'not_built_by_distribution' });
  expect(patch).toBeNull();
  expect(missing?.reason).toBe('not_built_by_distribution');
});

test('what a patch needs follows from what it replaces', () => {
  const p = (name: string) => ({ name, version: '1', arch: 'x86_64' });
  expect(needsOf([p('linux-image-6.1.0-25-amd64')])).toMatchObject({ reboot: 'required', restart: false });
  expect(needsOf([p('kernel-core')]).reboot).toBe('required');
  expect(needsOf([p('libc6')])).toMatchObject({ reboot: 'advised', restart: true });
  expect(needsOf([p('libssl-dev')])).toMatchObject({ reboot: 'no', restart: false });
});
