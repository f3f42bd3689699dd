import { createServer, type Server } from 'node:http';
import { afterEach, describe, expect, test } from 'vitest';
import type { Clock } from './clock.ts';
import { avoidedBy, blame, createDistribution, filesNamed } from './distribution.ts';
import type { Session } from './session.ts';
import { preparationSeconds } from './task/command.ts';

const servers: Server[] = [];
afterEach(() => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections();
    server.close();
  }
});

/** Answers as a point does, or takes connections and says nothing. */
async function listening(answers: boolean): Promise<string> {
  const server = createServer((_, response) => {
    if (answers) response.end('{}');
  });
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  return `http://127.0.0.1:${String(typeof address === 'object' ? address?.port : 0)}`;
}

function parts() {
  const asked: unknown[] = [];
  const said: string[] = [];
  const time = { now: Date.parse('2026-03-02T10:00:00Z'), elapsed: 0, gives: true };
  const session: Session = {
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion
    call: ((path: string, body: unknown) => {
      asked.push([path, body]);
      return Promise.resolve(
        time.gives
          ? {
              ok: true,
              value: {
                ticket: `ticket-${String(asked.length)}`,
                expires_at: new Date(time.now + 3_600_000).toISOString(),
              },
            }
          : { ok: false, status: 404, code: 'distribution_point_unknown', message: 'no such point' },
      );
    }) as unknown as Session['call'],
    token: () => Promise.resolve('session-1'),
    answers: () => 0,
  };
  const clock: Clock = {
    now: () => time.now,
    elapsedSeconds: () => time.elapsed,
    sleep: () => Promise.resolve(),
  };
  const distribution = createDistribution({
    session,
    clock,
    log: (_, message) => said.push(message),
    serverUrl: 'https://fixpoint.example/base',
    assetId: 'asset-1',
  });
  return { asked, said, time, distribution };
}

const none = new Set<string | null>();
const server = { url: 'https://fixpoint.example', user: 'asset-1', password: 'session-1' };

describe('which point', () => {
  test('the server itself, unless it names another; that one never sees the session, and a ticket is asked for once', async () => {
    const { distribution, asked, time } = parts();
    expect(await distribution.choose(none)).toEqual(server);
    const url = await listening(true);
    distribution.heard({ url, name: 'berlin' });
    const near = { url, user: 'asset-1', password: 'ticket-1', name: 'berlin' };
    expect(await distribution.choose(none)).toEqual(near);
    expect(await distribution.choose(none)).toEqual(near);
    expect(asked).toEqual([['/agent/v1/distribution-ticket', { point: 'berlin' }]]);
    // what is handed out is good for as long as a step may take
    time.elapsed += 3_600 - preparationSeconds;
    expect(await distribution.choose(none)).toMatchObject({ password: 'ticket-2' });
    distribution.heard(undefined);
    expect(await distribution.choose(none)).toEqual(server);
  });

  test('one that does not answer is passed over within seconds, for a while, and that is said', async () => {
    const { distribution, said, time } = parts();
    const silent = await listening(false);
    distribution.heard({ url: silent, name: 'berlin' });
    const began = performance.now();
    expect(await distribution.choose(none)).toEqual(server);
    expect(performance.now() - began).toBeLessThan(5_000);
    expect(await distribution.choose(none)).toEqual(server);
    expect(said).toEqual(['the distribution point does not answer; packages come from the server']);
    distribution.heard({ url: 'http://127.0.0.1:9', name: 'hamburg' });
    expect(await distribution.choose(none)).toEqual(server);
    const url = await listening(true);
    distribution.heard({ url, name: 'berlin' });
    time.elapsed += 200;
    expect(await distribution.choose(none)).toMatchObject({ name: 'berlin' });
  });

  test('one that did not do for a task is avoided for it; when the server did not do either, the host goes its own way', async () => {
    const { distribution } = parts();
    distribution.heard({ url: await listening(true), name: 'berlin' });
    expect(await distribution.choose(new Set(['berlin']))).toEqual(server);
    expect(await distribution.choose(new Set(['berlin', null]))).toEqual({ ...server, direct: true });
  });

  test('without a ticket: the server', async () => {
    const { distribution, time } = parts();
    time.gives = false;
    distribution.heard({ url: await listening(true), name: 'berlin' });
    expect(await distribution.choose(none)).toEqual(server);
  });
});

describe('who is to blame', () => {
  const near = { ...server, name: 'berlin' };
  const output =
    'Get:1 http://deb.example/debian bookworm/main amd64 openssl\n' +
    'Err:1 http://deb.example/debian bookworm/main amd64 openssl\n  Hash Sum mismatch\n' +
    'E: Failed to fetch http://deb.example/debian/pool/o/openssl.deb  Hash Sum mismatch\n' +
    'W: GPG error: http://deb.example/debian bookworm-security InRelease: At least one invalid signature was encountered.\n';

  test('files are named as far as the package manager names them', () => {
    expect(filesNamed(output)).toEqual([
      'http://deb.example/debian/pool/o/openssl.deb',
      'http://deb.example/debian/dists/bookworm-security/InRelease',
    ]);
    const rpm = "[MIRROR] acme-1.el9.x86_64.rpm: Downloading successful, but checksum doesn't match.\n";
    expect(filesNamed(`${rpm}${rpm}Error: GPG check FAILED\n`)).toEqual(['acme-1.el9.x86_64.rpm']);
    expect(filesNamed('Problem opening package acme-1.el9.x86_64.rpm')).toEqual(['acme-1.el9.x86_64.rpm']);
    expect(filesNamed('E: Failed to fetch http://user:word@deb.example/x  404')).toEqual([]);
  });

  test('a forged file is held against the point that it came through, the server included; an outage only against one near', () => {
    expect(blame(near, 'hash_mismatch', output)).toMatchObject({ point: 'berlin', problem: 'hash_mismatch' });
    expect(blame(server, 'signature_invalid', output)).toMatchObject({
      point: null,
      problem: 'signature_invalid',
    });
    expect(blame(near, 'repository_unreachable', '')).toEqual({
      point: 'berlin',
      problem: 'not_reached',
      files: [],
    });
    expect(blame(server, 'repository_unreachable', '')).toBeNull();
    // one that sends a byte now and then is never given up by itself
    expect(blame(near, 'timeout', '')).toMatchObject({ point: 'berlin', problem: 'not_reached' });
    expect(blame(server, 'timeout', '')).toBeNull();
    // the host lacks a key: nobody has forged anything
    expect(blame(server, 'signature_invalid', 'GPG error: NO_PUBKEY 0E98404D386FA1D9')).toBeNull();
    expect(blame(near, 'signature_invalid', "The repository 'http://x y' is not signed.")).toMatchObject({
      problem: 'not_reached',
    });
    expect(blame(near, 'version_not_available', '')).toBeNull();
    expect(blame(near, 'disk_full', '')).toBeNull();
    expect(blame({ ...server, direct: true }, 'hash_mismatch', output)).toBeNull();
  });

  test('what was tried stands in the journal', () => {
    const distribution = { point: 'berlin', problem: 'not_reached' as const, files: [] };
    const detail = { distribution };
    expect([...avoidedBy([{}, { event: { detail } }, { event: {} }])]).toEqual(['berlin']);
  });
});
