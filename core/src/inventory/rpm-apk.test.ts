import { createHash } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { parseApkInstalled, parseChecksum } from './apk-installed.ts';
import { moduleOf, parseNevra, parseRpmQuery, parseSourceRpm, writeEvr } from './rpm-query.ts';

const line = (...fields: string[]): string => `${fields.join('\t')}\n`;
const bash = line(
  'bash',
  '(none)',
  '5.1.8',
  '9.el9',
  'x86_64',
  'bash-5.1.8-9.el9.src.rpm',
  '(none)',
  'AlmaLinux',
);

describe('rpm', () => {
  test('source, epoch, module and who built it', () => {
    const parsed = parseRpmQuery(
      bash +
        line(
          'npm',
          '1',
          '10.5.0',
          '1.18.20.2.1',
          'x86_64',
          'nodejs-18.20.2-1.module+el9.src.rpm',
          'nodejs:18:9:r',
          'AlmaLinux',
        ) +
        line('htop', '0', '3.2', '1.el9', 'x86_64', 'htop-3.2-1.el9.src.rpm', '(none)', 'Fedora Project') +
        line('mine', '(none)', '1', '1', 'noarch', '(none)', '(none)', '(none)') +
        line('gpg-pubkey', '(none)', 'abc', 'def', '(none)', '(none)', '(none)', '(none)'),
      'almalinux',
    );
    expect(parsed).toEqual({
      ok: true,
      packages: [
        {
          name: 'bash',
          arch: 'x86_64',
          version: '5.1.8-9.el9',
          source: 'bash',
          source_version: '5.1.8-9.el9',
        },
        {
          name: 'npm',
          arch: 'x86_64',
          version: '1:10.5.0-1.18.20.2.1',
          source: 'nodejs',
          source_version: '1:18.20.2-1.module+el9',
          module: 'nodejs:18',
        },
        {
          name: 'htop',
          arch: 'x86_64',
          version: '3.2-1.el9',
          source: 'htop',
          source_version: '3.2-1.el9',
          origin: 'third_party',
          vendor: 'Fedora Project',
        },
        {
          name: 'mine',
          arch: 'noarch',
          version: '1-1',
          source: 'mine',
          source_version: '1-1',
          origin: 'unknown',
        },
      ],
    });
  });

  test('the epoch of the source is that of what it is named after, not of every part of it', () => {
    const of = (name: string, epoch: string, version: string, source: string): string =>
      line(name, epoch, version, '47.el8', 'x86_64', `${source}-47.el8.src.rpm`, '(none)', 'Rocky');
    const parsed = parseRpmQuery(
      of('mod_ssl', '1', '2.4.37', 'httpd-2.4.37') +
        of('httpd', '(none)', '2.4.37', 'httpd-2.4.37') +
        of('perl-Errno', '(none)', '1.28', 'perl-5.26.3') +
        of('perl-libs', '4', '5.26.3', 'perl-5.26.3'),
      'rocky',
    );
    const versions = parsed.ok ? parsed.packages.map((p) => [p.name, p.source_version]) : [];
    expect(versions).toEqual([
      ['mod_ssl', '2.4.37-47.el8'],
      ['httpd', '2.4.37-47.el8'],
      ['perl-Errno', '4:5.26.3-47.el8'],
      ['perl-libs', '4:5.26.3-47.el8'],
    ]);
  });

  test.each([
    ['', 'rpm_database_empty'],
    [`${bash}error: rpmdb: damaged header\n`, 'rpm_database_unreadable'],
    [line('a', 'x', '1', '1', 'noarch', '', '', ''), 'rpm_database_unreadable'],
    [line('a', '1', '', '1', 'noarch', '', '', ''), 'rpm_database_unreadable'],
    [bash.replace('\n', '\tmore\n'), 'rpm_database_unreadable'],
  ])('%j is refused whole', (text, code) => {
    expect(parseRpmQuery(text, 'almalinux')).toMatchObject({ ok: false, code });
  });

  test('an epoch of 0 is none', () => {
    expect([writeEvr('0', '1', '2'), writeEvr('(none)', '1', '2'), writeEvr('3', '1', '2')]).toEqual([
      '1-2',
      '1-2',
      '3:1-2',
    ]);
  });

  test('sources and modules', () => {
    const itself = { name: 'n', version: '1-1' };
    expect(parseSourceRpm('a-b-c-1.2~rc1-3.el9.src.rpm', '2', itself)).toEqual({
      source: 'a-b-c',
      source_version: '2:1.2~rc1-3.el9',
    });
    expect(parseSourceRpm('k-1-2.nosrc.rpm', '', itself)).toEqual({ source: 'k', source_version: '1-2' });
    expect(parseSourceRpm('nonsense', '', itself)).toEqual({ source: 'n', source_version: '1-1' });
    expect([moduleOf('php:8.1:9:c'), moduleOf(''), moduleOf('(none)'), moduleOf('x')]).toEqual([
      'php:8.1',
      null,
      null,
      null,
    ]);
  });

  test('packages as dnf writes them', () => {
    expect(parseNevra('acme-libs-1:1.0-1.el9.x86_64')).toEqual({
      name: 'acme-libs',
      version: '1:1.0-1.el9',
      arch: 'x86_64',
    });
    expect(parseNevra('kernel-core-5.14.0-362.8.1.el9_3.x86_64')?.version).toBe('5.14.0-362.8.1.el9_3');
    expect(parseNevra('nothing')).toBe(null);
  });
});

describe('apk', () => {
  const sha1 = createHash('sha1').update('x').digest();
  const musl = `C:Q1abc=
P:musl
V:1.2.4-r2
A:x86_64
S:383304
o:musl
m:Somebody <somebody@example.invalid>
t:1691000000
c:c9f8ba7bf4c0ff9ef2ca5f4c3f5f5e1f1f5e1f1f
F:lib
R:ld-musl-x86_64.so.1
a:0:0:755
Z:Q1${sha1.toString('base64')}
R:libc.musl-x86_64.so.1
a:0:0:777
F:

`;
  const utils =
    'P:musl-utils\nV:1.2.4-r2\nA:x86_64\no:musl\nF:sbin\nR:ldconfig\nZ:Q1kb\nF:usr/bin\nR:getent\n\n';

  test('packages, their sources and their files', () => {
    const parsed = parseApkInstalled(musl + utils);
    if (!parsed.ok) throw new Error(parsed.message);
    expect(parsed.installed.packages).toEqual([
      { name: 'musl', arch: 'x86_64', version: '1.2.4-r2', source: 'musl', source_version: '1.2.4-r2' },
      { name: 'musl-utils', arch: 'x86_64', version: '1.2.4-r2', source: 'musl', source_version: '1.2.4-r2' },
    ]);
    expect([...(parsed.installed.files.get('musl:x86_64') ?? [])]).toEqual([
      ['/lib/ld-musl-x86_64.so.1', sha1.toString('hex')],
      ['/lib/libc.musl-x86_64.so.1', ''],
    ]);
    expect([...(parsed.installed.files.get('musl-utils:x86_64') ?? [])]).toEqual([
      ['/sbin/ldconfig', ''],
      ['/usr/bin/getent', ''],
    ]);
  });

  test.each([
    ['', 'apk_database_empty'],
    [musl.trimEnd(), 'apk_database_corrupt'],
    [musl + musl, 'apk_database_corrupt'],
    [musl.replace('V:1.2.4-r2\n', ''), 'apk_database_corrupt'],
    [musl.replace('\n\n', `\n${utils}`), 'apk_database_corrupt'],
    [`garbage\n${musl}`, 'apk_database_corrupt'],
  ])('%j is refused whole', (text, code) => {
    expect(parseApkInstalled(text)).toMatchObject({ ok: false, code });
  });

  test('digests', () => {
    for (const text of ['', 'abc', 'something longer']) {
      const digest = createHash('sha1').update(text).digest();
      expect(parseChecksum(`Q1${digest.toString('base64')}`)).toBe(digest.toString('hex'));
    }
    expect(parseChecksum('Q2abc')).toBe(null);
  });
});
