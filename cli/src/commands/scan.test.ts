import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

/** Real processes on fixture roots, judged by the product's own extract. */

const cli = join(import.meta.dirname, '../..');
const folder = mkdtempSync(join(tmpdir(), 'fixpoint-scan-test-'));
const cache = join(folder, 'cache');
afterAll(() => rmSync(folder, { recursive: true, force: true }));

interface Run {
  readonly stdout: string;
  readonly stderr: string;
  readonly status: number | null;
}
function scan(args: readonly string[], environment: Record<string, string> = {}): Run {
  const { stdout, stderr, status } = spawnSync(join(cli, 'bin/fixpoint'), ['scan', ...args], {
    encoding: 'utf8',
    timeout: 60_000,
    maxBuffer: 1 << 28,
    env: { ...process.env, XDG_CACHE_HOME: cache, FIXPOINT_KNOWLEDGE: '', COLUMNS: '', ...environment },
  });
  // Carried data ages, and the first scan prepares it; neither is about what was scanned.
  const about = stderr.replaceAll(/^(?:note: preparing|warning: the knowledge is old).*\n/gmu, '');
  return { stdout, stderr: about, status };
}

const bookworm = 'ID=debian\nVERSION_ID="12"\nPRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\n';

function stanza(name: string, version: string, source = ''): string {
  const from = source === '' ? '' : `Source: ${source}\n`;
  return `Package: ${name}\nStatus: install ok installed\nArchitecture: amd64\n${from}Version: ${version}\nDescription: x\n\n`;
}

let count = 0;
function makeRoot(parts: { readonly status?: string; readonly osRelease?: string }): string {
  const root = join(folder, `root-${String(count++)}`);
  mkdirSync(join(root, 'var/lib/dpkg'), { recursive: true });
  mkdirSync(join(root, 'usr/lib'), { recursive: true });
  mkdirSync(join(root, 'etc'));
  if (parts.status !== undefined) writeFileSync(join(root, 'var/lib/dpkg/status'), parts.status);
  if (parts.osRelease !== undefined) {
    writeFileSync(join(root, 'usr/lib/os-release'), parts.osRelease);
    // As Debian has it, but absolute: inside the root it means the root's own file.
    symlinkSync('/usr/lib/os-release', join(root, 'etc/os-release'));
  }
  return root;
}

interface Finding {
  readonly vulnerability: string;
  readonly package: string;
  readonly installed: string[];
  readonly installed_version: string;
  readonly fixed_version: string | null;
  readonly patch: string | null;
  readonly exploited: boolean;
  readonly epss: number | null;
  readonly why: string;
  readonly source: { readonly feed: string; readonly record: string; readonly advisory: string | null };
  readonly kernel: string | null;
}
interface Document {
  readonly summary: Record<string, number>;
  readonly findings: Finding[];
  readonly undetermined: {
    readonly installed: string[];
    readonly reason: string;
    readonly vulnerabilities: string[];
  }[];
  readonly unknown_source_packages: string[];
}
function scanJson(root: string, args: readonly string[] = []): Document {
  const { stdout, stderr, status } = scan(['--root', root, '--json', ...args]);
  expect([status, stderr]).toEqual([0, '']);
  const document: Document = JSON.parse(stdout);
  return document;
}

const oldOpenssl = stanza('libssl3', '3.0.9-1', 'openssl') + stanza('openssl', '3.0.9-1');
const fixedOpenssl = stanza('libssl3', '3.0.99-1', 'openssl') + stanza('openssl', '3.0.99-1');

// Prepares the knowledge once for all tests.
beforeAll(() => {
  scan(['--root', makeRoot({ status: oldOpenssl, osRelease: bookworm })]);
}, 60_000);

describe('findings', () => {
  test('a vulnerable package: the CVE, both versions, patch, source and why', () => {
    const { findings, summary } = scanJson(makeRoot({ status: oldOpenssl, osRelease: bookworm }));
    const finding = findings.find((f) => f.vulnerability === 'CVE-2023-5363');
    expect(finding).toMatchObject({
      package: 'openssl',
      installed: ['libssl3 3.0.9-1', 'openssl 3.0.9-1'],
      installed_version: '3.0.9-1',
      fixed_version: '3.0.11-1~deb12u2',
    });
    expect(finding?.patch).toMatch(/^debian:12\/openssl@3\.0\./u);
    expect(finding?.why).toContain('openssl 3.0.9-1');
    expect(finding?.why).toContain('3.0.11-1~deb12u2');
    expect(finding?.source.feed).toMatch(/^debian-/u);
    expect(summary['findings']).toBe(findings.length);
    expect(summary['with_patch']).toBeGreaterThan(10);
    expect(summary['vulnerable_packages']).toBe(2);
  });

  test('the same package with everything fixed has none of what has a fix', () => {
    const { findings } = scanJson(makeRoot({ status: fixedOpenssl, osRelease: bookworm }));
    expect(findings.filter((f) => f.fixed_version !== null)).toEqual([]);
  });

  test('exploited ones come first, then by EPSS', () => {
    const status = oldOpenssl + stanza('linux-image-6.1.0-9-amd64', '6.1.27-1', 'linux');
    const { findings } = scanJson(makeRoot({ status, osRelease: bookworm }));
    const firstHarmless = findings.findIndex((f) => !f.exploited);
    expect(firstHarmless).toBeGreaterThan(0);
    expect(findings.slice(firstHarmless).every((f) => !f.exploited)).toBe(true);
    const rest = findings.slice(firstHarmless).map((f) => f.epss ?? -1);
    expect(rest).toEqual(rest.toSorted((a, b) => b - a));
  });

  test('kernels of a root are marked as not known to run; what holds no kernel code has no finding', () => {
    const image = stanza('linux-image-6.1.0-9-amd64', '6.1.27-1', 'linux-signed-amd64 (6.1.27+1)');
    const { findings } = scanJson(makeRoot({ status: image, osRelease: bookworm }));
    expect(findings.length).toBeGreaterThan(100);
    expect(new Set(findings.map((f) => f.kernel))).toEqual(new Set(['not_known_to_run']));
    expect(findings[0]?.why).toContain('not known to run');
    const headers = scanJson(
      makeRoot({ status: stanza('linux-libc-dev', '6.1.27-1', 'linux'), osRelease: bookworm }),
    );
    expect(headers.findings).toEqual([]);
  });

  test('a version that is none is undetermined, with the reason, and not safe', () => {
    const root = makeRoot({ status: stanza('openssl', 'unknown'), osRelease: bookworm });
    const { undetermined, summary } = scanJson(root);
    expect(undetermined).toHaveLength(1);
    expect(undetermined[0]?.reason).toContain('not a Debian version');
    expect(undetermined[0]?.vulnerabilities.length).toBeGreaterThan(10);
    expect(summary['undetermined']).toBe(1);
    expect(scan(['--root', root, '--fail-on', 'any']).status).toBe(1);
  });

  test('what the data does not speak of is told', () => {
    const { unknown_source_packages: unknown } = scanJson(
      makeRoot({ status: oldOpenssl + stanza('acme-agent', '1.0'), osRelease: bookworm }),
    );
    expect(unknown).toEqual(['acme-agent']);
  });

  test('the table says it in one sentence first, and cuts nothing in a pipe', () => {
    const root = makeRoot({ status: oldOpenssl, osRelease: bookworm });
    const { stdout } = scan(['--root', root]);
    expect(stdout.split('\n')[0]).toMatch(/^\d+ findings on 2 packages: \d+ have a patch/u);
    expect(stdout).toMatch(
      /^CVE-2023-5363 .* openssl .* 3\.0\.9-1 .* 3\.0\.11-1~deb12u2 .* is older than /mu,
    );
    expect(stdout).not.toContain('\u001B');
    expect(stdout).not.toContain('…');
  });

  test('text that would move the cursor is made harmless', () => {
    const osRelease = bookworm.replace('(bookworm)', '\u001B]0;owned\u0007');
    const { stdout } = scan(['--root', makeRoot({ status: oldOpenssl, osRelease })]);
    expect(stdout).toContain(String.raw`\x1b]0;owned\x07`);
  });
});

describe('exit codes and errors', () => {
  test('--fail-on', () => {
    const vulnerable = makeRoot({ status: oldOpenssl, osRelease: bookworm });
    const unknown = makeRoot({ status: stanza('acme-agent', '1'), osRelease: bookworm });
    expect(scan(['--root', vulnerable, '--fail-on', 'any']).status).toBe(1);
    expect(scan(['--root', vulnerable, '--fail-on', 'fixable']).status).toBe(1);
    expect(scan(['--root', unknown, '--fail-on', 'any']).status).toBe(0);
    expect(scan(['--root', unknown, '--fail-on', 'some']).status).toBe(2);
  });

  test.each([
    ['no os-release', { status: oldOpenssl }, 'os_release_missing'],
    ['no dpkg status', { osRelease: bookworm }, 'dpkg_status_missing'],
    ['an empty status', { osRelease: bookworm, status: '' }, 'dpkg_status_empty'],
    [
      'a truncated status',
      { osRelease: bookworm, status: oldOpenssl.slice(0, -30) },
      'dpkg_status_truncated',
    ],
    [
      'an unknown release',
      { osRelease: bookworm.replace('12', '99'), status: oldOpenssl },
      'release_unknown',
    ],
    ['a rolling release', { osRelease: 'ID=debian\n', status: oldOpenssl }, 'release_unknown'],
    [
      'a release that is a path',
      { osRelease: 'ID=debian\nVERSION_ID=../12\n', status: oldOpenssl },
      'release_unknown',
    ],
    ['another system', { osRelease: 'ID=arch\n', status: oldOpenssl }, 'release_unknown'],
  ])('%s: the code, what to do, exit code 7, and nothing on stdout', (_, parts, code) => {
    const { stdout, stderr, status } = scan(['--root', makeRoot(parts)]);
    expect([status, stdout]).toEqual([7, '']);
    expect(stderr).toContain(`(${code})`);
    expect(stderr).toContain('what to do:');
  });

  test('an unknown release names the known ones', () => {
    const root = makeRoot({ osRelease: bookworm.replace('12', '99'), status: oldOpenssl });
    expect(scan(['--root', root]).stderr).toContain('debian-12');
  });

  test.each([
    [['--root', '/nonexistent/root'], 'root_not_found'],
    [['--root'], 'usage'],
    [['--format', 'xml'], 'usage'],
    [['--nonsense'], 'usage'],
    [['--knowledge', '/nonexistent/knowledge'], 'knowledge_not_found'],
  ])('%j is wrong usage', (args, code) => {
    const { status, stderr } = scan(args);
    expect(status).toBe(2);
    expect(stderr).toContain(`(${code})`);
  });

  test('with --json an error is JSON too', () => {
    const { stderr } = scan(['--root', makeRoot({ osRelease: bookworm }), '--json']);
    expect(JSON.parse(stderr)).toMatchObject({ error: { code: 'dpkg_status_missing' } });
  });
});

describe('the fast start', () => {
  test('says exactly what the slow one says, and gives way when a file that it was made of changes', () => {
    const root = makeRoot({ status: oldOpenssl, osRelease: bookworm });
    const node = join(cli, '../node_modules/.bin/node');
    const slow = spawnSync(node, [join(cli, 'bin/fixpoint.mjs'), 'scan', '--root', root], {
      encoding: 'utf8',
      env: { ...process.env, XDG_CACHE_HOME: cache },
    });
    const program = join(cache, 'fixpoint/fast/entry.js');
    if (!existsSync(program)) {
      console.log('SKIPPED in part: there is no Bun for this platform, so there is no fast start');
      return;
    }
    expect(scan(['--root', root]).stdout).toBe(slow.stdout);
    // Broken on purpose, and of an older time than it was made of: it must not be run.
    const state = join(cache, 'fixpoint/fast/state.json');
    writeFileSync(state, '{}');
    utimesSync(state, 0, 0);
    expect(scan(['--root', root])).toEqual({ stdout: slow.stdout, stderr: '', status: 0 });
  });
});
