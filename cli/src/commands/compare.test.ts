import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { versionSchemes } from '@fixpoint/core/version/version.ts';
import { describe, expect, test } from 'vitest';

const program = join(import.meta.dirname, '../../bin/fixpoint');
const run = (args: readonly string[], input = '') =>
  spawnSync(program, ['compare', ...args], { input, encoding: 'utf8', maxBuffer: 1 << 28, timeout: 25_000 });

/** Pairs of every scheme's golden file that fit into a line, with their answers; `\0ooo` is an octal character code there. */
const golden = versionSchemes.flatMap((scheme) =>
  readFileSync(new URL(`../../../core/src/version/golden/${scheme}.tsv`, import.meta.url), 'utf8')
    .split('\n')
    .filter((row) => row !== '' && !row.startsWith('#'))
    .map((row) => [scheme, ...row.split('\t').map(decode)] as const)
    .filter((fields) => !fields.some((field) => /[\t\n\r]/u.test(field))),
);

function decode(text: string): string {
  const octal = Buffer.from(text)
    .toString('latin1')
    .replaceAll(/\\0([0-7]{3})/gu, (_, digits: string) => String.fromCodePoint(Number.parseInt(digits, 8)));
  return Buffer.from(octal, 'latin1').toString('utf8');
}

describe('compare', () => {
  test('one pair: the answer and nothing else', () => {
    const { stdout, stderr, status } = run(['dpkg', '1.0~rc1', '1.0']);
    expect([stdout, stderr, status]).toEqual(['less\n', '', 0]);
  });

  test('a version that starts with a hyphen is a version to judge, not an option', () => {
    expect(run(['dpkg', '-1', '1']).stdout).toBe('unparseable\n');
  });

  test('an unknown scheme names the known ones', () => {
    const { stdout, stderr, status } = run(['rpmish', '1', '2']);
    expect([stdout, status]).toEqual(['', 2]);
    expect(stderr).toContain('scheme_unknown');
    expect(stderr).toContain('Known schemes: dpkg, rpm, apk, windows-build');
  });

  test.each([
    ['rpm', '1.0~rc1-1.el8', '1.0-1.el8', 'less'],
    ['apk', '1.0_p1-r0', '1.0-r10', 'greater'],
    ['windows-build', '10.0.17763.1339', '10.0.17763.01339', 'equal'],
    ['windows-build', '10.0.17763.1339', '10.0.19041.388', 'incomparable'],
    ['rpm', '1.0-1-1', '1.0-1', 'unparseable'],
  ])('%s: %s against %s is %s', (scheme, a, b, answer) => {
    expect(run([scheme, a, b])).toMatchObject({ stdout: `${answer}\n`, stderr: '', status: 0 });
  });

  test('--help lists every scheme', () => {
    const { stdout, status } = run(['--help']);
    expect(status).toBe(0);
    for (const scheme of versionSchemes) expect(stdout).toContain(`\n              ${scheme} `);
  });

  test.each([[['dpkg', '1']], [[]], [['dpkg', '1', '2', '3']], [['--stdin', 'dpkg']]])(
    '%j is wrong usage',
    (args) => {
      const { status, stderr } = run(args);
      expect(status).toBe(2);
      expect(stderr).toContain('what to do:');
    },
  );

  test('every pair of every golden file, through --stdin', () => {
    expect(golden.length).toBeGreaterThan(15_000);
    const input = golden.map(([scheme, a, b]) => `${scheme}\t${a}\t${b}\n`).join('');
    const { stdout, status } = run(['--stdin'], input);
    expect(status).toBe(0);
    expect(stdout.trimEnd().split('\n')).toEqual(golden.map(([, , , answer]) => answer));
  });

  test('a malformed line is answered in its place and told on stderr', () => {
    const { stdout, stderr, status } = run(['--stdin'], 'dpkg\t1\t2\nnonsense\n\ndpkg\t2\t1\r\ndpkg\t1\t1');
    expect(stdout).toBe('less\nunparseable\nunparseable\ngreater\nequal\n');
    expect(status).toBe(0);
    expect(stderr).toContain('line 2');
    expect(stderr).toContain('line 3');
  });

  test('an unknown scheme in a line ends with an error, after every line has its answer', () => {
    const { stdout, stderr, status } = run(['--stdin'], 'rpmish\t1\t2\ndpkg\t1\t2\n');
    expect([stdout, status]).toEqual(['unparseable\nless\n', 2]);
    expect(stderr).toContain('Known schemes: dpkg');
  });

  test('300,000 lines take seconds, and nothing is lost', () => {
    const count = 300_000;
    const { stdout } = run(['--stdin'], 'dpkg\t1:2.3.4-5+deb12u1\t1:2.3.4-5+deb12u2\n'.repeat(count));
    expect(stdout).toBe('less\n'.repeat(count));
  });

  test('a reader that goes away ends it quietly', () => {
    const { status, stderr } = spawnSync(
      'sh',
      ['-c', `yes "$(printf 'dpkg\\t1\\t2')" | head -n 200000 | "${program}" compare --stdin | head -n 1`],
      {
        encoding: 'utf8',
        timeout: 25_000,
      },
    );
    expect([status, stderr]).toEqual([0, '']);
  });
});
