/**
 * A server is killed while hosts report to it. What it had accepted is there, whole; what it had not is there whole or not at all;
 * and a read model that comes up afterwards, or was there all the time beside it, is what the database says.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { request } from 'node:http';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { AgentDouble, debianPackage } from '../deployment/agent-double.ts';
import { debianTracker } from '../feed/debian-tracker/debian-tracker.ts';
import { madeUpFile } from '../feed/recorded.ts';
import { importFeed } from '../knowledge/import.ts';
import { testApp, type TestApp } from '../test-app.ts';
import { systemClock } from '../clock.ts';
import { expectAgreement } from './test-agreement.ts';
import { openPosture } from './open.ts';

const rounds = Number(process.env['FIXPOINT_RUNS'] ?? 2);
const hosts = 4;
const names = ['openssl', 'curl', 'bash', 'zlib'];

let shared: TestApp;
let server: ChildProcess | null = null;
let url = '';
beforeAll(async () => {
  // Of this only its database is used: requests go to the server that is killed.
  shared = await testApp([], { clock: { ...systemClock, pass: () => {} } });
  const tracker = Object.fromEntries(
    names.map((name, i) => [
      name,
      { [`CVE-2026-200${i}`]: { releases: { bookworm: { status: 'resolved', fixed_version: '5.0-1' } } } },
    ]),
  );
  const imported = await importFeed(shared.context, debianTracker, madeUpFile(JSON.stringify(tracker)), {
    actor: { kind: 'system', name: 'test' },
  });
  if (!imported.ok) throw new Error(imported.message);
});
afterAll(async () => {
  server?.kill('SIGKILL');
  await shared.close();
});

async function start(): Promise<void> {
  const script = join(import.meta.dirname, 'killed-server.ts');
  const { databaseUrl, dataFolder } = {
    databaseUrl: shared.database.url,
    dataFolder: shared.context.config.dataFolder,
  };
  server = spawn(process.execPath, [script, databaseUrl, dataFolder], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  if (server.stdout === null) throw new Error('the server has no output');
  const [line] = await once(createInterface({ input: server.stdout }), 'line');
  url = String(line);
}

/** As the application's own `inject`, to the server of the moment. */
function inject(options: {
  readonly method: string;
  readonly url: string;
  readonly payload: object;
  readonly headers?: Record<string, string>;
}): Promise<{ statusCode: number; body: string; json(): unknown }> {
  return new Promise((resolve, reject) => {
    const body = JSON.stringify(options.payload);
    const sent = request(
      `${url}${options.url}`,
      { method: options.method, headers: { ...options.headers, 'content-type': 'application/json' } },
      (answer) => {
        let text = '';
        answer.setEncoding('utf8');
        answer.on('data', (chunk: string) => (text += chunk));
        answer.on('end', () =>
          resolve({ statusCode: answer.statusCode ?? 0, body: text, json: () => JSON.parse(text) }),
        );
        answer.on('error', reject);
      },
    );
    sent.on('error', reject);
    sent.end(body);
  });
}

/** A host that sends one inventory after the other until the server is gone. */
class Reporting {
  readonly agent: AgentDouble;
  /** Digest of the packages that were accepted last, and of those whose answer never came. */
  accepted: string;
  doubtful: string | null = null;
  count = 0;

  constructor(agent: AgentDouble) {
    this.agent = agent;
    this.accepted = agent.digests().packages;
  }

  async reportUntilKilled(): Promise<void> {
    for (;;) {
      this.count += 1;
      this.agent.host.packages = names
        .filter((_, i) => (this.count + i) % 5 !== 0)
        .map((name, i) => debianPackage(name, `${1 + ((this.count * 3 + i) % 8)}.0-1`));
      this.doubtful = this.agent.digests().packages;
      try {
        await this.agent.sendInventory();
      } catch (error) {
        if (String(error).includes('answered')) throw error;
        return;
      }
      this.accepted = this.doubtful;
      this.doubtful = null;
    }
  }
}

test(
  'a killed server loses no accepted check-in and leaves nothing dangling',
  { timeout: 300_000 },
  async () => {
    await start();
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the agent's double needs no more of it
    const reached = {
      ...shared,
      app: { inject },
      clock: { ...systemClock, pass: () => {} },
    } as unknown as TestApp;
    const beside = openPosture(shared.context, shared.database.pool);
    const reporting = await Promise.all(
      Array.from({ length: hosts }, async (_, i) => {
        const host = { packages: [debianPackage('bash', '1.0-1')], candidates: [], residue: [], held: [] };
        return new Reporting(await AgentDouble.enrol(reached, `host-${i}`, host));
      }),
    );
    let accepted = 0;
    for (let round = 0; round < rounds; round++) {
      const running = reporting.map(async (one) => await one.reportUntilKilled());
      await sleep(150 + ((round * 137) % 400));
      const killed = server === null ? null : once(server, 'exit');
      server?.kill('SIGKILL');
      await Promise.all([killed, ...running]);
      // PostgreSQL ends what the killed server had begun once it notices; until then its locks are there.
      await shared.database.pool.query(
        `select pg_terminate_backend(pid) from pg_stat_activity
       where datname = current_database() and state <> 'idle' and pid <> pg_backend_pid()`,
      );
      const { rows } = await shared.database.pool.query<{
        uid: string;
        packages: string;
        software: number[];
        replayed: number[];
      }>(
        `select a.uid, a.digests->>'packages' as packages, a.software, (
         select coalesce(array_agg(id order by id), '{}') from (
           select id from change_log l cross join lateral (
             select unnest(l.added) as id, 1 as n union all select unnest(l.removed), -1) c
           where l.asset_id = a.id group by id having sum(n) > 0) held) as replayed
       from asset a`,
      );
      const byUid = new Map(rows.map((row) => [row.uid, row]));
      for (const one of reporting) {
        const row = byUid.get(one.agent.uid);
        expect([one.accepted, one.doubtful]).toContain(row?.packages);
        // The log of changes adds up to what the asset has.
        expect(row?.replayed).toEqual(row?.software);
        if (row !== undefined) one.accepted = row.packages;
        accepted += one.count;
      }
      await expectAgreement(shared.database.pool, await beside.fresh(), shared.clock.now());
      const { rows: dangling } = await shared.database.pool.query(
        `select a.id, u.id as software from asset a cross join lateral unnest(a.software) as u(id)
       where not exists (select from software s where s.id = u.id)`,
      );
      expect(dangling).toEqual([]);
      await start();
      for (const one of reporting) await one.agent.openSession();
    }
    expect(accepted).toBeGreaterThan(rounds * hosts);
    await beside.stop();
  },
);
