import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { pino } from 'pino';
import { Type } from 'typebox';
import { Value } from 'typebox/value';
import { sinceEpochSeconds } from '@fixpoint/core/finding/exposure.ts';
import type { HostFacts, Residue } from '@fixpoint/core/inventory/inventory.ts';
import { appendAudits } from '../audit/commands.ts';
import type { Context, Transact } from '../context.ts';
import { testDatabase, type TestDatabase } from '../database/test-database.ts';
import { feedOf } from '../feed/feeds.ts';
import { importFeed } from '../knowledge/import.ts';
import { systemRandom } from '../random.ts';
import { internSoftware } from '../software/commands.ts';
import { openSoftwareMemory } from '../software/known.ts';
import type { PackageToIntern } from '../software/store.ts';
import { exposuresChanged } from './change.ts';
import { findingCounts, findingsOfAssets, undeterminedOfAsset } from './commands.ts';
import { fixedFindings } from './derived.ts';

/** A finding's whole life on one asset, with statements of a made-up package beside the rules of real ones. */

const Told = Type.Object({
  status: Type.Optional(Type.String()),
  vulnerabilities: Type.Optional(Type.Array(Type.String())),
  patches: Type.Optional(
    Type.Array(Type.Object({ patch: Type.String(), vulnerabilities: Type.Array(Type.String()) })),
  ),
});

const actor = { kind: 'system', name: 'test' } as const;
const debian12 = { ecosystem: 'debian', release: '12' };
let database: TestDatabase;
let context: Context;
let now = new Date('2026-11-22T08:00:00Z');

const host: HostFacts = {
  hostname: 'web1',
  os: 'debian',
  os_release: '12',
  os_title: 'Debian GNU/Linux 12 (bookworm)',
  arch: 'amd64',
  addresses: [],
  boot_id: 'a',
  booted_at: '2026-11-01T00:00:00Z',
  running_kernel: '6.1.0-25-amd64',
  kernels: [],
  machine: 'container',
  reboot_required: false,
  reboot_required_by: [],
  held: [],
  units: [],
};

const statement = (vulnerability: string, name: string, fixed: string | null) =>
  JSON.stringify({
    schema_version: '1.6.0',
    id: vulnerability,
    modified: '2026-01-01T00:00:00Z',
    published: '2026-01-01T00:00:00Z',
    affected: [
      {
        package: { ecosystem: 'Debian:12', name },
        ranges: [
          { type: 'ECOSYSTEM', events: [{ introduced: '0' }, ...(fixed === null ? [] : [{ fixed }])] },
        ],
      },
    ],
  });

async function importLines(lines: string[]): Promise<void> {
  const bytes = (async function* () {
    yield Buffer.from(lines.join('\n'));
  })();
  const result = await importFeed(
    context,
    feedOf('debian-osv'),
    { name: 'test.jsonl', bytes },
    { actor, allowShrink: true },
  );
  if (!result.ok) throw new Error(result.message);
}

const knowledge = [
  statement('CVE-2026-1001', 'demo', '2.0-1'),
  statement('CVE-2026-1002', 'demo', '3.0-1'),
  statement('CVE-2026-1003', 'demo', null),
  statement('CVE-2026-2001', 'linux', '6.1.112-1'),
];

beforeAll(async () => {
  database = await testDatabase();
  context = {
    db: database.db,
    clock: { now: () => now },
    random: systemRandom,
    log: pino({ level: 'silent' }),
  };
});
afterAll(() => database.close());
beforeEach(() => importLines(knowledge));

const inTransaction = <T>(work: (trx: Transact) => Promise<T>) => context.db.transaction().execute(work);
const demo = (version: string): PackageToIntern => ({
  name: 'libdemo1',
  arch: 'amd64',
  version,
  source: 'demo',
  source_version: version,
});
const stillRuns = (version: string | null): Residue => ({
  kind: 'process',
  name: 'libdemo1',
  arch: 'amd64',
  version,
  source: 'demo',
  source_version: version,
  path: '/usr/lib/libdemo.so.1',
  process: { pid: 812, command: 'nginx', unit: 'nginx.service', started_at: '2026-11-20T00:00:00Z' },
  alteration: null,
});

/** An asset whose inventory is replaced step by step, as the asset room does it. */
async function newAsset(hostname: string) {
  const uid = systemRandom.uuid();
  const { id } = await context.db
    .insertInto('asset')
    .values({
      uid,
      hostname,
      mode: 'manage',
      os: 'debian',
      os_release: '12',
      arch: 'amd64',
      public_key: uid,
      agent_version: '0',
      enrolled_at: now,
      enrolled_by: 'test',
    })
    .returning('id')
    .executeTakeFirstOrThrow();
  let state: { software: number[]; since: number[] } = { software: [], since: [] };
  return {
    id,
    uid,
    async becomes(
      packages: PackageToIntern[],
      more: { residue?: Residue[]; host?: HostFacts } = {},
    ): Promise<void> {
      now = new Date(now.getTime() + 60_000);
      await inTransaction(async (trx) => {
        const software = await internSoftware(trx, context, debian12, packages);
        const since = software.map((one) => {
          const at = state.software.indexOf(one);
          return at >= 0 ? (state.since[at] ?? 0) : Math.floor(now.getTime() / 1000) - sinceEpochSeconds;
        });
        await trx.updateTable('asset').set({ software, since, digests: '{}' }).where('id', '=', id).execute();
        const change = {
          assetId: id,
          uid,
          actor,
          os: 'debian',
          osRelease: '12',
          host: more.host ?? host,
          candidates: [
            {
              ...demo('3.0-1'),
              repository: 'bookworm-security/main',
              download_bytes: 1,
            },
          ],
          residue: more.residue ?? [],
          before: state,
          after: { software, since },
          differing: [...new Set(software).symmetricDifference(new Set(state.software))],
        };
        const stories = await exposuresChanged(trx, context, openSoftwareMemory().read(), [change]);
        await appendAudits(trx, context, stories.flat());
        state = { software, since };
      });
    },
    async findings(): Promise<string[]> {
      const found = await inTransaction((trx) => findingsOfAssets(trx, [id]));
      return (found.get(id) ?? []).map((f) => `${f.vulnerability} ${f.status}`).sort();
    },
    async fixed(): Promise<string[]> {
      const rows = await inTransaction((trx) =>
        fixedFindings(trx, { assetIds: [id], limit: 100, offset: 0 }),
      );
      return rows.map((f) => `${f.vulnerability}: ${f.evidence.sentence}`).sort();
    },
    async story(): Promise<string[]> {
      const rows = await context.db
        .selectFrom('audit_event')
        .selectAll()
        .where('subject', '=', uid)
        .orderBy('sequence')
        .execute();
      return rows.map((row) => {
        const after = Value.Parse(Told, row.after);
        const patches =
          after.patches?.map((p) => `${p.patch} for ${p.vulnerabilities.sort().join(' ')}`) ?? [];
        const words = [row.event, after.status ?? [], after.vulnerabilities ?? [], patches];
        return words.flat().join(' ');
      });
    },
  };
}

describe('a finding', () => {
  test('opens, waits for the restart of what runs the old code, and closes with its evidence', async () => {
    const asset = await newAsset('life');
    await asset.becomes([demo('1.0-1')]);
    expect(await asset.findings()).toEqual([
      'CVE-2026-1001 open',
      'CVE-2026-1002 open',
      'CVE-2026-1003 open',
    ]);

    await asset.becomes([demo('2.0-1')], { residue: [stillRuns('1.0-1')] });
    expect(await asset.findings()).toEqual([
      'CVE-2026-1001 restart_pending',
      'CVE-2026-1002 open',
      'CVE-2026-1003 open',
    ]);
    expect(await asset.fixed()).toEqual([]);

    await asset.becomes([demo('2.0-1')]);
    expect(await asset.findings()).toEqual(['CVE-2026-1002 open', 'CVE-2026-1003 open']);
    expect(await asset.fixed()).toEqual(['CVE-2026-1001: No process runs code of libdemo1 1.0-1 any more.']);
    expect(await asset.story()).toEqual([
      'finding.opened CVE-2026-1001 CVE-2026-1002 CVE-2026-1003',
      'patch.correlated debian:12/demo@3.0-1 for CVE-2026-1001 CVE-2026-1002',
      'finding.status_changed restart_pending CVE-2026-1001',
      'finding.closed CVE-2026-1001',
    ]);
  });

  test('seen again it is open again, and its history is kept', async () => {
    const asset = await newAsset('again');
    await asset.becomes([demo('1.0-1')]);
    await asset.becomes([demo('3.0-1')]);
    expect(await asset.findings()).toEqual(['CVE-2026-1003 open']);
    await asset.becomes([demo('1.0-1')]);
    expect(await asset.findings()).toContain('CVE-2026-1001 open');
    expect(await asset.fixed()).toEqual([]);
    const kept = await context.db
      .selectFrom('exposure_history')
      .selectAll()
      .where('asset_id', '=', asset.id)
      .execute();
    expect(kept.map((row) => row.vulnerability).sort()).toEqual(['CVE-2026-1001', 'CVE-2026-1002']);
  });

  test('a file that is not the one shipped keeps it plainly open', async () => {
    const asset = await newAsset('file');
    await asset.becomes([demo('1.0-1')]);
    const file: Residue = {
      ...stillRuns('1.0-1'),
      kind: 'file',
      process: null,
      alteration: 'digest_differs',
    };
    await asset.becomes([demo('3.0-1')], { residue: [file] });
    expect(await asset.findings()).toEqual([
      'CVE-2026-1001 open',
      'CVE-2026-1002 open',
      'CVE-2026-1003 open',
    ]);
  });

  test('old code of an unknown version is undetermined, not forgotten', async () => {
    const asset = await newAsset('unknown');
    await asset.becomes([demo('3.0-1')], { residue: [stillRuns(null)] });
    const undetermined = await inTransaction((trx) => undeterminedOfAsset(trx, asset.id));
    expect(undetermined.map((u) => u.subject)).toEqual(['libdemo1 (earlier version)']);
    const counts = await inTransaction((trx) => findingCounts(trx, [asset.id]));
    expect(counts.get(asset.id)).toEqual({ open: 1, mitigated: 0, restart_pending: 0, undetermined: 1 });
  });

  test('old code of a third party’s build that still runs is no build of the distribution’s', async () => {
    const asset = await newAsset('foreign');
    const foreign = (version: string) =>
      ({ ...demo(version), origin: 'third_party', vendor: 'Example' }) as const;
    await asset.becomes([foreign('1.0-1')]);
    await asset.becomes([foreign('9.0-1')], { residue: [stillRuns('1.0-1')] });
    expect((await asset.findings()).filter((one) => !one.endsWith(' undetermined'))).toEqual([]);
    // nor one that was never seen as installed
    const later = await newAsset('foreign-later');
    await later.becomes([foreign('9.0-1')], { residue: [stillRuns('0.9-1')] });
    expect((await later.findings()).filter((one) => !one.endsWith(' undetermined'))).toEqual([]);
    expect(await later.findings()).not.toEqual([]);
  });

  test('a version that is not one is undetermined with the reason', async () => {
    const asset = await newAsset('absurd');
    await asset.becomes([demo('one point oh')]);
    const found = await inTransaction((trx) => findingsOfAssets(trx, [asset.id]));
    const statuses = (found.get(asset.id) ?? [])
      .map((f) => `${f.vulnerability} ${f.status} ${f.evidence.rule}`)
      .sort();
    expect(statuses).toEqual([
      'CVE-2026-1001 undetermined installed_version_unparseable',
      'CVE-2026-1002 undetermined installed_version_unparseable',
      'CVE-2026-1003 open no_fix_published',
    ]);
  });

  test('a change of knowledge closes it on every asset with that reason', async () => {
    const asset = await newAsset('knowledge');
    await asset.becomes([demo('1.0-1')]);
    await importLines(knowledge.map((line) => line.replace('"fixed":"3.0-1"', '"fixed":"0.9-1"')));
    expect(await asset.findings()).toEqual(['CVE-2026-1001 open', 'CVE-2026-1003 open']);
    expect((await asset.fixed()).join()).toContain('no longer says');
  });

  test('of two kernels the running one counts, and only a reboot closes', async () => {
    const asset = await newAsset('kernel');
    const image = (release: string, version: string): PackageToIntern => ({
      name: `linux-image-${release}`,
      arch: 'amd64',
      version,
      source: 'linux-signed-amd64',
      source_version: version.replace('-', '+'),
    });
    const machine = { ...host, machine: 'physical_or_virtual' as const };
    const old = image('6.1.0-25-amd64', '6.1.106-3');
    const fixed = image('6.1.0-37-amd64', '6.1.140-1');
    await asset.becomes([old], { host: machine });
    expect(await asset.findings()).toEqual(['CVE-2026-2001 open']);
    await asset.becomes([old, fixed], { host: machine });
    expect(await asset.findings()).toEqual(['CVE-2026-2001 reboot_pending']);
    await asset.becomes([fixed], { host: machine });
    expect(await asset.findings()).toEqual(['CVE-2026-2001 reboot_pending']);
    await asset.becomes([old, fixed], { host: { ...machine, running_kernel: '6.1.0-37-amd64' } });
    expect(await asset.findings()).toEqual([]);
    expect((await asset.fixed()).join()).toContain('6.1.106-3');
  });

  test('an unknown release is undetermined as a whole', async () => {
    const asset = await newAsset('release');
    await inTransaction(async (trx) => {
      const software = await internSoftware(trx, context, { ecosystem: 'debian', release: '99' }, [
        demo('1.0-1'),
      ]);
      await trx
        .updateTable('asset')
        .set({ os_release: '99', software, since: [0], digests: '{}' })
        .where('id', '=', asset.id)
        .execute();
    });
    const subjects = async () =>
      (await inTransaction((trx) => undeterminedOfAsset(trx, asset.id))).map((u) => u.subject);
    expect(await subjects()).toEqual(['debian 99']);
    expect((await inTransaction((trx) => findingCounts(trx, [asset.id]))).get(asset.id)).toMatchObject({
      undetermined: 1,
    });
    // What changelogs say of single fixes makes no release known; what a listing feed says does, at once.
    const state = async (feed: 'debian-changelog' | 'debian-osv') =>
      await inTransaction(async (trx) => {
        await trx
          .insertInto('feed')
          .values({ id: feed })
          .onConflict((c) => c.doNothing())
          .execute();
        const record = { feed, record: 'r99', digest: 'x', raw: '', imported_at: now };
        await trx.insertInto('feed_record').values(record).execute();
        await trx
          .insertInto('statement')
          .values({
            feed,
            record: 'r99',
            vulnerability: 'CVE-2026-9999',
            ecosystem: 'debian',
            release: '99',
            package: 'other',
            package_kind: 'source',
            status: 'fixed',
            fixed_version: '1',
            fix_state: 'available',
            note: null,
            advisory: null,
          })
          .execute();
      });
    await state('debian-changelog');
    expect(await subjects()).toEqual(['debian 99']);
    await state('debian-osv');
    expect(await subjects()).toEqual([]);
  });

  test('an asset that has never reported is undetermined, not free of findings', async () => {
    const asset = await newAsset('silent');
    const undetermined = await inTransaction((trx) => undeterminedOfAsset(trx, asset.id));
    expect(undetermined.map((u) => u.subject)).toEqual(['inventory']);
  });
});
