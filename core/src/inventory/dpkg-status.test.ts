import { describe, expect, test } from 'vitest';
import { parseDpkgStatus, parseSourceField } from './dpkg-status.ts';
import { parseOsRelease } from './os-release.ts';

function stanza(fields: Record<string, string>): string {
  return `${Object.entries(fields)
    .map(([key, value]) => `${key}: ${value}`)
    .join('\n')}\n\n`;
}
const bash = stanza({
  Package: 'bash',
  Status: 'install ok installed',
  Maintainer: 'Somebody <somebody@example.invalid>',
  Architecture: 'amd64',
  Source: 'bash (5.2.15-2)',
  Version: '5.2.15-2+b8',
  Description: 'shell\n Package: not a field\n .\n Version: 9',
});

function refusal(text: string) {
  const parsed = parseDpkgStatus(text);
  if (parsed.ok) throw new Error('it parsed');
  return parsed;
}

describe('parseDpkgStatus', () => {
  test('reads source and source version, and nothing from continued lines', () => {
    const parsed = parseDpkgStatus(bash);
    expect(parsed).toEqual({
      ok: true,
      status: {
        packages: [
          { name: 'bash', arch: 'amd64', version: '5.2.15-2+b8', source: 'bash', source_version: '5.2.15-2' },
        ],
        held: [],
        unconfigured: [],
        maintainers: new Map([['bash:amd64', 'Somebody <somebody@example.invalid>']]),
      },
    });
  });

  test('what is half there counts, what is removed does not, and a hold is told', () => {
    const text =
      bash +
      stanza({ Package: 'curl', Status: 'hold ok installed', Architecture: 'amd64', Version: '1' }) +
      stanza({ Package: 'gone', Status: 'deinstall ok config-files', Architecture: 'amd64', Version: '1' }) +
      stanza({ Package: 'never', Status: 'unknown ok not-installed' }) +
      ['half-installed', 'unpacked', 'half-configured', 'triggers-awaited', 'triggers-pending']
        .map((state) =>
          stanza({ Package: `p-${state}`, Status: `install ok ${state}`, Architecture: 'all', Version: '2' }),
        )
        .join('');
    const parsed = parseDpkgStatus(text);
    if (!parsed.ok) throw new Error(parsed.message);
    expect(parsed.status.packages.map((p) => p.name)).toEqual([
      'bash',
      'curl',
      'p-half-installed',
      'p-unpacked',
      'p-half-configured',
      'p-triggers-awaited',
      'p-triggers-pending',
    ]);
    expect(parsed.status.held).toEqual(['curl']);
    expect(parsed.status.unconfigured).toHaveLength(5);
  });

  test('one package of two architectures is two', () => {
    const other = bash.replace('Architecture: amd64', 'Architecture: i386');
    const parsed = parseDpkgStatus(bash + other);
    expect(parsed.ok && parsed.status.packages.map((p) => p.arch)).toEqual(['amd64', 'i386']);
  });

  test('cut off anywhere, it never gives a partial list', () => {
    const whole =
      bash + bash.replace('Package: bash', 'Package: dash') + bash.replace('Package: bash', 'Package: zsh');
    const boundaries = new Set([bash.length, 2 * bash.length, whole.length]);
    for (let length = 0; length < whole.length; length++) {
      const parsed = parseDpkgStatus(whole.slice(0, length));
      // Cut exactly between two packages a text is whole in itself; the collector compares with the file's size.
      expect(parsed.ok, `at ${String(length)}`).toBe(boundaries.has(length));
    }
  });

  test.each([
    ['', 'dpkg_status_empty'],
    ['\n\n', 'dpkg_status_empty'],
    [bash.slice(0, -1), 'dpkg_status_truncated'],
    [bash.replace('shell', 'sh\0ell'), 'dpkg_status_corrupt'],
    [bash.replace('Version: 5.2.15-2+b8\n', ''), 'dpkg_status_corrupt'],
    [bash.replace('Architecture: amd64\n', ''), 'dpkg_status_corrupt'],
    [bash.replace('Status: install ok installed\n', ''), 'dpkg_status_corrupt'],
    [bash.replace('install ok installed', 'install ok instal'), 'dpkg_status_corrupt'],
    [bash.replace('Package: bash\n', ''), 'dpkg_status_corrupt'],
    [bash.replace('Source: bash', 'Sourcebash'), 'dpkg_status_corrupt'],
    [bash + bash, 'dpkg_status_corrupt'],
    [bash.replace('Architecture', 'Package: dash\nArchitecture'), 'dpkg_status_corrupt'],
  ])('is refused (%#)', (text, code) => {
    const refused = refusal(text);
    expect(refused.code).toBe(code);
    expect(refused.message).toMatch(/line \d+/u);
    expect(refused.what_to_do).not.toBe('');
  });

  test('names the line', () => {
    expect(refusal(`${bash}Package: x\nStatus: install ok installed\noops\n\n`).line).toBe(14);
  });

  test('500 packages take about a millisecond', () => {
    const many = Array.from({ length: 500 }, (_, i) =>
      bash
        .replace('Package: bash', `Package: p${String(i)}`)
        .replace(
          'shell\n',
          `shell\n${' a line of a description of usual length, and one more\n'.repeat(12)}`,
        ),
    ).join('');
    for (let i = 0; i < 20; i++) parseDpkgStatus(many);
    const times = Array.from({ length: 9 }, () => {
      const before = performance.now();
      expect(parseDpkgStatus(many).ok).toBe(true);
      return performance.now() - before;
    });
    // Far above what it takes, for a machine that is busy; twenty times slower would be a mistake of the code.
    expect(Math.min(...times)).toBeLessThan(20);
  });
});

test('the source field', () => {
  expect(parseSourceField('', 'a', '1')).toEqual({ source: 'a', source_version: '1' });
  expect(parseSourceField('s', 'a', '1')).toEqual({ source: 's', source_version: '1' });
  expect(parseSourceField('s (2:3-4)', 'a', '1')).toEqual({ source: 's', source_version: '2:3-4' });
});

test('os-release', () => {
  expect(
    parseOsRelease('PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nID=debian\n# x\nVERSION_ID="12"\n'),
  ).toEqual({ os: 'debian', os_release: '12', os_title: 'Debian GNU/Linux 12 (bookworm)' });
  expect(parseOsRelease('ID=\'Arch\'\nNAME="a \\"b\\""\n')).toEqual({
    os: 'arch',
    os_release: '',
    os_title: 'a "b"',
  });
  expect(parseOsRelease('')).toEqual({ os: 'linux', os_release: '', os_title: 'Linux' });
});
