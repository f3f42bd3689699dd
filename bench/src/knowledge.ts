/**
 * `npm run bench -- knowledge`: how long it takes until knowledge counts. The whole Debian and Ubuntu OSV data of the public
 * snapshots into a real PostgreSQL, again unchanged, and one new advisory against many distinct software, until the findings
 * of a fleet show it.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { createReadStream } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { pino } from 'pino';
import { sql } from 'kysely';
import type { FeedId } from '@fixpoint/core/knowledge/facts.ts';
import type { Context } from '@fixpoint/server/context.ts';
import { openPosture } from '@fixpoint/server/posture/open.ts';
import type { Posture } from '@fixpoint/server/posture/posture.ts';
import { systemClock } from '@fixpoint/server/clock.ts';
import { openCluster } from '@fixpoint/server/database/cluster.ts';
import { connect } from '@fixpoint/server/database/database.ts';
import { migrate } from '@fixpoint/server/database/migrate.ts';
import { sharedFeedsMissing } from '@fixpoint/server/feed/extract/shared-feeds.ts';
import type { FeedFile } from '@fixpoint/server/feed/feed.ts';
import { feedOf } from '@fixpoint/server/feed/feeds.ts';
import { listFindings } from '@fixpoint/server/finding/list.ts';
import { importFeed } from '@fixpoint/server/knowledge/import.ts';
import { systemRandom } from '@fixpoint/server/random.ts';
import { internSoftware } from '@fixpoint/server/software/commands.ts';
import { timeProcess } from './run-command.ts';
import { grouped, median, report, spread } from './statistics.ts';

const softwareCount = 60_000;
const assetCount = 1000;
const softwarePerAsset = 300;
const versionsPerPackage = 6;
const newAdvisories = 21;
const actor = { kind: 'system', name: 'bench' } as const;

export async function benchKnowledge(): Promise<void> {
  console.log('knowledge');
  if (sharedFeedsMissing !== null) {
    console.log(`  ${sharedFeedsMissing}`);
    return;
  }
  const folder = await mkdtemp(join(tmpdir(), 'fixpoint-bench-'));
  const log = pino({ level: 'silent' });
  const cluster = await openCluster({ dataFolder: folder, log, random: systemRandom });
  try {
    const { pool, db, close } = connect({ url: cluster.url, log });
    try {
      await migrate(pool, { log });
      const base = { db, clock: systemClock, random: systemRandom, log };
      const posture = openPosture(base, pool);
      try {
        await measure({ ...base, posture }, folder);
      } finally {
        await posture.stop();
      }
    } finally {
      await close();
    }
  } finally {
    await cluster.stop();
    await rm(folder, { recursive: true, force: true });
  }
}

/** Whoever reads findings asks the read model. */
type Measured = Context & { readonly posture: Posture };

async function measure(context: Measured, folder: string): Promise<void> {
  const script = join(import.meta.dirname, 'knowledge-files.ts');
  const written = timeProcess(
    { program: process.execPath, arguments: [script, folder] },
    join(folder, 'files.log'),
    300,
  );
  if (written.exitCode !== 0) throw new Error('the snapshots could not be written in the published layout');
  let peak = 0;
  const watch = setInterval(() => {
    peak = Math.max(peak, process.memoryUsage().rss);
  }, 50);
  const first = await importBoth(context, folder);
  const memory = peak / 1024 ** 2;
  const again = [];
  for (let i = 0; i < 3; i++) again.push(await importBoth(context, folder));
  clearInterval(watch);
  const counts = await sql<{ records: string; statements: string }>`select
    (select count(*) from feed_record) as records, (select count(*) from statement) as statements`.execute(
    context.db,
  );
  const [held] = counts.rows;
  console.log(`  ${grouped(Number(held?.records))} records, ${grouped(Number(held?.statements))} statements`);
  report('import Debian + Ubuntu OSV', `${first.toFixed(1)} s`, { text: '< 60 s', met: first < 60 });
  const unchanged = median(again);
  report('import again, unchanged', `${unchanged.toFixed(2)} s (${spread(again, 2)})`, {
    text: '< 5 s',
    met: unchanged < 5,
  });
  report('memory of the process at its highest', `${memory.toFixed(0)} MiB`, {
    text: '< 1024 MiB',
    met: memory < 1024,
  });
  await measureNewAdvisory(context);
}

function fileAt(path: string): FeedFile {
  return { name: basename(path), bytes: createReadStream(path) };
}

async function importBoth(context: Context, folder: string): Promise<number> {
  const files: [FeedId, FeedFile][] = [
    ['debian-osv', fileAt(join(folder, 'debian-osv.zip'))],
    ['ubuntu-osv', fileAt(join(folder, 'ubuntu-osv.zip'))],
  ];
  const started = performance.now();
  for (const [id, file] of files) await take(context, id, file, true);
  return (performance.now() - started) / 1000;
}

async function take(context: Context, id: FeedId, file: FeedFile, complete: boolean): Promise<void> {
  const result = await importFeed(context, { ...feedOf(id), complete }, file, { actor });
  if (!result.ok) throw new Error(`${id}: ${result.message}`);
}

/** Software of the packages that the data speaks of, in a few versions around the fixed ones, and assets that have it. */
async function makeFleet(context: Context): Promise<void> {
  const { rows } = await sql<{ ecosystem: string; release: string; package: string; version: string }>`
    select ecosystem, release, package, version from (
      select ecosystem, release, package, fixed_version as version,
        row_number() over (partition by ecosystem, release, package order by md5(fixed_version)) as ordinal
      from statement where status = 'fixed' and channel is null group by 1, 2, 3, 4) x
    where ordinal <= ${versionsPerPackage}::int order by md5(package || version || release)`.execute(
    context.db,
  );
  const wanted = new Map<string, Parameters<typeof internSoftware>[3][number][]>();
  for (let binary = 0, made = 0; made < softwareCount; binary++) {
    for (const row of rows) {
      if (made >= softwareCount) break;
      const key = `${row.ecosystem}\t${row.release}`;
      const list = wanted.get(key) ?? [];
      wanted.set(key, list);
      const { version } = row;
      const name = binary === 0 ? row.package : `${row.package}-${String(binary)}`;
      list.push({ name, arch: 'amd64', version, source: row.package, source_version: version });
      made += 1;
    }
  }
  for (const [key, packages] of wanted) {
    const [ecosystem = '', release = ''] = key.split('\t');
    for (let i = 0; i < packages.length; i += 5000) {
      await context.db
        .transaction()
        .execute((trx) => internSoftware(trx, context, { ecosystem, release }, packages.slice(i, i + 5000)));
    }
  }
  await sql`insert into asset (uid, hostname, mode, os, os_release, arch, public_key, agent_version, enrolled_at,
      enrolled_by, software, since)
    select gen_random_uuid(), 'host-' || n, 'assess', 'debian', '12', 'amd64', 'key-' || n, '0', now(), 'bench',
      s.ids, array_fill(0, array[cardinality(s.ids)])
    from generate_series(1, ${assetCount}::int) n cross join lateral (
      select array_agg(id order by id) as ids from (
        select id from software where ecosystem = 'debian' and release = '12' order by md5(id::text || n::text) limit ${softwarePerAsset}::int) x
    ) s`.execute(context.db);
  await sql`analyze`.execute(context.db);
}

async function measureNewAdvisory(context: Measured): Promise<void> {
  await makeFleet(context);
  const { rows } = await sql<{ software: string; names: string }>`
    select count(*) as software, count(distinct source) as names from software`.execute(context.db);
  const { rows: biggest } = await sql<{ source: string; versions: string; assets: string }>`
    select source, count(distinct s.id) as versions, count(distinct a.id) as assets
    from software s join asset a on s.id = any(a.software) where s.ecosystem = 'debian' and s.release = '12'
    group by source order by count(distinct s.id) desc limit 1`.execute(context.db);
  const [target] = biggest;
  if (target === undefined) throw new Error('no asset has software');
  const times: number[] = [];
  const imports: number[] = [];
  for (let i = 0; i < newAdvisories; i++) {
    const id = `CVE-2026-${String(100_000 + i)}`;
    const started = performance.now();
    await take(context, 'debian-osv', advisory(id, target.source), false);
    imports.push(performance.now() - started);
    const page = await listFindings(context, { vulnerability: id, limit: 10 });
    if (!page.ok || page.value.total === 0) throw new Error(`${id} is not visible`);
    times.push(performance.now() - started);
  }
  const [count] = rows;
  console.log(
    `  ${grouped(Number(count?.software))} distinct software of ${grouped(Number(count?.names))} sources; ${grouped(assetCount)} assets with ${grouped(softwarePerAsset)} each; the advisory is about ${target.source}, ${target.versions} versions on ${target.assets} assets`,
  );
  report('a new advisory, imported and matched', `${median(imports).toFixed(0)} ms (${spread(imports)})`);
  const visible = median(times);
  report('… and visible as findings', `${visible.toFixed(0)} ms (${spread(times)})`, {
    text: '< 100 ms',
    met: visible < 100,
  });
}

function advisory(id: string, source: string): FeedFile {
  const record = {
    schema_version: '1.7.0',
    id: `DEBIAN-${id}`,
    modified: '2026-11-22T00:00:00Z',
    upstream: [id],
    affected: [
      {
        package: { ecosystem: 'Debian:12', name: source },
        ranges: [{ type: 'ECOSYSTEM', events: [{ introduced: '0' }, { fixed: '999:1-1' }] }],
      },
    ],
  };
  async function* bytes(): AsyncGenerator<Uint8Array> {
    yield Buffer.from(JSON.stringify(record));
  }
  return { name: `${id}.json`, bytes: bytes() };
}
