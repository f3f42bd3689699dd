import * as http from 'node:http';
import { readFileSync, rmSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { afterAll, afterEach, beforeEach, describe, expect, test } from 'vitest';
import { parseUnitHealth, type UnitHealth } from '../collect/unit-health.ts';
import { policyFromText } from '../policy.ts';
import { TaskFailed } from './context.ts';
import { compareHealth, takeBaseline } from './health.ts';
import { compareLooks, type HealthLook } from './health-compare.ts';
import { nameOfProbe, refusalToReach, runProbe, type Probe } from './probe.ts';
import { createStepTest, type StepTest } from './task-double.ts';

const unit = (name: string, more: Partial<UnitHealth> = {}): UnitHealth => ({
  name,
  active: 'active',
  sub: 'running',
  restarts: 0,
  young: false,
  lasting: true,
  ...more,
});
const look = (units: readonly UnitHealth[] | null, probes: HealthLook['probes'] = []): HealthLook => ({
  units,
  probes,
});
const failed = { active: 'failed', sub: 'failed' };
const waitsToStart = { active: 'activating', sub: 'auto-restart' };

describe('units compared', () => {
  test.each<[string, UnitHealth[], UnitHealth[], string[], string[]]>([
    ['nothing changed', [unit('a')], [unit('a')], [], []],
    ['one failed', [unit('a')], [unit('a', failed)], ['a'], []],
    ['one that nobody knew failed', [], [unit('a', failed)], ['a'], []],
    ['one had failed before', [unit('a', failed)], [unit('a', failed)], [], []],
    ['one had failed before and is well now', [unit('a', failed)], [unit('a')], [], []],
    ['one is gone', [unit('a')], [], [], ['a']],
    ['one stopped', [unit('a')], [unit('a', { active: 'inactive', sub: 'dead' })], [], ['a']],
    ['one does not come up', [unit('a')], [unit('a', { active: 'activating', sub: 'start' })], [], ['a']],
    ['one was stopped already', [unit('a', { active: 'inactive' })], [], [], []],
    ['one that only comes and goes is gone', [unit('a', { lasting: false })], [], [], []],
    ['one started anew once by itself', [unit('a')], [unit('a', { restarts: 1 })], [], []],
    ['one is in a loop', [unit('a')], [unit('a', { restarts: 2 })], ['a'], []],
    ['one waits to be started again', [unit('a')], [unit('a', { restarts: 1, ...waitsToStart })], ['a'], []],
    [
      'one was started by somebody, and is in a loop since',
      [unit('a', { restarts: 7 })],
      [unit('a', { restarts: 3 })],
      ['a'],
      [],
    ],
    [
      'one was in a loop before',
      [unit('a', { restarts: 7, young: true })],
      [unit('a', { restarts: 9 })],
      [],
      [],
    ],
    ['one waited to be started before', [unit('a', waitsToStart)], [unit('a', failed)], [], []],
    ['the agent itself is starting', [unit('agent')], [unit('agent', { active: 'activating' })], [], []],
  ])('%s', (_, before, after, newlyFailed, gone) => {
    const { health, worse } = compareLooks(look(before), look(after), 'agent', true);
    expect(health).toMatchObject({ newly_failed_units: newlyFailed, units_gone: gone });
    expect(worse).toHaveLength(newlyFailed.length + gone.length);
    expect(compareLooks(look(before), look(after), 'agent', false).worse).toEqual([]);
  });
  test('where systemd cannot be asked, that is said, and holds nothing up', () => {
    const { health, worse } = compareLooks(look([unit('a')]), look(null), null, true);
    expect(worse).toEqual([]);
    expect(health.probes).toMatchObject([{ probe: 'units', before: 'ok', after: 'unknown' }]);
  });
  test('only a probe that was well can become worse', () => {
    const states = ['ok', 'failed', 'refused', 'unknown'] as const;
    const worse = states.flatMap((before) =>
      states
        .filter(
          (after) =>
            compareLooks(
              look([], [{ probe: 'p', state: before, message: '' }]),
              look([], [{ probe: 'p', state: after, message: 'm' }]),
              null,
              true,
            ).worse.length > 0,
        )
        .map((after) => `${before} → ${after}`),
    );
    expect(worse).toEqual(['ok → failed']);
  });
});

test('systemctl show, as systemd 252 wrote it on a host of the lab', () => {
  const text = readFileSync(new URL('../collect/recorded/systemctl-show-units.txt', import.meta.url), 'utf8');
  const units = new Map(parseUnitHealth(text, 39_487.87).map((one) => [one.name, one]));
  expect(units.size).toBe(19);
  expect(units.get('nginx.service')).toEqual(unit('nginx.service', { young: true }));
  expect(units.get('systemd-networkd.service')?.lasting).toBe(true);
  expect(units.get('systemd-hostnamed.service')).toMatchObject({ active: 'active', lasting: false });
  expect(units.get('broken.service')).toMatchObject({ ...failed, restarts: 0 });
  // Five times within a few seconds, then systemd gave up.
  expect(units.get('loop.service')).toMatchObject({ ...failed, restarts: 5, young: true });
  expect(parseUnitHealth(text, 40_000).find((one) => one.name === 'nginx.service')?.young).toBe(false);
  expect(parseUnitHealth('Id=nothing.service\nLoadState=not-found\nActiveState=inactive\n', 1)).toEqual([]);
  expect(parseUnitHealth('', 1)).toEqual([]);
});

let server: http.Server;
let port = 0;
let answer: (request: http.IncomingMessage, response: http.ServerResponse) => void;
let step: StepTest | null = null;
beforeEach(async () => {
  answer = (_, response) => response.end('well');
  server = http.createServer((request, response) => {
    answer(request, response);
  });
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  // oxlint-disable-next-line no-unsafe-type-assertion
  ({ port } = server.address() as AddressInfo);
});
afterEach(async () => {
  server.closeAllConnections();
  await new Promise((resolve) => {
    server.close(resolve);
  });
  if (step !== null) rmSync(step.dir, { recursive: true, force: true });
  step = null;
});

const none = { policy: null, actions: new Map(), probes: new Map() };
const url = (path = '/'): string => `http://127.0.0.1:${String(port)}${path}`;
const made = createStepTest('', {});
const task = { order: made.task().order };
afterAll(() => {
  rmSync(made.dir, { recursive: true, force: true });
});
const ask = (probe: Probe, policy = none as Parameters<typeof runProbe>[2]) =>
  runProbe(probe, task, policy, 'health');
const getting = (path: string, status?: number): Probe => ({
  kind: 'http',
  url: url(path),
  timeout_seconds: 1,
  ...(status === undefined ? {} : { status }),
});

describe('probes', () => {
  test('TCP: connection, none, and none in time', async () => {
    const tcp = (to: number): Probe => ({ kind: 'tcp', host: '127.0.0.1', port: to, timeout_seconds: 1 });
    expect(await ask(tcp(port))).toMatchObject({ probe: `tcp 127.0.0.1:${String(port)}`, state: 'ok' });
    const closed = await ask(tcp(1));
    expect(closed.state).toBe('failed');
    expect(closed.message).toContain('ECONNREFUSED');
  });
  test('HTTP: by its status, without following a redirect, in time', async () => {
    const paths: string[] = [];
    answer = (request, response) => {
      paths.push(request.url ?? '');
      if (request.url === '/slow') return;
      if (request.url === '/large') {
        response.writeHead(200);
        const more = (): void => {
          while (!response.destroyed && response.write('x'.repeat(10_000)));
          if (!response.destroyed) response.once('drain', more);
        };
        more();
        return;
      }
      response.writeHead(request.url === '/away' ? 302 : request.url === '/bad' ? 503 : 200, {
        location: '/elsewhere',
      });
      response.end('x');
    };
    expect(await ask(getting('/'))).toMatchObject({ state: 'ok', message: 'It answered 200.' });
    expect(await ask(getting('/large'))).toMatchObject({ state: 'ok' });
    expect(await ask(getting('/away'))).toMatchObject({ state: 'ok', message: 'It answered 302.' });
    expect(await ask(getting('/away', 200))).toMatchObject({ state: 'failed' });
    expect(await ask(getting('/bad'))).toMatchObject({ state: 'failed', message: 'It answered 503.' });
    expect(await ask(getting('/bad', 503))).toMatchObject({ state: 'ok' });
    expect(await ask(getting('/slow'))).toMatchObject({
      state: 'failed',
      message: 'No whole answer within 1 s.',
    });
    expect(paths).not.toContain('/elsewhere');
  });
  test('TLS that fails is a failure with its reason', async () => {
    const found = await ask({ kind: 'http', url: url().replace('http:', 'https:'), timeout_seconds: 2 });
    expect(found.state).toBe('failed');
    expect(found.message).toMatch(/^TLS failed: /u);
  });
  test('what stands before @ in a URL is told nobody', () => {
    expect(nameOfProbe({ kind: 'http', url: 'https://u:secret@h/', timeout_seconds: 1 })).toBe(
      'http https://[redacted]@h/',
    );
  });
  test('a command: what the policy names, by its exit code, in time, with what it started', async () => {
    const policy = policyFromText(`
[probes.well]
command = ["/bin/sh", "-c", "echo all well $WORD"]
environment = { WORD = "here" }
[probes.ill]
command = ["/bin/sh", "-c", "echo why >&2; exit 4"]
[probes.slow]
command = ["/bin/sh", "-c", "sleep 30 & sleep 30"]
timeout_seconds = 1
[probes.missing]
command = ["/nonexistent/program"]
`);
    const run = (name: string) => ask({ kind: 'command', name, timeout_seconds: 10 }, policy);
    expect(await run('well')).toEqual({ probe: 'command well', state: 'ok', message: 'all well here' });
    expect(await run('ill')).toMatchObject({
      state: 'failed',
      message: 'It exited with 4. Its last line: why',
    });
    expect(await run('slow')).toMatchObject({ state: 'failed', message: 'It took longer than 1 s.' });
    expect(await run('missing')).toMatchObject({ state: 'unknown' });
    expect(await run('other')).toMatchObject({ state: 'refused' });
  });
  test('go to the host itself, and farther only where the policy names it', () => {
    const policy = policyFromText(
      '[probes]\ntargets = ["db.internal:5432", "status.internal", "[2001:db8::1]:443"]',
    );
    const may = (host: string, to: number, of = policy) => refusalToReach(host, to, of) === null;
    for (const own of ['127.0.0.1', '127.8.8.8', '::1', '[::1]', 'localhost', 'LOCALHOST']) {
      expect(may(own, 80)).toBe(true);
      expect(may(own, 80, none as typeof policy)).toBe(true);
    }
    expect(may('db.internal', 5432)).toBe(true);
    expect(may('DB.internal', 5432)).toBe(true);
    expect(may('db.internal', 22)).toBe(false);
    expect(may('status.internal', 22)).toBe(true);
    expect(may('[2001:db8::1]', 443)).toBe(true);
    for (const other of [
      '192.0.2.1',
      '169.254.169.254',
      '0.0.0.0',
      'db.internal.example',
      '2001:db8::2',
      '',
    ]) {
      expect(may(other, 80)).toBe(false);
      expect(may(other, 80, none as typeof policy)).toBe(false);
    }
    expect(may('127.0.0.1', 80, policyFromText('?'))).toBe(false);
  });
});

describe('before and after', () => {
  const begin = (probes: readonly Probe[], settleSeconds = 0): StepTest => {
    step = createStepTest('', {
      health: { probes: [...probes], failed_units: false, settle_seconds: settleSeconds },
    });
    return step;
  };
  test('as well as before is told; what was ill before is not held against it', async () => {
    answer = (request, response) => {
      response.writeHead(request.url === '/ill' ? 500 : 200).end();
    };
    const t = begin([getting('/'), getting('/ill'), { kind: 'command', name: 'x', timeout_seconds: 1 }]);
    await takeBaseline(t.task(), t.context);
    await compareHealth(t.again(), t.context);
    expect(t.task().events()).toMatchObject([
      {
        message: 'As well as before; 2 of 3 probes are not well now, and were not before.',
        detail: {
          health: {
            probes: [
              { before: 'ok', after: 'ok' },
              { before: 'failed', after: 'failed' },
              { before: 'refused', after: 'refused' },
            ],
          },
        },
      },
    ]);
    expect(t.task().isDone('health')).toBe(true);
  });
  test('worse than before fails the task, with the comparison', async () => {
    const t = begin([getting('/')]);
    await takeBaseline(t.task(), t.context);
    answer = (_, response) => response.writeHead(500).end();
    const failure = await compareHealth(t.task(), t.context).catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(TaskFailed);
    expect(failure).toMatchObject({
      failure: 'health_failed',
      detail: { health: { probes: [{ before: 'ok', after: 'failed', message: 'It answered 500.' }] } },
    });
    expect(t.task().isDone('health')).toBe(false);
  });
  test('a probe has its time to be well again', async () => {
    const t = begin([getting('/')], 20);
    await takeBaseline(t.task(), t.context);
    let asked = 0;
    answer = (_, response) => response.writeHead(++asked < 3 ? 500 : 200).end();
    await compareHealth(t.task(), t.context);
    expect(asked).toBeGreaterThan(3);
  }, 20_000);
  test('what looked well at first and is not a moment later has failed', async () => {
    const t = begin([getting('/')], 3);
    await takeBaseline(t.task(), t.context);
    let asked = 0;
    answer = (_, response) => response.writeHead(++asked < 2 ? 200 : 500).end();
    await expect(compareHealth(t.task(), t.context)).rejects.toThrow('Worse than before');
  }, 20_000);
  test('the baseline is taken once', async () => {
    const t = begin([getting('/')]);
    await takeBaseline(t.task(), t.context);
    answer = (_, response) => response.writeHead(500).end();
    await takeBaseline(t.again(), t.context);
    await expect(compareHealth(t.task(), t.context)).rejects.toThrow(TaskFailed);
  });
  test('an order that does not ask for it is not looked at', async () => {
    step = createStepTest('', {});
    await takeBaseline(step.task(), step.context);
    await compareHealth(step.task(), step.context);
    expect(step.task().events()).toEqual([]);
  });
});
