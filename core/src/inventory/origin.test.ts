import { describe, expect, test } from 'vitest';
import {
  isDistributionIndex,
  isVersionOfDistribution,
  originsOfDebs,
  withOriginsByMarks,
  type DebEvidence,
  type DebHost,
} from './deb-origin.ts';
import { builtByDistribution, originOfApk, originOfRpm, withOrigin, type PackageOrigin } from './origin.ts';

const debian: DebHost = {
  os: 'debian',
  hasDistributionIndex: true,
  hasMainArchive: true,
  declaredOrigins: [],
};
const bare: DebHost = { ...debian, hasDistributionIndex: false, hasMainArchive: false };
const ubuntu: DebHost = { ...debian, os: 'ubuntu' };
const index = (origin: string, label = origin) => ({ origin, label, site: 'example.invalid' });
const maintainer = 'Debian Curl <curl@packages.debian.example>';
const base: DebEvidence = {
  version: '7.88.1-10+deb12u5',
  source: 'curl',
  maintainer,
  offeredBy: [],
  isOtherBuildOffered: false,
  distributionMaintainers: [],
  maintainersOfSource: [],
};
const one = (change: Partial<DebEvidence>, host: DebHost = debian): PackageOrigin | undefined =>
  originsOfDebs([{ ...base, ...change }], host)[0];
const third = (vendor: string | null): PackageOrigin => ({ origin: 'third_party', vendor });
const unknownOf = (vendor: string): PackageOrigin => ({ origin: 'unknown', vendor });
const unknown: PackageOrigin = { origin: 'unknown', vendor: null };

describe('a package of dpkg', () => {
  test('is the distribution’s when one of its indexes offers this build, whatever else offers it', () => {
    expect(one({ offeredBy: [index('Debian')] })).toBe(builtByDistribution);
    expect(one({ offeredBy: [index('Acme'), index('Debian', 'Debian-Security')] })).toBe(builtByDistribution);
    expect(one({ version: '1.0-1ppa1', offeredBy: [index('Debian Backports')] })).toEqual(
      third('Debian Backports'),
    );
    expect(one({ offeredBy: [index('Debian', 'Debian Backports')] })).toEqual(third('Debian'));
    expect(one({ offeredBy: [index('UbuntuESMApps')] }, ubuntu)).toBe(builtByDistribution);
  });

  test('is a third party’s when only others offer it', () => {
    expect(one({ offeredBy: [index('NodeSource')], distributionMaintainers: [maintainer] })).toEqual(
      third('NodeSource'),
    );
    expect(one({ offeredBy: [index('', '')] })).toEqual(third('example.invalid'));
    expect(one({ offeredBy: [index('', 'A label')] })).toEqual(third('A label'));
    // Another distribution's package is no less foreign.
    expect(one({ offeredBy: [index('Ubuntu')] })).toEqual(third('Ubuntu'));
    expect(one({ offeredBy: [index('Debian')] }, ubuntu)).toEqual(third('Debian'));
    // Debian's name on a collection that is not Debian's.
    expect(one({ offeredBy: [index('Debian', 'Best of Acme')] })).toEqual(third('Debian'));
  });

  test.each([
    ['20.20.2-1nodesource1+repack1', 'NodeSource'],
    ['15.3-1.pgdg120+1', 'PostgreSQL Global Development Group'],
    ['8.2.7-1+0~20230616.8+debian12~1.gbpad3b8c', 'Ondřej Surý'],
    ['8.2.7-1+ubuntu22.04.1+deb.sury.org+1', 'Ondřej Surý'],
    ['5:24.0.7-1~debian.12~bookworm', 'Docker'],
    ['3:27.1.0-0ubuntu1~cloud0', 'Ubuntu Cloud Archive'],
    ['1:10.11.6+maria~deb12', 'MariaDB'],
    ['8.0.35-27-1.bookworm', 'Percona'],
    ['6:7.4.0-1rl1~bookworm1', 'Redis'],
    ['1.2-3~ppa1~jammy', 'Launchpad PPA'],
    ['1.2-3ubuntu4', 'Ubuntu'],
    ['1.2-3+local1', null],
  ])('%s in no index is by its mark of %s, name and maintainer aside', (version, vendor) => {
    expect(one({ version, distributionMaintainers: [maintainer] })).toEqual(third(vendor));
    expect(one({ version }, bare)).toEqual(third(vendor));
  });

  test('Ubuntu’s own mark is none on Ubuntu', () => {
    expect(one({ version: '1.2-3ubuntu4.1', distributionMaintainers: [maintainer] }, ubuntu)).toBe(
      builtByDistribution,
    );
  });

  test('of a vendor by its maintainer', () => {
    expect(one({ maintainer: 'NodeSource Support <support@nodesource.com>', version: '22.1.0-1' })).toEqual(
      third('NodeSource'),
    );
  });

  test('that has vanished from the indexes is the distribution’s if name, maintainer and form agree', () => {
    const old = {
      distributionMaintainers: ['Somebody <x@example.invalid>', maintainer.replace(' <', '  <')],
    };
    expect(one(old)).toBe(builtByDistribution);
    expect(one({ ...old, maintainer: 'Me <me@example.invalid>' })).toEqual(unknown);
    expect(one({ ...old, maintainer: '' })).toEqual(unknown);
    expect(one({ ...old, version: '7.88.1-10acme1' })).toEqual(unknown);
    expect(one({ distributionMaintainers: [] })).toEqual(unknown);
  });

  test('of a backport is none that the data of the release speaks of, whoever offers it', () => {
    const backport = { version: '6.12.9-1~bpo12+1', distributionMaintainers: [maintainer] };
    expect(one(backport)).toEqual(third('Backports'));
    expect(one(backport, bare)).toEqual(third('Backports'));
    expect(one({ ...backport, offeredBy: [index('Debian')] })).toEqual(third('Backports'));
    expect(one({ version: '2.1-3~bpo22.04.1', offeredBy: [index('Ubuntu')] }, ubuntu)).toEqual(
      third('Backports'),
    );
  });

  test('of another release of the distribution is not judged by this one’s data', () => {
    const host: DebHost = { ...debian, codename: 'bookworm' };
    const of = (codename: string) => one({ offeredBy: [{ ...index('Debian'), codename }] }, host);
    expect(of('sid')).toEqual(third('Debian sid'));
    expect(of('trixie')).toEqual(third('Debian trixie'));
    for (const own of ['bookworm', 'bookworm-security', 'bookworm-updates', 'own-mirror', '']) {
      expect(of(own), own).toBe(builtByDistribution);
    }
    expect(one({ offeredBy: [{ ...index('Debian'), codename: 'sid' }] })).toBe(builtByDistribution);
  });

  test('newer than all that the distribution offers is no old build of it', () => {
    const newer = { isNewerThanOffered: true, distributionMaintainers: [maintainer] };
    expect(one({ ...newer, version: '8.11.0-1' })).toEqual(unknown);
    // Its subscription has ended; the build is Ubuntu's all the same.
    expect(one({ ...newer, version: '7.58.0-2ubuntu3.24+esm3' }, ubuntu)).toBe(builtByDistribution);
  });

  test('with a version made to keep a parser busy is answered at once', () => {
    for (const part of ['.b', '.1b', '+b.', '1.']) {
      const version = `1-1${part.repeat(5_000)}z`;
      expect(isVersionOfDistribution(version), part).toBe(false);
    }
  }, 2_000);

  test('rebuilt under the same version is not the distribution’s', () => {
    expect(one({ isOtherBuildOffered: true, distributionMaintainers: [maintainer] })).toEqual(unknown);
  });

  test('whose name has vanished too follows the others of its source', () => {
    const image = { ...base, source: 'linux-signed-amd64', version: '6.1.106-3' };
    const meta = { ...image, version: '6.1.120-1', offeredBy: [index('Debian')] };
    expect(originsOfDebs([image, meta], debian)).toEqual([builtByDistribution, builtByDistribution]);
    expect(originsOfDebs([{ ...image, maintainer: 'Me <me@x>' }, meta], debian)[0]).toEqual(unknown);
    expect(originsOfDebs([{ ...image, version: '6.1.106-3acme' }, meta], debian)[0]).toEqual(unknown);
    expect(originsOfDebs([{ ...image, source: 'linux-acme' }, meta], debian)[0]).toEqual(unknown);
    // Of a third party's package, nothing follows.
    expect(originsOfDebs([image, { ...meta, offeredBy: [index('Acme')] }], debian)[0]).toEqual(unknown);
    expect(one({ maintainersOfSource: [maintainer] })).toBe(builtByDistribution);
    expect(one({ maintainersOfSource: ['Other <o@x>'] })).toEqual(unknown);
  });

  test('on a host without the distribution’s indexes is the distribution’s, unless there is a sign against it', () => {
    expect(one({}, bare)).toBe(builtByDistribution);
    // With its security archive only, the same; but what another repository offers is known to be that one's.
    const partial = { ...bare, hasDistributionIndex: true };
    expect(one({}, partial)).toBe(builtByDistribution);
    expect(one({ offeredBy: [index('Acme')] }, partial)).toEqual(third('Acme'));
    expect(one({ offeredBy: [index('Acme mirror')] }, bare)).toEqual({
      origin: 'unknown',
      vendor: 'Acme mirror',
    });
    expect(one({ offeredBy: [index('Acme mirror')] }, { ...bare, declaredOrigins: ['Acme mirror'] })).toBe(
      builtByDistribution,
    );
  });

  test('of a system that the table does not have is its own by name', () => {
    expect(isDistributionIndex({ os: 'devuan', declaredOrigins: [] }, index('Devuan'))).toBe(true);
    expect(isDistributionIndex({ os: 'devuan', declaredOrigins: [] }, index('Debian'))).toBe(false);
    expect(isDistributionIndex({ os: '', declaredOrigins: [] }, index(''))).toBe(false);
  });

  test.each([
    ['3.0.22-1~deb12u2', true],
    ['1:9.2p1-2+deb12u10', true],
    ['2.6.4-1+dfsg3', true],
    ['12.4+deb12u11', true],
    ['5.2.15-2+b13', true],
    ['2.36-0ubuntu1~22.04.3', true],
    ['1.18.4-2ubuntu1.1+esm2', true],
    ['1.2-3really1.1', true],
    ['1.2-3acme1', false],
    ['1.2-3~22.04.sav0', false],
    ['1.2-r3', false],
    ['v1.2', false],
  ])('%s could be of the distribution: %s', (version, could) => {
    expect(isVersionOfDistribution(version)).toBe(could);
  });
});

describe('a package of rpm', () => {
  test.each([
    ['almalinux', 'AlmaLinux', 'distribution'],
    ['rocky', 'Rocky Enterprise Software Foundation', 'distribution'],
    ['rhel', 'Red Hat, Inc.', 'distribution'],
    ['sles', 'SUSE LLC <https://www.suse.com/>', 'distribution'],
    ['opensuse-leap', 'SUSE LLC <https://www.suse.com/>', 'distribution'],
    ['opensuse-leap', 'openSUSE', 'distribution'],
    ['opensuse-leap', 'obs://build.opensuse.org/home:somebody', 'third_party'],
    ['amzn', 'Amazon Linux', 'distribution'],
    ['almalinux', 'Fedora Project', 'third_party'],
    ['rocky', 'Fedora Copr - user x', 'third_party'],
    ['rhel', 'Red Hat, Inc. of Acme', 'third_party'],
    ['rhel', '(none)', 'unknown'],
    ['rhel', '', 'unknown'],
    ['acmeos', 'Acme', 'unknown'],
  ])('on %s of %s: %s', (os, vendor, origin) => {
    expect(originOfRpm(os, vendor).origin).toBe(origin);
  });
});

describe('a package of apk', () => {
  const alpine = 'https://mirror.example/alpine/v3.18/main';
  test.each([
    ['offered by Alpine', { offeredBy: ['https://acme.example/apk', alpine] }, builtByDistribution],
    ['offered by others only', { offeredBy: ['https://acme.example/apk'] }, third('acme.example')],
    ['offered by nobody any more', { isNameOfDistribution: true }, builtByDistribution],
    ['installed from a file', { isNameOfDistribution: true, isPinnedToFile: true }, unknown],
    ['of a name that Alpine does not have', {}, unknown],
  ])('%s', (_, change, expected) => {
    const none = { offeredBy: [], isNameOfDistribution: false, isPinnedToFile: false };
    expect(originOfApk('alpine', { ...none, ...change })).toEqual(expected);
  });
  test('offered by another release only is not judged by this one’s data', () => {
    const none = { isNameOfDistribution: true, isPinnedToFile: false };
    const edge = 'https://mirror.example/alpine/edge/testing';
    const of = (release: string, ...offeredBy: string[]) =>
      originOfApk('alpine', { ...none, offeredBy }, release);
    expect(of('3.18.4', edge)).toEqual(unknownOf('Alpine edge'));
    expect(of('3.18.4', alpine.replace('3.18', '3.20'))).toEqual(unknownOf('Alpine v3.20'));
    expect(of('3.18.4', edge, alpine)).toBe(builtByDistribution);
    expect(of('3.22.0_alpha20250108', edge)).toBe(builtByDistribution);
    expect(of('3.18.4', 'https://mirror.example/alpine/latest-stable/main')).toBe(builtByDistribution);
  });
});

test('without apt’s lists only marks tell', () => {
  const p = (name: string, version: string) => ({
    name,
    arch: 'all',
    version,
    source: name,
    source_version: version,
  });
  const packages = [p('a', '1-1'), p('b', '1-1ubuntu1'), p('c', '1')];
  const maintainers = new Map([['c:all', 'Docker <support@docker.com>']]);
  expect(
    withOriginsByMarks('debian', packages, maintainers).map(({ vendor }) => vendor ?? 'distribution'),
  ).toEqual(['distribution', 'Ubuntu', 'Docker']);
});

test('only what is not the distribution’s is said in a report', () => {
  const p = { name: 'a', arch: 'all', version: '1', source: 'a', source_version: '1' };
  expect(withOrigin({ ...p, origin: 'unknown', vendor: 'x' }, builtByDistribution)).toEqual(p);
  expect(withOrigin(p, third(' Acme\n Inc '))).toEqual({ ...p, origin: 'third_party', vendor: 'Acme Inc' });
  expect(withOrigin(p, unknown)).toEqual({ ...p, origin: 'unknown' });
});
