/** What one record's change does to verdicts that rest on others: no verdict may stay, or go, for the wrong reason. */
import { pino } from 'pino';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { FeedId } from '@fixpoint/core/knowledge/facts.ts';
import type { Context, Transact } from '../context.ts';
import { testDatabase, type TestDatabase } from '../database/test-database.ts';
import { feedOf } from '../feed/feeds.ts';
import { systemRandom } from '../random.ts';
import { internSoftware } from '../software/commands.ts';
import { verdictsOf } from '../software/store.ts';
import { keepKnowledge, vulnerabilitiesCalled } from './commands.ts';
import { importFeed } from './import.ts';

const wolfi = { ecosystem: 'wolfi', release: '' };
let database: TestDatabase;
let context: Context;

beforeAll(async () => {
  database = await testDatabase();
  context = {
    db: database.db,
    clock: { now: () => new Date('2026-11-22T08:00:00Z') },
    random: systemRandom,
    log: pino({ level: 'silent' }),
  };
});
afterAll(() => database.close());

const inTransaction = <T>(work: (trx: Transact) => Promise<T>) => context.db.transaction().execute(work);

async function take(feed: FeedId, lines: readonly object[], allowShrink = true) {
  async function* bytes(): AsyncGenerator<Uint8Array> {
    yield Buffer.from(lines.map((line) => JSON.stringify(line)).join('\n'));
  }
  const actor = { kind: 'system', name: 'test' } as const;
  const file = { name: 'made-up', bytes: bytes() };
  return await importFeed(context, feedOf(feed), file, { actor, allowShrink });
}

async function taken(feed: FeedId, lines: readonly object[]): Promise<void> {
  const result = await take(feed, lines);
  if (!result.ok) throw new Error(result.message);
}

async function software(name: string, version = '1.0-r0'): Promise<number> {
  const one = { name, arch: 'x86_64', version, source: name, source_version: version };
  const [id = 0] = await inTransaction((trx) => internSoftware(trx, context, wolfi, [one]));
  return id;
}

async function verdictsOn(id: number): Promise<string[]> {
  const rows = await inTransaction((trx) => verdictsOf(trx, [id]));
  return rows.map((row) => row.vulnerability).sort();
}

/** A notice of Chainguard's: one flaw in one package. */
const notice = (id: string, name: string, upstream: readonly string[], more: object = {}) => ({
  id,
  modified: '2026-01-01T00:00:00Z',
  published: '2026-01-01T00:00:00Z',
  upstream,
  affected: [
    {
      package: { ecosystem: 'Wolfi', name },
      ranges: [{ type: 'ECOSYSTEM', events: [{ introduced: '0' }, { fixed: '1.1-r0' }] }],
    },
  ],
  ...more,
});

const cve = (cveId: string, advisory: readonly string[], state = 'PUBLISHED') => ({
  dataType: 'CVE_RECORD',
  cveMetadata: { cveId, state, datePublished: '2026-01-01T00:00:00Z', dateRejected: '2026-02-01T00:00:00Z' },
  containers: { cna: { source: { advisory } } },
});

test('a withdrawn notice of one package withdraws nothing of the others', async () => {
  const [here, there] = [await software('here'), await software('there')];
  const both = ['CVE-2026-93001'];
  await taken('wolfi-osv', [notice('CGA-1', 'here', both), notice('CGA-2', 'there', both)]);
  expect([await verdictsOn(here), await verdictsOn(there)]).toEqual([both, both]);
  const withdrawn = notice('CGA-2', 'there', both, { withdrawn: '2026-02-01T00:00:00Z' });
  await taken('wolfi-osv', [notice('CGA-1', 'here', both), withdrawn]);
  expect([await verdictsOn(here), await verdictsOn(there)]).toEqual([both, []]);
});

const [first, second] = ['GHSA-2222-2222-2222', 'GHSA-3333-3333-3333'] as const;

test('of a vulnerability with several names, what is said under each counts when one of them goes', async () => {
  const id = await software('many-names');
  await taken('cve-list', [cve('CVE-2026-93002', [first, second])]);
  const kept = notice('CGA-4', 'many-names', [second]);
  await taken('wolfi-osv', [notice('CGA-3', 'many-names', [first]), kept]);
  expect(await verdictsOn(id)).toEqual(['CVE-2026-93002']);
  await taken('wolfi-osv', [kept]);
  expect(await verdictsOn(id)).toEqual(['CVE-2026-93002']);
});

test('a name that a record no longer gives leads to the vulnerability no more', async () => {
  const id = await software('renamed');
  await taken('cve-list', [cve('CVE-2026-93003', ['GHSA-4444-4444-4444'])]);
  await taken('wolfi-osv', [notice('CGA-5', 'renamed', ['GHSA-4444-4444-4444'])]);
  expect(await verdictsOn(id)).toEqual(['CVE-2026-93003']);
  await taken('cve-list', [cve('CVE-2026-93003', [])]);
  expect(await verdictsOn(id)).toEqual(['GHSA-4444-4444-4444']);
  await taken('cve-list', [cve('CVE-2026-93003', ['GHSA-4444-4444-4444'])]);
  expect(await verdictsOn(id)).toEqual(['CVE-2026-93003']);
});

test('a rejected CVE closes what is said of it under another name, and opens it when it is taken back', async () => {
  const id = await software('rejected');
  const alias = 'GHSA-5555-5555-5555';
  await taken('cve-list', [cve('CVE-2026-93004', [alias])]);
  await taken('wolfi-osv', [notice('CGA-6', 'rejected', [alias])]);
  expect(await verdictsOn(id)).toEqual(['CVE-2026-93004']);
  await taken('cve-list', [cve('CVE-2026-93004', [alias], 'REJECTED')]);
  expect(await verdictsOn(id)).toEqual([]);
  await taken('cve-list', [cve('CVE-2026-93004', [alias])]);
  expect(await verdictsOn(id)).toEqual(['CVE-2026-93004']);
});

test('a CVE that is spoken of is asked for under its own id, even if another record calls it a duplicate', async () => {
  const called = (id: string) => inTransaction((trx) => vulnerabilitiesCalled(trx, id));
  const more = { aliases: ['CVE-2026-93009'] };
  await taken('ubuntu-osv', [notice('UBUNTU-CVE-2026-93008', 'x', [], more)]);
  expect(await called('CVE-2026-93009')).toEqual(['CVE-2026-93008']);
  await taken('ubuntu-osv', [
    notice('UBUNTU-CVE-2026-93008', 'x', [], more),
    notice('UBUNTU-CVE-2026-93009', 'x', []),
  ]);
  expect(await called('CVE-2026-93009')).toEqual(['CVE-2026-93009']);
});

test('two imports at once: what one says under a name and the other makes of the name come together', async () => {
  const id = await software('at-once');
  const alias = 'GHSA-6666-6666-6666';
  let release = (): void => undefined;
  const held = new Promise<void>((resolve) => {
    release = resolve;
  });
  // While a host is adding software, both wait to match, the one that speaks of the package first.
  const host = inTransaction(async (trx) => {
    await keepKnowledge(trx);
    await held;
  });
  const pause = () => new Promise((resolve) => setTimeout(resolve, 300));
  await pause();
  const speaking = taken('wolfi-osv', [notice('CGA-7', 'at-once', [alias])]);
  await pause();
  const naming = taken('cve-list', [cve('CVE-2026-93007', [alias])]);
  await pause();
  release();
  await Promise.all([host, speaking, naming]);
  expect(await verdictsOn(id)).toEqual(['CVE-2026-93007']);
});

test('a part that has lost most of its records is refused, however small it is among all parts', async () => {
  const repository = (distroversion: string, count: number) => ({
    reponame: 'main',
    distroversion,
    packages: Array.from({ length: count }, (_, i) => ({
      pkg: { name: `p${String(i)}`, secfixes: { '1.1-r0': ['CVE-2026-94000'] } },
    })),
  });
  await taken('alpine-secdb', [repository('v3.18', 300)]);
  await taken('alpine-secdb', [repository('v3.19', 50)]);
  expect(await take('alpine-secdb', [repository('v3.19', 1)], false)).toMatchObject({
    ok: false,
    code: 'feed_implausible_loss',
  });
});

const product = 'Windows Server 2019';
const fix = (kb: string, ids: readonly string[], build?: string, supersedes?: string) => ({
  Type: 2,
  SubType: 'Security Update',
  Description: { Value: kb },
  Supercedence: supersedes ?? '',
  FixedBuild: build ?? '',
  ProductID: ids,
});
const document = (month: string, remediations: readonly object[], ids: readonly string[], id: string) => ({
  DocumentTitle: { Value: month },
  DocumentTracking: {
    Identification: { ID: { Value: month } },
    InitialReleaseDate: '2026-01-01T00:00:00Z',
    CurrentReleaseDate: '2026-01-01T00:00:00Z',
  },
  ProductTree: {
    FullProductName: [
      { ProductID: '1', Value: product },
      { ProductID: '2', Value: 'Windows Server 2022' },
    ],
  },
  Vulnerability: [{ CVE: id, ProductStatuses: [{ Type: 3, ProductID: ids }], Remediations: remediations }],
});

const windows = { ecosystem: 'windows', release: '' };
const installedOn = (name: string, ...updates: string[]) => ({
  name,
  version: '10.0.17763',
  arch: 'x64',
  source: name,
  source_version: '10.0.17763',
  updates,
});

test('an update that a revised document names for a product no more takes its supersedence with it', async () => {
  await taken('microsoft-cvrf', [document('2026-Jan', [fix('5000001', ['1'])], ['1'], 'CVE-2026-95001')]);
  // The update of February is said to contain that of January, in a record of its own that speaks of no flaw of the product.
  const february = (ids: readonly string[]) =>
    document('2026-Feb', [fix('5000002', ids, undefined, '5000001')], ['2'], 'CVE-2026-95002');
  await taken('microsoft-cvrf', [february(['1', '2'])]);
  const [id = 0] = await inTransaction((trx) =>
    internSoftware(trx, context, windows, [installedOn(product, 'KB5000002')]),
  );
  expect(await verdictsOn(id)).toEqual([]);
  await taken('microsoft-cvrf', [february(['2'])]);
  expect(await verdictsOn(id)).toEqual(['CVE-2026-95001']);
});

test('an update that the data lists for another product is known, whichever products are judged together', async () => {
  const other = 'Windows Server 2022';
  const march = (id: string) => document('2026-Mar', [fix('5100001', ['1'])], ['1'], id);
  await taken('microsoft-cvrf', [march('CVE-2026-95003')]);
  await taken('microsoft-cvrf', [document('2026-Apr', [fix('5100002', ['2'])], ['2'], 'CVE-2026-95004')]);
  const both = [installedOn(product, 'KB5100002'), installedOn(other, 'KB5100002')];
  const [id = 0] = await inTransaction((trx) => internSoftware(trx, context, windows, both));
  const kind = async () => {
    const rows = await inTransaction((trx) => verdictsOf(trx, [id], ['CVE-2026-95003']));
    return rows.map((row) => row.verdict);
  };
  expect(await kind()).toEqual(['vulnerable']);
  // What is new concerns the one product alone.
  await taken('microsoft-cvrf', [document('2026-May', [fix('5100003', ['1'])], ['1'], 'CVE-2026-95005')]);
  expect(await kind()).toEqual(['vulnerable']);
});
