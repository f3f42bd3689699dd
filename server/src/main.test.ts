import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { get } from 'node:https';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { afterEach, describe, expect, it } from 'vitest';
import { defaultConfig, type Config } from './config.ts';
import { testDatabase } from './database/test-database.ts';
import { startServer, type RunningServer } from './main.ts';
import { runCommand } from './run-command.ts';
import { carriedKnowledge } from './test-app.ts';

const log = pino({ level: 'silent' });
const cleanups: (() => Promise<unknown> | void)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup();
});

function folder(): string {
  const path = mkdtempSync(join(tmpdir(), 'fixpoint-server-'));
  cleanups.push(() => rmSync(path, { recursive: true }));
  return path;
}

async function start(changes: Partial<Config>): Promise<RunningServer> {
  const server = await startServer({ config: defaultConfig({ port: 0, ...changes }), log });
  cleanups.push(() => server.stop());
  return server;
}

const call = async (server: RunningServer, path: string, token?: string) =>
  await fetch(`${server.url}${path}`, {
    headers: token === undefined ? {} : { authorization: `Bearer ${token}` },
  });

describe('a server', () => {
  it('starts on an empty database, lets its owner in, and starts again as the same server', async () => {
    const database = await testDatabase({ migrated: false });
    cleanups.push(() => database.close());
    const dataFolder = folder();
    const first = await start({ databaseUrl: database.url, dataFolder });
    expect(first.url).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/);
    expect(await (await call(first, '/health')).json()).toMatchObject({ status: 'ok' });
    expect(first.administrator?.password).toHaveLength(20);
    const token = readFileSync(first.operatorTokenFile, 'utf8').trim();
    expect((await call(first, '/api/v1/me')).status).toBe(401);
    expect((await call(first, '/api/v1/me', token)).status).toBe(200);
    await first.stop();
    await first.stop();
    await expect(call(first, '/health')).rejects.toThrow('fetch failed');

    const second = await start({ databaseUrl: database.url, dataFolder });
    expect(second.administrator).toBeNull();
    expect(second.context.keys.order.publicKey).toBe(first.context.keys.order.publicKey);
    expect((await call(second, '/api/v1/me', token)).status).toBe(200);
    const started = await (await call(second, '/api/v1/audit?event=server.started', token)).json();
    expect(started).toMatchObject({ total: 2 });
  });

  it('has a PostgreSQL of its own when it is given none', async () => {
    const dataFolder = folder();
    const server = await start({ dataFolder });
    expect((await call(server, '/health')).status).toBe(200);
    await expect(start({ dataFolder })).rejects.toMatchObject({ code: 'data_folder_in_use' });
    await server.stop();
    const again = await start({ dataFolder });
    expect(again.administrator).toBeNull();
  });

  it('answers by TLS when it has a certificate', async () => {
    const database = await testDatabase({ filling: carriedKnowledge });
    cleanups.push(() => database.close());
    const dataFolder = folder();
    const [certificateFile, keyFile] = [join(dataFolder, 'cert.pem'), join(dataFolder, 'key.pem')];
    const request = [
      'req',
      '-x509',
      '-newkey',
      'ec',
      '-pkeyopt',
      'ec_paramgen_curve:P-256',
      '-nodes',
      '-days',
      '1',
      '-subj',
      '/CN=localhost',
    ];
    const made = await runCommand('openssl', [...request, '-keyout', keyFile, '-out', certificateFile], {
      environment: { PATH: process.env['PATH'] ?? '' },
      timeoutSeconds: 30,
    });
    expect(made.exitCode, made.output).toBe(0);
    const server = await start({ databaseUrl: database.url, dataFolder, tls: { certificateFile, keyFile } });
    expect(server.url).toMatch(/^https:/);
    const status = await new Promise((resolve, reject) => {
      // The certificate is its own authority.
      get(
        `${server.url}/health`,
        { ca: readFileSync(certificateFile), servername: 'localhost', checkServerIdentity: () => undefined },
        (response) => {
          response.resume();
          expect(response.headers['strict-transport-security']).toBeDefined();
          resolve(response.statusCode);
        },
      ).on('error', reject);
    });
    expect(status).toBe(200);
  });

  it('that cannot listen stops what it has started', async () => {
    const blocker = createServer();
    await new Promise<void>((resolve) => blocker.listen(0, '127.0.0.1', resolve));
    cleanups.push(() => new Promise((resolve) => blocker.close(resolve)));
    const address = blocker.address();
    const port = typeof address === 'object' && address !== null ? address.port : 0;
    const dataFolder = folder();
    await expect(start({ dataFolder, port })).rejects.toMatchObject({ code: 'EADDRINUSE' });
    // The folder and its PostgreSQL are free again.
    const server = await start({ dataFolder });
    expect((await call(server, '/health')).status).toBe(200);
  });
});
