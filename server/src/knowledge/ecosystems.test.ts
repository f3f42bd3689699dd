/** What reaches a verdict from feeds of other ecosystems than Debian, through the real database. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { pino } from 'pino';
import type { FeedId } from '@fixpoint/core/knowledge/facts.ts';
import type { InstalledPackage } from '@fixpoint/core/inventory/inventory.ts';
import type { Context, Transact } from '../context.ts';
import { testDatabase, type TestDatabase } from '../database/test-database.ts';
import { feedOf } from '../feed/feeds.ts';
import { systemRandom } from '../random.ts';
import { internSoftware } from '../software/commands.ts';
import { verdictsOf } from '../software/store.ts';
import { rejectionsOf } from './commands.ts';
import { importFeed } from './import.ts';

let database: TestDatabase;
let context: Context;
beforeAll(async () => {
  database = await testDatabase();
  const now = new Date('2026-11-22T08:00:00Z');
  context = {
    db: database.db,
    clock: { now: () => now },
    random: systemRandom,
    log: pino({ level: 'silent' }),
  };
});
afterAll(() => database.close());

const inTransaction = <T>(work: (trx: Transact) => Promise<T>) => context.db.transaction().execute(work);

async function* chunks(text: string): AsyncGenerator<Uint8Array> {
  yield Buffer.from(text);
}

async function take(feed: FeedId, text: string) {
  const actor = { kind: 'system', name: 'test' } as const;
  const result = await importFeed(
    context,
    feedOf(feed),
    { name: 'made-up', bytes: chunks(text) },
    { actor, allowShrink: true },
  );
  if (!result.ok) throw new Error(result.message);
  return result.value;
}

const osv = (id: string, ecosystem: string, name: string, fixed: string | null, more: object = {}) =>
  JSON.stringify({
    schema_version: '1.7.0',
    id,
    modified: '2026-01-01T00:00:00Z',
    published: '2026-01-01T00:00:00Z',
    affected: [
      {
        package: { ecosystem, name },
        ranges: [
          { type: 'ECOSYSTEM', events: [{ introduced: '0' }, ...(fixed === null ? [] : [{ fixed }])] },
        ],
      },
    ],
    ...more,
  });

const rpm = (name: string, version: string, more: Partial<InstalledPackage> = {}): InstalledPackage => ({
  name,
  version,
  arch: 'x86_64',
  source: name,
  source_version: version,
  ...more,
});

async function intern(ecosystem: string, release: string, packages: readonly InstalledPackage[]) {
  return await inTransaction((trx) => internSoftware(trx, context, { ecosystem, release }, packages));
}

async function verdictsOn(id: number | undefined): Promise<string[]> {
  const rows = await inTransaction((trx) => verdictsOf(trx, [id ?? 0]));
  return rows.map((v) => `${v.vulnerability} ${v.verdict} ${v.fixed_version} ${v.evidence.rule}`).sort();
}

describe('software of other ecosystems', () => {
  test('the same package of two module streams, of a third party and of none is four', async () => {
    const packages = [
      rpm('nodejs', '1:18.1.0-1.module_el8', { module: 'nodejs:18' }),
      rpm('nodejs', '1:18.1.0-1.module_el8', { module: 'nodejs:16' }),
      rpm('nodejs', '1:18.1.0-1.module_el8', { origin: 'third_party', vendor: 'NodeSource' }),
      rpm('nodejs', '1:18.1.0-1.module_el8'),
    ];
    const ids = await intern('almalinux', '8', packages);
    expect(new Set(ids).size).toBe(4);
    expect(await intern('almalinux', '8', packages.toReversed())).toEqual(ids.toReversed());
    await take(
      'almalinux-osv',
      osv('ALSA-2022:7821', 'AlmaLinux:8', 'nodejs', '1:18.9.1-1.module_el8.7.0+3343+ea2b7901', {
        summary: 'Important: nodejs:18 security update',
        related: ['CVE-2022-43548'],
      }),
    );
    expect(await verdictsOn(ids[0])).toEqual([
      'CVE-2022-43548 vulnerable 1:18.9.1-1.module_el8.7.0+3343+ea2b7901 older_than_fixed_version',
    ]);
    expect(await verdictsOn(ids[1])).toEqual([]);
    // not safe because it is in none of the streams
    expect(await verdictsOn(ids[2])).toEqual([expect.stringContaining('undetermined')]);
    expect(await verdictsOn(ids[3])).toEqual([]);
  });

  test('a third party’s build is undetermined where the distribution’s own is named', async () => {
    const [own, foreign] = await intern('ubuntu', '22.04', [
      rpm('curl', '7.81.0-1ubuntu1.10'),
      rpm('curl', '99', { origin: 'third_party', vendor: 'Example' }),
    ]);
    await take(
      'ubuntu-osv',
      [
        osv('UBUNTU-CVE-2026-80001', 'Ubuntu:22.04:LTS', 'curl', '7.81.0-1ubuntu1.21'),
        // and a fix that only Ubuntu Pro has
        osv('UBUNTU-CVE-2026-80002', 'Ubuntu:Pro:22.04:LTS', 'curl', '7.81.0-1ubuntu1.30+esm1'),
      ].join('\n'),
    );
    expect(await verdictsOn(own)).toEqual([
      'CVE-2026-80001 vulnerable 7.81.0-1ubuntu1.21 older_than_fixed_version',
      'CVE-2026-80002 vulnerable 7.81.0-1ubuntu1.30+esm1 older_than_fixed_version',
    ]);
    expect((await verdictsOn(foreign))[0]).toContain('undetermined');
    const rows = await inTransaction((trx) => verdictsOf(trx, [own ?? 0]));
    expect(rows.find((v) => v.vulnerability === 'CVE-2026-80002')?.evidence.channel).toContain('Ubuntu Pro');
  });

  test('Alpine goes by source package and its own order; the release without the patch level', async () => {
    const [old] = await intern('alpine', '3.18', [
      rpm('libcrypto3', '3.1.0-r0', { source: 'openssl', source_version: '3.1.0-r0' }),
    ]);
    await take(
      'alpine-osv',
      osv('ALPINE-CVE-2023-2650', 'Alpine:v3.18', 'openssl', '3.1.1-r0', { upstream: ['CVE-2023-2650'] }),
    );
    expect(await verdictsOn(old)).toEqual(['CVE-2023-2650 vulnerable 3.1.1-r0 older_than_fixed_version']);
  });

  test('a feed of one ecosystem says nothing about another', async () => {
    const [debian] = await intern('debian', '12', [rpm('xkbcomp', '1')]);
    await take('alpine-osv', osv('ALPINE-CVE-2026-80003', 'Debian:12', 'xkbcomp', '2'));
    expect(await verdictsOn(debian)).toEqual([]);
  });
});

describe('one vulnerability with several names', () => {
  test('is counted under its CVE as soon as a feed says that they are one', async () => {
    const [id] = await intern('debian', '12', [rpm('tor', '0.4.7.13-1')]);
    const tor = osv('DSA-5562-1', 'Debian:12', 'tor', '0.4.7.16-1', { summary: 'tor - security update' });
    await take('debian-osv', tor);
    expect(await verdictsOn(id)).toEqual(['DSA-5562-1 vulnerable 0.4.7.16-1 older_than_fixed_version']);
    const named = osv('CVE-2026-80004', 'Debian:12', 'elsewhere', '2', { aliases: ['DSA-5562-1'] });
    await take('debian-osv', [tor, named].join('\n'));
    expect(await verdictsOn(id)).toEqual(['CVE-2026-80004 vulnerable 0.4.7.16-1 older_than_fixed_version']);
    // Two CVEs with that alias: the name is shared, so it is a name of neither.
    const shared = osv('CVE-2026-80005', 'Debian:12', 'elsewhere', '2', { aliases: ['DSA-5562-1'] });
    await take('debian-osv', [tor, named, shared].join('\n'));
    expect(await verdictsOn(id)).toEqual(['DSA-5562-1 vulnerable 0.4.7.16-1 older_than_fixed_version']);
  });
});

test('of a feed whose files hold a part each, a file takes back only what was in its part', async () => {
  const secdb = (release: string, fixes: object) =>
    JSON.stringify({
      apkurl: '',
      archs: ['x86_64'],
      reponame: 'main',
      urlprefix: '',
      distroversion: release,
      packages: [
        { pkg: { name: 'busybox', secfixes: fixes } },
        { pkg: { name: 'aom', secfixes: { '1-r0': ['CVE-2026-80009'] } } },
      ],
    });
  const [id] = await intern('alpine', '3.17', [rpm('busybox', '1.35.0-r1')]);
  await take('alpine-secdb', secdb('v3.17', { '1.35.0-r7': ['CVE-2022-30065'] }));
  await take('alpine-secdb', secdb('v3.16', { '1.35.0-r3': ['CVE-2022-28391'] }));
  expect(await verdictsOn(id)).toEqual(['CVE-2022-30065 vulnerable 1.35.0-r7 older_than_fixed_version']);
  expect(await take('alpine-secdb', secdb('v3.16', {}))).toMatchObject({ withdrawn: 0, changed: 1 });
  expect(await verdictsOn(id)).toHaveLength(1);
  await take('alpine-secdb', secdb('v3.17', {}));
  expect(await verdictsOn(id)).toEqual([]);
});

test('what a single document had refused stays in sight until that document is read', async () => {
  const inSight = async () =>
    (await inTransaction((trx) => rejectionsOf(trx, 'cve-list'))).map((one) => one.message.slice(0, 60));
  const record = (id: string) =>
    JSON.stringify({
      dataType: 'CVE_RECORD',
      dataVersion: '5.1',
      cveMetadata: { cveId: id, state: 'PUBLISHED', datePublished: '2026-01-01T00:00:00Z' },
      containers: { cna: { descriptions: [{ lang: 'en', value: 'A flaw.' }] } },
    });
  const broken = record('CVE-2026-81001').replace('"CVE_RECORD"', '"SOMETHING_ELSE"');
  await take('cve-list', [broken, record('CVE-2026-81002')].join('\n'));
  const refused = await inSight();
  expect(refused).toHaveLength(1);
  await take('cve-list', record('CVE-2026-81003'));
  expect(await inSight()).toEqual(refused);
  await take('cve-list', [broken, record('CVE-2026-81002')].join('\n'));
  expect(await inSight()).toEqual(refused);
  const { rejected } = await context.db
    .selectFrom('feed')
    .select('rejected')
    .where('id', '=', 'cve-list')
    .executeTakeFirstOrThrow();
  expect(rejected).toBe(1);
});
