/**
 * Check-ins as agents send them: over HTTP with their sessions, to a whole server with PostgreSQL on the same machine. The
 * client is a process of its own on the same processors.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { sql } from 'kysely';
import { pino } from 'pino';
import { diffPackages, packagesDigest } from '@fixpoint/core/inventory/digest.ts';
import { buildApp, type ServerContext } from '@fixpoint/server/app.ts';
import { openKnownAgents } from '@fixpoint/server/asset/known-agents.ts';
import { insertChanges, lockAssetsForInventory, storeInventories } from '@fixpoint/server/asset/store.ts';
import { issueAgentSession } from '@fixpoint/server/auth/agent-session.ts';
import { loadKeys } from '@fixpoint/server/auth/keys.ts';
import { systemClock } from '@fixpoint/server/clock.ts';
import { defaultConfig } from '@fixpoint/server/config.ts';
import { openCluster } from '@fixpoint/server/database/cluster.ts';
import { connect } from '@fixpoint/server/database/database.ts';
import { migrate } from '@fixpoint/server/database/migrate.ts';
import { openTaskWatch } from '@fixpoint/server/deployment/task-watch.ts';
import { openPosture } from '@fixpoint/server/posture/open.ts';
import { systemRandom } from '@fixpoint/server/random.ts';
import { rooms } from '@fixpoint/server/rooms.ts';
import { outputOfProcess } from '../run-command.ts';
import { grouped, report } from '../statistics.ts';
import {
  makeFleet,
  packageAt,
  versionsPerPackage,
  type CheckInFleet,
  type FleetSize,
} from './check-in-fleet.ts';
import type { LoadResult } from './load.ts';

const size: FleetSize = { assets: 20_000, packages: 10_000, packagesPerAsset: 300, images: 2_000 };
const connections = 64;
const changedConnections = 512;
const targetPerSecond = 5_000;
const batch = 250;
/** Reports that are sent, of which the first warm up. */
const changedReports = 8_000;

interface Measured {
  readonly url: string;
  readonly context: ServerContext;
  readonly fleet: CheckInFleet;
  readonly folder: string;
  /** Of the PostgreSQL that was started here. */
  readonly postmaster: number | null;
}

async function withServer(work: (server: Measured) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'fixpoint-bench-'));
  const log = pino({ level: 'silent' });
  const cluster = await openCluster({ dataFolder: folder, log, random: systemRandom });
  try {
    const { pool, db, close } = connect({ url: cluster.url, log });
    try {
      await migrate(pool, { log });
      const base = { db, clock: systemClock, random: systemRandom, log };
      const fleet = await makeFleet(db, size);
      const context: ServerContext = {
        ...base,
        keys: await loadKeys(db, base),
        posture: openPosture(base, pool),
        knownAgents: openKnownAgents({ pool, log }),
        taskWatch: openTaskWatch({ ...base, pool }),
        config: defaultConfig({ dataFolder: folder }),
      };
      const app = await buildApp(context, { rooms });
      try {
        const url = await app.listen({ host: '127.0.0.1', port: 0 });
        await work({ url, context, fleet, folder, postmaster: cluster.postmaster?.pid ?? null });
      } finally {
        await app.close();
      }
    } finally {
      await close();
    }
  } finally {
    await cluster.stop();
    await rm(folder, { recursive: true, force: true });
  }
}

/** Processor time of all processes of PostgreSQL so far, in seconds (proc(5): fields 14 to 17, a hundredth each). */
function databaseSeconds(postmaster: number | null): number {
  if (postmaster === null) return 0;
  let ticks = 0;
  for (const name of readdirSync('/proc').filter((entry) => /^\d+$/u.test(entry))) {
    try {
      const fields = readFileSync(`/proc/${name}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? [];
      if (Number(name) === postmaster || Number(fields[1]) === postmaster) {
        ticks += Number(fields[11]) + Number(fields[12]);
        // What has ended counts with its parent.
        if (Number(name) === postmaster) ticks += Number(fields[13]) + Number(fields[14]);
      }
    } catch {
      // It has ended meanwhile.
    }
  }
  return ticks / 100;
}

async function load(
  server: Measured,
  path: string,
  bodies: readonly { readonly asset: number; readonly body: unknown }[],
  options: { readonly connections: number; readonly seconds: number },
): Promise<LoadResult> {
  const { context, fleet, folder, url } = server;
  const lines = bodies.map(({ asset, body }) => {
    const [assetId, uid] = [fleet.ids[asset], fleet.uids[asset]];
    if (assetId === undefined || uid === undefined) throw new Error('there is no such asset');
    const { session } = issueAgentSession(context.keys, context, { assetId, uid });
    return JSON.stringify({ path, authorization: `Bearer ${session}`, body: JSON.stringify(body) });
  });
  const file = join(folder, 'requests.jsonl');
  await writeFile(file, `${lines.join('\n')}\n`);
  const script = join(import.meta.dirname, 'load.ts');
  const before = process.cpuUsage();
  const databaseBefore = databaseSeconds(server.postmaster);
  const output = await outputOfProcess({
    program: process.execPath,
    arguments: [script, url, file, String(options.connections), String(options.seconds)],
  });
  const { user, system } = process.cpuUsage(before);
  const databaseTook = databaseSeconds(server.postmaster) - databaseBefore;
  const result: LoadResult = JSON.parse(output);
  const others = Object.keys(result.statuses).filter((status) => status !== '200');
  if (others.length > 0) throw new Error(`${JSON.stringify(result.statuses)}: ${result.example ?? ''}`);
  const each = (seconds: number) => ((seconds / Math.max(1, result.requests)) * 1e6).toFixed(0);
  console.log(
    `  ${grouped(result.requests)} requests on ${String(options.connections)} connections in ${result.seconds.toFixed(1)} s; median ${result.median.toFixed(1)} ms, 99 % within ${result.p99.toFixed(1)} ms; processor time of each: server ${each((user + system) / 1e6)} µs, PostgreSQL ${each(databaseTook)} µs`,
  );
  return result;
}

const rate = (what: string, result: LoadResult, unit: string): void => {
  const perSecond = result.requests / result.seconds;
  report(what, `${grouped(perSecond)} ${unit}`, {
    text: `≥ ${grouped(targetPerSecond)} ${unit}`,
    met: perSecond >= targetPerSecond,
  });
};

/** Hosts with nothing new: each sends its digests and is told that they are what is held. */
export async function benchUnchangedCheckIns(): Promise<void> {
  console.log(`unchanged check-ins, ${grouped(size.assets)} assets`);
  await withServer(async (server) => {
    const bodies = server.fleet.ids.map((_, asset) => ({
      asset,
      body: { agent_version: '0.1.0', boot_id: 'b', digests: server.fleet.digestsOf(asset), tasks: [] },
    }));
    await load(server, '/agent/v1/check-in', bodies, { connections, seconds: 0 });
    const result = await load(server, '/agent/v1/check-in', bodies, { connections, seconds: 10 });
    rate('unchanged check-ins over HTTP', result, '/s');
  });
}

/** Packages that a host has upgraded since its last report. */
const upgraded = 3;

/** Hosts that have upgraded a few packages: each reports the difference, and all that follows from it is stored. */
export async function benchChangedCheckIns(): Promise<void> {
  console.log(
    `changed inventories, ${grouped(size.packagesPerAsset)} packages each, of which ${String(upgraded)} are upgraded`,
  );
  await withServer(async (server) => {
    const { fleet } = server;
    const bodies = fleet.ids.slice(0, changedReports).map((_, asset) => {
      const before = fleet.packagesOf(asset);
      const after = before.map((one, i) => {
        if (i % Math.floor(before.length / upgraded) !== asset % 50) return one;
        return packageAt(Number(one.name.slice('package-'.length)), versionsPerPackage - 1);
      });
      const digests = { ...fleet.digestsOf(asset), packages: packagesDigest(after) };
      const delta = diffPackages(before, after);
      return { asset, body: { collected_at: '2026-11-22T10:00:00.000Z', digests, package_delta: delta } };
    });
    const warm = bodies.slice(0, 2_000);
    await load(server, '/agent/v1/inventory', warm, { connections: changedConnections, seconds: 0 });
    const result = await load(server, '/agent/v1/inventory', bodies.slice(2_000), {
      connections: changedConnections,
      seconds: 0,
    });
    rate('changed inventories over HTTP', result, 'assets/s');
  });
}

/** The writes of the same reports without what follows from them: the limit that PostgreSQL sets here. */
export async function benchInventoryStorage(): Promise<void> {
  console.log(
    'changed inventories, storage alone: assets and change log by unnest, 250 in a transaction, two at a time',
  );
  await withServer(async ({ context, fleet, postmaster }) => {
    for (const index of [true, false]) {
      if (!index) await sql`drop index asset_software`.execute(context.db);
      const before = databaseSeconds(postmaster);
      const started = performance.now();
      let next = 0;
      const lane = async (): Promise<void> => {
        while (next < fleet.ids.length) {
          const ids = fleet.ids.slice(next, (next += batch));
          await context.db.transaction().execute(async (trx) => {
            const assets = [...(await lockAssetsForInventory(trx, ids)).values()];
            await storeInventories(
              trx,
              assets.map((asset) => ({
                ...asset,
                hostname: 'host',
                arch: 'amd64',
                software: asset.software.map((id, i) => (i < upgraded ? id + 1 : id)),
                host: null,
                candidates: null,
                residue: null,
              })),
              context.clock.now(),
            );
            const changes = assets.map(({ id, software }) => ({
              assetId: id,
              added: software.slice(0, upgraded),
              removed: software.slice(0, upgraded),
            }));
            await insertChanges(trx, changes, context.clock.now());
          });
        }
      };
      await Promise.all([lane(), lane()]);
      const seconds = (performance.now() - started) / 1000;
      const each = ((databaseSeconds(postmaster) - before) / fleet.ids.length) * 1e6;
      report(
        index ? 'as it is' : 'without the index of assets by software',
        `${grouped(fleet.ids.length / seconds)} assets/s; PostgreSQL ${each.toFixed(0)} µs each`,
      );
    }
  });
}

if (import.meta.main) {
  const asked = process.argv[2];
  if (asked === undefined || asked === 'unchanged') await benchUnchangedCheckIns();
  if (asked === undefined || asked === 'changed') await benchChangedCheckIns();
  if (asked === undefined || asked === 'storage') await benchInventoryStorage();
}
