import { spawn, type ChildProcess } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { InstallOrder } from '@fixpoint/contract/order.ts';
import { inventoryDigests } from '@fixpoint/core/inventory/digest.ts';
import { backoffMaximumSeconds, backoffSeconds, jitteredSeconds } from './backoff.ts';
import { systemClock } from './clock.ts';
import { composeReport } from './inventory-report.ts';
import { startTestServer, type TestServer } from './test-server.ts';

/** The agent as a process of its own against a real HTTP server that implements the contract, on this machine's real data. */

const main = fileURLToPath(new URL('main.ts', import.meta.url));
let server: TestServer;
let dir: string;
let running: ChildProcess[] = [];

beforeEach(async () => {
  server = await startTestServer();
  dir = mkdtempSync(join(tmpdir(), 'fixpoint-agent-'));
});
afterEach(async () => {
  for (const child of running) child.kill('SIGKILL');
  running = [];
  await server.close();
  rmSync(dir, { recursive: true, force: true });
});

interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

function agent(...argv: string[]): { readonly child: ChildProcess; readonly ended: Promise<Ended> } {
  const child = spawn(process.execPath, [main, ...argv], { stdio: ['ignore', 'pipe', 'pipe'] });
  running.push(child);
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
  return {
    child,
    ended: new Promise((resolve) => {
      child.on('close', (code) => {
        resolve({ code, stdout, stderr });
      });
    }),
  };
}

const enroll = (...more: string[]): Promise<Ended> =>
  agent('enroll', '--server', server.url, '--token', server.token, '--state', dir, ...more).ended;

async function until(condition: () => boolean, what: string): Promise<void> {
  for (let i = 0; i < 400 && !condition(); i++) await systemClock.sleep(0.05);
  expect(condition(), what).toBe(true);
}

function order(changed: Partial<InstallOrder> = {}): InstallOrder {
  return {
    format: 1,
    action: 'install',
    asset_id: server.assetId,
    task_id: randomUUID(),
    deployment_id: randomUUID(),
    generation: 1,
    sequence: 1,
    issued_at: new Date(systemClock.now()).toISOString(),
    expires_at: new Date(systemClock.now() + 600_000).toISOString(),
    packages: [{ name: 'dpkg', arch: 'amd64', from: '1', to: '2', source: 'dpkg', source_version: '2' }],
    units: 'leave',
    install_timeout_seconds: 60,
    ...changed,
  };
}

describe('enrolment', () => {
  test('makes a key of its own, and can be repeated', async () => {
    const first = await enroll();
    expect(first).toMatchObject({ code: 0, stderr: '' });
    expect(first.stdout).toContain(`enrolled at ${server.url} as asset ${server.assetId}, mode assess`);
    expect(statSync(join(dir, 'key.pem')).mode & 0o777).toBe(0o600);
    expect(statSync(dir).mode & 0o777).toBe(0o700);
    const second = await enroll();
    expect(second.code).toBe(0);
    expect(second.stdout).toMatch(/^already enrolled/u);
  });

  test('believes only the server that the token was made by', async () => {
    const other = await startTestServer();
    try {
      // The token of this server, at an address where another one answers: it does not even know the token.
      const wrong = await agent('enroll', '--server', other.url, '--token', server.token, '--state', dir)
        .ended;
      expect(wrong).toMatchObject({ code: 3 });
      expect(wrong.stderr).toContain('enrolment_token_invalid');
      // One that takes any token, and has another key.
      const stranger = `${server.token.slice(0, -22)}${other.token.slice(-22)}`;
      server.acceptToken(stranger);
      const mismatch = await agent('enroll', '--server', server.url, '--token', stranger, '--state', dir)
        .ended;
      expect(mismatch).toMatchObject({ code: 3 });
      expect(mismatch.stderr).toContain('code: server_key_mismatch');
      expect((await agent('run', '--state', dir).ended).code).toBe(5);
    } finally {
      await other.close();
    }
  });

  test.each([
    [['enroll', '--server', 'http://x', '--token', 'fxe_short'], 2, 'token_malformed'],
    [
      ['enroll', '--server', 'ftp://x', '--token', `fxe_${'a'.repeat(43)}.${'b'.repeat(22)}`],
      2,
      'server_url_invalid',
    ],
    [['enroll', '--token', 'x'], 2, 'usage'],
    [['run', '--nonsense'], 2, 'usage'],
    [['dance'], 2, 'usage'],
    [
      ['enroll', '--server', 'http://127.0.0.1:1', '--token', `fxe_${'a'.repeat(43)}.${'b'.repeat(22)}`],
      4,
      'server_unreachable',
    ],
  ])('%j exits with %i: %s', async (argv, code, name) => {
    const ended = await agent(...argv, ...(argv[0] === 'dance' ? [] : ['--state', dir])).ended;
    expect(ended.code).toBe(code);
    expect(ended.stderr).toContain(`code: ${name}`);
    expect(ended.stderr).toContain('what to do: ');
  });
});

describe('a running agent', () => {
  test('reports everything once, then only what changes; and ends cleanly', async () => {
    await enroll();
    const { child, ended } = agent('run', '--state', dir);
    await until(() => server.checkIns.length >= 3, 'three check-ins');
    expect(server.reports[0]?.packages?.length).toBeGreaterThan(50);
    expect(server.inventory()?.host.os).toBe('debian');
    expect(server.reports.slice(1).every((r) => r.packages === undefined)).toBe(true);
    expect(server.sessionsOpened()).toBe(1);

    server.forgetSessions();
    const before = server.checkIns.length;
    await until(() => server.checkIns.length > before, 'a check-in with a new session');
    expect(server.sessionsOpened()).toBe(2);

    server.forgetInventory();
    await until(() => server.inventory() !== null, 'everything again when the server has lost it');

    const another = await agent('run', '--state', dir).ended;
    expect(another).toMatchObject({ code: 6 });
    expect(another.stderr).toContain('already_running');

    child.kill('SIGTERM');
    expect((await ended).code).toBe(0);
  });

  test('told to end during a check-in, it does not sleep over it', async () => {
    await enroll();
    const { child, ended } = agent('run', '--state', dir);
    await until(() => server.inventory() !== null, 'the first inventory');
    server.nextCheckInSeconds = 3600;
    server.duringCheckIn = () => child.kill('SIGTERM');
    await until(() => child.exitCode !== null, 'the end, within the time of a test and not an hour');
    expect((await ended).code).toBe(0);
  });

  test('outlives a server that fails, and backs off', async () => {
    await enroll();
    server.failWith = 503;
    const { child, ended } = agent('run', '--state', dir);
    await until(() => server.failedCalls() >= 3, 'calls that fail');
    expect(child.exitCode).toBe(null);
    server.failWith = null;
    await until(() => server.inventory() !== null, 'the inventory, when the server is back');
    child.kill('SIGTERM');
    const { stdout } = await ended;
    expect(stdout).toContain('failing_on_purpose');
  });

  test('refuses bad orders, tells each once, and installs nothing', async () => {
    await enroll('--mode', 'manage');
    const good = server.sign(order());
    server.orders = [
      { ...good, payload: good.payload.replace('"leave"', '"restart"') },
      server.sign(order({ expires_at: '2020-01-01T00:00:00Z' })),
      server.sign(order({ asset_id: randomUUID() })),
      server.sign('not json'),
      good,
    ];
    const { child, ended } = agent('run', '--state', dir);
    await until(() => server.refusals.length >= 5 && server.checkIns.length >= 4, 'five refusals');
    expect(server.refusals.map((r) => r.reason).sort()).toEqual([
      'expired',
      'malformed',
      'other_asset',
      'signature_invalid',
      'versions_differ',
    ]);
    expect(server.events).toEqual([]);
    child.kill('SIGTERM');
    await ended;
    // Delivered again and again, each was told once.
    expect(server.refusals).toHaveLength(5);
  });

  test('asks once for each check-in while a task waits for its window', async () => {
    await enroll('--mode', 'manage');
    const { child, ended } = agent('run', '--state', dir);
    await until(() => server.inventory() !== null, 'the inventory');
    const at = (minutes: number): string => new Date(systemClock.now() + minutes * 60_000).toISOString();
    const mitigation = {
      id: 'module-dccp',
      steps: [{ kind: 'kernel_module_blacklist' as const, module: 'dccp' }],
      restart_units: [],
    };
    server.orders = [
      server.sign(
        order({
          packages: [],
          mitigations: [{ action: 'apply', mitigation }],
          windows: [{ opens_at: at(60), closes_at: at(120) }],
          expires_at: at(120),
        }),
      ),
    ];
    await until(() => server.events.some((e) => e.state === 'waiting_for_window'), 'that it waits');
    server.nextCheckInSeconds = 60;
    await systemClock.sleep(1.5);
    const before = server.checkIns.length;
    await systemClock.sleep(3);
    expect(server.checkIns.length - before).toBeLessThanOrEqual(1);
    child.kill('SIGTERM');
    expect((await ended).code).toBe(0);
  });

  test('in mode assess it refuses whatever is right otherwise', async () => {
    await enroll();
    const { child, ended } = agent('run', '--state', dir);
    await until(() => server.inventory() !== null, 'the inventory');
    const p = server.inventory()?.packages.find((each) => each.name === 'dpkg');
    if (p === undefined) throw new Error('dpkg is installed');
    server.orders = [
      server.sign(
        order({
          packages: [
            {
              name: p.name,
              arch: p.arch,
              from: p.version,
              to: `${p.version}.1`,
              source: p.source,
              source_version: '9',
            },
          ],
        }),
      ),
    ];
    await until(() => server.refusals.length > 0, 'a refusal');
    expect(server.refusals[0]?.reason).toBe('assess_only');
    child.kill('SIGTERM');
    await ended;
  });
});

describe('what is sent', () => {
  const host = {
    hostname: 'h',
    os: 'debian',
    os_release: '12',
    os_title: '',
    arch: 'amd64',
    addresses: [],
    boot_id: 'b',
    booted_at: '2026-01-01T00:00:00.000Z',
    running_kernel: 'k',
    kernels: [],
    machine: 'container',
    reboot_required: false,
    reboot_required_by: [],
    held: [],
    units: [],
  } as const;
  const p = (name: string, version: string) => ({
    name,
    arch: 'amd64',
    version,
    source: name,
    source_version: version,
  });
  const collected = (packages: ReturnType<typeof p>[]) => {
    const inventory = { packages, candidates: [], host, residue: [] };
    return { inventory, digests: inventoryDigests(inventory), collectedAt: 0, problems: [] };
  };
  const before = collected([p('a', '1'), p('b', '1')]);
  const after = collected([p('a', '2'), p('c', '1')]);

  test('everything to a server that holds nothing', () => {
    const report = composeReport(after, null, before.inventory.packages);
    expect(Object.keys(report ?? {}).sort()).toEqual([
      'candidates',
      'collected_at',
      'digests',
      'host',
      'packages',
      'residue',
    ]);
  });
  test('the difference where the base is known', () => {
    const report = composeReport(after, before.digests, before.inventory.packages);
    expect(report?.package_delta).toEqual({
      base: before.digests.packages,
      set: [p('a', '2'), p('c', '1')],
      removed: ['b:amd64'],
    });
    expect(report?.packages).toBeUndefined();
    expect(report?.host).toBeUndefined();
  });
  test('all packages where it is not', () => {
    expect(composeReport(after, before.digests, null)?.packages).toHaveLength(2);
    expect(composeReport(after, before.digests, [p('x', '1')])?.packages).toHaveLength(2);
  });
  test('nothing when nothing differs', () => {
    expect(composeReport(after, after.digests, null)).toBe(null);
  });
});

describe('waiting', () => {
  test('grows with failures up to a limit, over the whole range', () => {
    expect([1, 2, 3, 20, 5_000].map((n) => backoffSeconds(n, { fraction: () => 1 }))).toEqual([
      2, 4, 8, 300, 300,
    ]);
    expect(backoffSeconds(9, { fraction: () => 0 })).toBe(0.1);
    expect(backoffMaximumSeconds).toBe(300);
  });
  test('is spread by a tenth around what the server asked for', () => {
    expect(jitteredSeconds(60, { fraction: () => 0 })).toBeCloseTo(54);
    expect(jitteredSeconds(60, { fraction: () => 1 })).toBeCloseTo(66);
  });
});
