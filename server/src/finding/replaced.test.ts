/** Findings whose software is replaced by a version that is vulnerable too: as old as before, in all that reads their age. */
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { sql } from 'kysely';
import { pino } from 'pino';
import { closedHow, findingIntervals } from '@fixpoint/core/finding/intervals.ts';
import { sinceEpochSeconds } from '@fixpoint/core/finding/exposure.ts';
import type { Residue } from '@fixpoint/core/inventory/inventory.ts';
import type { Context, Transact } from '../context.ts';
import { testDatabase, type TestDatabase } from '../database/test-database.ts';
import { feedOf } from '../feed/feeds.ts';
import { importFeed } from '../knowledge/import.ts';
import { systemRandom } from '../random.ts';
import { endedExposures } from '../remediation/store.ts';
import { internSoftware } from '../software/commands.ts';
import { openSoftwareMemory } from '../software/known.ts';
import type { PackageToIntern } from '../software/store.ts';
import { exposuresChanged } from './change.ts';
import { findingsCalled, fixedFindings } from './derived.ts';

const actor = { kind: 'system', name: 'test' } as const;
const debian12 = { ecosystem: 'debian', release: '12' };
const cve = 'CVE-2026-1001';
let database: TestDatabase;
let context: Context;
let now = new Date('2026-11-22T08:00:00Z');

const statement = (name: string, fixed: string) =>
  JSON.stringify({
    schema_version: '1.6.0',
    id: `DEBIAN-${cve}-${name}`,
    upstream: [cve],
    modified: '2026-01-01T00:00:00Z',
    published: '2026-01-01T00:00:00Z',
    affected: [
      {
        package: { ecosystem: 'Debian:12', name },
        ranges: [{ type: 'ECOSYSTEM', events: [{ introduced: '0' }, { fixed }] }],
      },
    ],
  });

/** `fixed`: by package, the version that fixes {@link cve}. */
async function known(fixed: Readonly<Record<string, string>>): Promise<void> {
  const lines = Object.entries(fixed).map(([name, version]) => statement(name, version));
  const bytes = (async function* () {
    yield Buffer.from(lines.join('\n'));
  })();
  const file = { name: 'test.jsonl', bytes };
  const result = await importFeed(context, feedOf('debian-osv'), file, { actor, allowShrink: true });
  if (!result.ok) throw new Error(result.message);
}

beforeAll(async () => {
  database = await testDatabase();
  const log = pino({ level: 'silent' });
  context = { db: database.db, clock: { now: () => now }, random: systemRandom, log };
});
afterAll(() => database.close());
beforeEach(() => known({ demo: '3.0-1', other: '3.0-1' }));

const inTransaction = <T>(work: (trx: Transact) => Promise<T>) => context.db.transaction().execute(work);
const built = (source: string, name: string, version: string): PackageToIntern => {
  return { name, arch: 'amd64', version, source, source_version: version };
};
const demo = (version: string) => built('demo', 'libdemo1', version);
const tool = (version: string) => built('demo', 'demo-tool', version);
const other = (version: string) => built('other', 'other', version);
const stillRuns = (version: string): Residue => ({
  ...demo(version),
  source_version: version,
  kind: 'process',
  path: '/usr/lib/libdemo.so.1',
  process: { pid: 812, command: 'nginx', unit: 'nginx.service', started_at: '2026-11-20T00:00:00Z' },
  alteration: null,
});

function hoursPass(hours: number): string {
  now = new Date(now.getTime() + hours * 3_600_000);
  return now.toISOString();
}

/** An asset whose inventory is replaced step by step, as the asset room does it. */
async function newAsset(hostname: string) {
  const uid = systemRandom.uuid();
  const added = { uid, hostname, mode: 'manage', os: 'debian', os_release: '12', arch: 'amd64' } as const;
  const { id } = await context.db
    .insertInto('asset')
    .values({ ...added, public_key: uid, agent_version: '0', enrolled_at: now, enrolled_by: 'test' })
    .returning('id')
    .executeTakeFirstOrThrow();
  let state: { software: number[]; since: number[] } = { software: [], since: [] };
  const exposure = async () =>
    await context.db
      .selectFrom('asset_exposure')
      .select(['first_seen', sql<string>`xmin::text`.as('xmin')])
      .where('asset_id', '=', id)
      .executeTakeFirstOrThrow();
  const history = async () => await endedExposures(context.db, [id], 0);
  return {
    /** Takes an hour. Answers when it was. */
    async becomes(packages: PackageToIntern[], residue: Residue[] = []): Promise<string> {
      const at = hoursPass(1);
      await inTransaction(async (trx) => {
        const software = await internSoftware(trx, context, debian12, packages);
        const since = software.map((one) => {
          const index = state.software.indexOf(one);
          return index >= 0
            ? (state.since[index] ?? 0)
            : Math.floor(now.getTime() / 1000) - sinceEpochSeconds;
        });
        await trx.updateTable('asset').set({ software, since, digests: '{}' }).where('id', '=', id).execute();
        const after = { software, since };
        const differing = [...new Set(software).symmetricDifference(new Set(state.software))];
        const step = { host: null, candidates: [], residue, before: state, after, differing };
        const change = { assetId: id, uid, actor, os: 'debian', osRelease: '12', ...step };
        await exposuresChanged(trx, context, openSoftwareMemory().read(), [change]);
        state = after;
      });
      return at;
    },
    async seen(): Promise<string[]> {
      const keys = ['demo', 'other'].map((name) => ({ asset: id, vulnerability: cve, package: name }));
      const found = await inTransaction((trx) => findingsCalled(trx, keys));
      return found.map((one) => `${one.package} ${one.status} ${one.first_seen_at.toISOString()}`);
    },
    async fixed() {
      const filter = { assetIds: [id], limit: 100, offset: 0 };
      const rows = await inTransaction((trx) => fixedFindings(trx, filter));
      return rows.map((one) => `${one.package} ${one.first_seen_at.toISOString()} ${one.reasons?.join()}`);
    },
    async history(): Promise<string[]> {
      return (await history()).map((row) =>
        [row.package, row.reason, new Date(row.opened_at).toISOString()].join(' '),
      );
    },
    /** Closed ones of a package, as the time to remediation takes them. */
    async intervals(name: string): Promise<string[]> {
      const rows = (await history()).filter((row) => row.package === name);
      return findingIntervals(
        rows.map((row) => ({
          openedAt: row.opened_at,
          closed: { at: row.closed_at, how: closedHow(row.reason) },
        })),
      ).map(({ openedAt, closed, reopened }) =>
        [
          ...[openedAt, closed?.at ?? 0].map((at) => new Date(at).toISOString()),
          `${closed?.how}${reopened === true ? ' reopened' : ''}`,
        ].join(' '),
      );
    },
    async kept(): Promise<string[]> {
      return Object.keys((await exposure()).first_seen);
    },
    /** Changes with every write. */
    async written(): Promise<string> {
      return (await exposure()).xmin;
    },
  };
}

test('a version that is vulnerable too does not make it younger, nor its remediation faster', async () => {
  const asset = await newAsset('replaced');
  const first = await asset.becomes([demo('1.0-1')]);
  expect(await asset.kept()).toEqual([]);
  await asset.becomes([demo('1.1-1')]);
  expect(await asset.seen()).toEqual([`demo open ${first}`]);
  expect(await asset.kept()).toEqual([`${cve}\tdemo`]);
  await asset.becomes([demo('1.2-1'), other('9.0-1')]);
  await asset.becomes([demo('1.2-1')]);
  expect(await asset.seen()).toEqual([`demo open ${first}`]);
  expect(await asset.history()).toEqual([]);
  expect(await asset.fixed()).toEqual([]);

  const fixed = await asset.becomes([demo('3.0-1')]);
  expect(await asset.seen()).toEqual([]);
  expect(await asset.kept()).toEqual([]);
  expect(await asset.history()).toEqual([`demo upgraded ${first}`]);
  expect(await asset.intervals('demo')).toEqual([`${first} ${fixed} fixed`]);
  expect(await asset.fixed()).toEqual([
    `demo ${first} libdemo1 1.2-1 was replaced by 3.0-1, and nothing runs the old code any more.`,
  ]);

  const again = await asset.becomes([demo('1.0-1')]);
  expect(await asset.seen()).toEqual([`demo open ${again}`]);
  const removed = await asset.becomes([]);
  expect(await asset.intervals('demo')).toEqual([
    `${first} ${fixed} fixed`,
    `${again} ${removed} removed reopened`,
  ]);
});

test('what still runs of the old version keeps it, and its end ends nothing', async () => {
  const asset = await newAsset('runs');
  const first = await asset.becomes([demo('1.0-1')]);
  await asset.becomes([demo('1.1-1')], [stillRuns('1.0-1')]);
  expect(await asset.history()).toEqual([]);
  expect(await asset.kept()).toEqual([]);
  await asset.becomes([demo('1.1-1')]);
  expect(await asset.history()).toEqual([]);
  expect(await asset.seen()).toEqual([`demo open ${first}`]);
});

test('of two binary packages of one source the one that is left is as old as both', async () => {
  const asset = await newAsset('binaries');
  const first = await asset.becomes([demo('1.0-1')]);
  await asset.becomes([demo('1.0-1'), tool('1.0-1')]);
  await asset.becomes([demo('3.0-1'), tool('1.0-1')]);
  expect(await asset.seen()).toEqual([`demo open ${first}`]);
  expect(await asset.history()).toEqual([]);
  expect(await asset.fixed()).toEqual([]);
  const fixed = await asset.becomes([demo('3.0-1'), tool('3.0-1')]);
  expect(await asset.intervals('demo')).toEqual([`${first} ${fixed} fixed`]);
});

test('one package is fixed while another has the same vulnerability', async () => {
  const asset = await newAsset('two');
  const first = await asset.becomes([demo('1.0-1'), other('1.0-1')]);
  const fixed = await asset.becomes([demo('3.0-1'), other('1.0-1')]);
  expect(await asset.seen()).toEqual([`other open ${first}`]);
  expect(await asset.history()).toEqual([`demo upgraded ${first}`]);
  expect(await asset.intervals('demo')).toEqual([`${first} ${fixed} fixed`]);
  expect(await asset.fixed()).toEqual([
    `demo ${first} libdemo1 1.0-1 was replaced by 3.0-1, and nothing runs the old code any more.`,
  ]);
});

test('what knowledge takes back is new when it comes again', async () => {
  const asset = await newAsset('knowledge');
  const first = await asset.becomes([demo('1.0-1'), other('1.0-1')]);
  await asset.becomes([demo('1.1-1'), other('1.1-1')]);
  expect(await asset.kept()).toEqual([`${cve}\tdemo`, `${cve}\tother`]);
  const taken = hoursPass(1);
  await known({ demo: '0.9-1', other: '3.0-1' });
  expect(await asset.kept()).toEqual([`${cve}\tother`]);
  expect(await asset.intervals('demo')).toEqual([`${first} ${taken} no_longer_vulnerable`]);
  const back = hoursPass(1);
  await known({ demo: '3.0-1', other: '3.0-1' });
  expect(await asset.seen()).toEqual([`demo open ${back}`, `other open ${first}`]);
});

test('nothing is written where nothing changes', async () => {
  const asset = await newAsset('same');
  await asset.becomes([demo('1.0-1')]);
  await asset.becomes([demo('1.1-1')]);
  const written = await asset.written();
  await asset.becomes([demo('1.1-1'), other('9.0-1')]);
  expect(await asset.kept()).toEqual([`${cve}\tdemo`]);
  expect(await asset.written()).toBe(written);
});
