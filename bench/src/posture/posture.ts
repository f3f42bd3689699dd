/**
 * `npm run bench -- posture`: a fleet in a real PostgreSQL and in the memory of this process, and how long any question takes.
 * FIXPOINT_BENCH_ASSETS=1000000 is the size that the targets speak of (some ten minutes, of which most is writing the fleet);
 * without it a quick run of 50,000 assets.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Pool } from 'pg';
import { pino } from 'pino';
import type { Context } from '@fixpoint/server/context.ts';
import { systemClock } from '@fixpoint/server/clock.ts';
import { openCluster } from '@fixpoint/server/database/cluster.ts';
import { connect } from '@fixpoint/server/database/database.ts';
import { migrate } from '@fixpoint/server/database/migrate.ts';
import { openPosture } from '@fixpoint/server/posture/open.ts';
import { systemRandom } from '@fixpoint/server/random.ts';
import { grouped, report } from '../statistics.ts';
import { benchChangedCheckIns, benchUnchangedCheckIns } from './check-in.ts';
import { largeFleet, quickFleet, writeFleet, type FleetSize } from './fleet.ts';
import { askQuestions, newVulnerability } from './questions.ts';

function sizeAsked(): FleetSize {
  const assets = Number(process.env['FIXPOINT_BENCH_ASSETS'] ?? quickFleet.assets);
  if (!Number.isInteger(assets) || assets < 1_000)
    throw new Error('FIXPOINT_BENCH_ASSETS is a number from 1000 on');
  return assets === quickFleet.assets ? quickFleet : { ...largeFleet, assets };
}

export async function benchPosture(): Promise<void> {
  const size = sizeAsked();
  console.log('posture');
  console.log(
    `  ${grouped(size.assets)} assets of ${grouped(size.images)} images, ${size.vulnerablePerAsset} vulnerable and ${size.cleanPerAsset} other packages each, ` +
      `of ${grouped(size.software)} versions, ${grouped(size.vulnerableSoftware)} vulnerable; ${size.tags} tags`,
  );
  // Apart from each other, since what is left of one measurement is in the memory of the next.
  const folder = await mkdtemp(join(tmpdir(), 'fixpoint-bench-'));
  const log = pino({ level: 'error' }, pino.destination(2));
  const cluster = await openCluster({ dataFolder: folder, log, random: systemRandom });
  try {
    const { pool, db, close } = connect({ url: cluster.url, log });
    try {
      await migrate(pool, { log });
      const start = performance.now();
      await writeFleet(pool, size);
      const { rows } = await pool.query<{ bytes: string }>(
        "select pg_total_relation_size('asset') + pg_total_relation_size('change_log') as bytes",
      );
      report(
        'the fleet written to PostgreSQL',
        `${((performance.now() - start) / 1000).toFixed(0)} s, ${grouped(Number(rows[0]?.bytes) / 1024 ** 2)} MiB with its indexes`,
      );
      await measure({ db, clock: systemClock, random: systemRandom, log }, pool);
    } finally {
      await close();
    }
  } finally {
    await cluster.stop();
    await rm(folder, { recursive: true, force: true });
  }
  await benchUnchangedCheckIns();
  await benchChangedCheckIns();
}

async function measure(context: Context, pool: Pool): Promise<void> {
  globalThis.gc?.();
  let peak = 0;
  const watch = setInterval(() => {
    peak = Math.max(peak, process.memoryUsage().rss);
  }, 50);
  const posture = openPosture(context, pool);
  const start = performance.now();
  const before = process.cpuUsage();
  await posture.start();
  const boot = (performance.now() - start) / 1000;
  const { user, system } = process.cpuUsage(before);
  const processor = (user + system) / 1e6;
  report(
    'from nothing to ready',
    `${boot.toFixed(1)} s, ${processor.toFixed(1)} s of processor in this process`,
    {
      text: '< 15 s',
      met: boot < 15,
    },
  );
  const state = posture.state();
  console.log(
    `  in memory: ${grouped(state?.assets ?? 0)} assets, ${grouped(state?.vulnerabilities ?? 0)} vulnerabilities, ${grouped(state?.pairs ?? 0)} pairs`,
  );
  try {
    await askQuestions(pool, posture);
    await newVulnerability(pool, posture);
  } finally {
    clearInterval(watch);
    const resident = process.memoryUsage().rss / 1024 ** 3;
    report(
      'memory of the process',
      `${resident.toFixed(2)} GiB, at most ${(peak / 1024 ** 3).toFixed(2)} GiB`,
      {
        text: '< 1.2 GiB',
        met: peak / 1024 ** 3 < 1.2,
      },
    );
    await posture.stop();
  }
}
