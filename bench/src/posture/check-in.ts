/**
 * Check-ins as agents send them: over HTTP with their sessions, to a whole server with PostgreSQL on the same machine. The
 * client is a process of its own on the same processors.
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { diffPackages, packagesDigest } from '@fixpoint/core/inventory/digest.ts';
import { buildApp, type ServerContext } from '@fixpoint/server/app.ts';
import { openKnownAgents } from '@fixpoint/server/asset/known-agents.ts';
import { issueAgentSession } from '@fixpoint/server/auth/agent-session.ts';
import { loadKeys } from '@fixpoint/server/auth/keys.ts';
import { systemClock } from '@fixpoint/server/clock.ts';
import { defaultConfig } from '@fixpoint/server/config.ts';
import { openCluster } from '@fixpoint/server/database/cluster.ts';
import { connect } from '@fixpoint/server/database/database.ts';
import { migrate } from '@fixpoint/server/database/migrate.ts';
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

interface Measured {
  readonly url: string;
  readonly context: ServerContext;
  readonly fleet: CheckInFleet;
  readonly folder: string;
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
        config: defaultConfig({ dataFolder: folder }),
      };
      const app = await buildApp(context, { rooms });
      try {
        const url = await app.listen({ host: '127.0.0.1', port: 0 });
        await work({ url, context, fleet, folder });
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
  const output = await outputOfProcess({
    program: process.execPath,
    arguments: [script, url, file, String(options.connections), String(options.seconds)],
  });
  const { user, system } = process.cpuUsage(before);
  const result: LoadResult = JSON.parse(output);
  const others = Object.keys(result.statuses).filter((status) => status !== '200');
  if (others.length > 0) throw new Error(`${JSON.stringify(result.statuses)}: ${result.example ?? ''}`);
  const perRequest = (user + system) / Math.max(1, result.requests);
  console.log(
    `  ${grouped(result.requests)} requests on ${String(options.connections)} connections in ${result.seconds.toFixed(1)} s; median ${result.median.toFixed(1)} ms, 99 % within ${result.p99.toFixed(1)} ms; ${perRequest.toFixed(0)} µs of the server's processor each`,
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
    const bodies = fleet.ids.map((_, asset) => {
      const before = fleet.packagesOf(asset);
      const after = before.map((one, i) => {
        if (i % Math.floor(before.length / upgraded) !== asset % 50) return one;
        return packageAt(Number(one.name.slice('package-'.length)), versionsPerPackage - 1);
      });
      const digests = { ...fleet.digestsOf(asset), packages: packagesDigest(after) };
      const delta = diffPackages(before, after);
      return { asset, body: { collected_at: '2026-11-22T10:00:00.000Z', digests, package_delta: delta } };
    });
    const warm = bodies.slice(0, 200);
    await load(server, '/agent/v1/inventory', warm, { connections: changedConnections, seconds: 0 });
    const result = await load(
      server,
      '/agent/v1/inventory',
      bodies.slice(200, Number(process.env.N ?? 1500)),
      { connections: changedConnections, seconds: 0 },
    );
    rate('changed inventories over HTTP', result, 'assets/s');
  });
}

if (import.meta.main) {
  const asked = process.argv[2];
  if (asked !== 'changed') await benchUnchangedCheckIns();
  if (asked !== 'unchanged') await benchChangedCheckIns();
}
