import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { pino } from 'pino';
import type { Context } from '../context.ts';
import { testDatabase, type TestDatabase } from '../database/test-database.ts';
import type { FeedId } from '@fixpoint/core/knowledge/facts.ts';
import type { FeedFile } from '../feed/feed.ts';
import { feedOf } from '../feed/feeds.ts';
import { systemRandom } from '../random.ts';
import { internSoftware } from '../software/commands.ts';
import { verdictsOf } from '../software/store.ts';
import { loadCarriedKnowledge } from './carried.ts';
import { decisionsFor, feedStatus } from './commands.ts';
import { importFeed } from './import.ts';

const actor = { kind: 'system', name: 'test' } as const;
const debian12 = { ecosystem: 'debian', release: '12' };
const libssl = { name: 'libssl3', arch: 'amd64', source: 'openssl' };

let database: TestDatabase;
let context: Context;
let now = new Date('2026-11-22T08:00:00Z');

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

const inTransaction = <T>(work: (trx: Parameters<typeof decisionsFor>[0]) => Promise<T>) =>
  context.db.transaction().execute(work);

async function* chunks(text: string): AsyncGenerator<Uint8Array> {
  yield Buffer.from(text);
}
const file = (name: string, text: string): FeedFile => ({ name, bytes: chunks(text) });

function osv(id: string, fixed: string | null, more: object = {}): string {
  return JSON.stringify({
    schema_version: '1.6.0',
    id,
    modified: '2026-01-01T00:00:00Z',
    published: '2026-01-01T00:00:00Z',
    details: 'A flaw.',
    affected: [
      {
        package: { ecosystem: 'Debian:12', name: 'demo' },
        ranges: [
          { type: 'ECOSYSTEM', events: [{ introduced: '0' }, ...(fixed === null ? [] : [{ fixed }])] },
        ],
      },
    ],
    ...more,
  });
}

describe('the knowledge that the product carries', () => {
  test('loads once, then costs a hash', async () => {
    const first = await loadCarriedKnowledge(context);
    expect(first.map((o) => o.outcome)).toEqual(first.map(() => 'loaded'));
    const again = await loadCarriedKnowledge(context);
    expect(again.map((o) => o.outcome)).toEqual(first.map(() => 'unchanged'));
  });

  test('knows what is fixed in openssl up to the newest security update, with source and record', async () => {
    const decisions = await inTransaction((trx) =>
      decisionsFor(trx, debian12, { sources: ['openssl'], binaries: [] }),
    );
    const newest = decisions.find((d) => d.vulnerability === 'CVE-2026-54872');
    expect(newest).toMatchObject({
      status: 'fixed',
      fixedVersion: '3.0.22-1~deb12u2',
      feed: 'debian-changelog',
    });
    expect(decisions.find((d) => d.vulnerability === 'CVE-2023-5363')).toMatchObject({
      fixedVersion: '3.0.11-1~deb12u2',
      feed: 'debian-osv',
      advisory: 'DSA-5532-1',
    });
  });

  test('an old extract is stale however freshly it was loaded', async () => {
    const status = await inTransaction((trx) => feedStatus(trx, context));
    expect(status.find((s) => s.id === 'debian-osv')).toMatchObject({ stale: true });
    expect(status.find((s) => s.id === 'debian-tracker')).toMatchObject({
      last_success_at: null,
      stale: true,
    });
  });

  test('software is matched when it first appears, and only once', async () => {
    const old = { ...libssl, version: '3.0.17-1~deb12u2', source_version: '3.0.17-1~deb12u2' };
    const fixed = { ...libssl, version: '3.0.22-1~deb12u2', source_version: '3.0.22-1~deb12u2' };
    const ids = await inTransaction((trx) => internSoftware(trx, context, debian12, [old, fixed, old]));
    expect(ids[0]).toBe(ids[2]);
    const verdicts = await inTransaction((trx) => verdictsOf(trx, [...new Set(ids)]));
    const of = (id: number | undefined) =>
      verdicts.filter((v) => v.software_id === id).map((v) => v.vulnerability);
    expect(of(ids[0])).toContain('CVE-2026-54872');
    expect(of(ids[1])).not.toContain('CVE-2026-54872');
    expect(await inTransaction((trx) => internSoftware(trx, context, debian12, [fixed, old]))).toEqual([
      ids[1],
      ids[0],
    ]);
  });
});

/** Verdicts on one software, as `CVE-… fixed in`, sorted. */
async function verdictsOn(id: number): Promise<string[]> {
  const rows = await inTransaction((trx) => verdictsOf(trx, [id]));
  return rows.map((v) => `${v.vulnerability} ${v.fixed_version}`).sort();
}

async function take(feed: FeedId, lines: string[]) {
  const result = await importFeed(context, feedOf(feed), file('made-up', lines.join('\n')), {
    actor,
    allowShrink: true,
  });
  if (!result.ok) throw new Error(result.message);
  return result.value;
}

const madeUp = (name: string) => ({
  name,
  arch: 'amd64',
  version: '1.0-1',
  source: name,
  source_version: '1.0-1',
});

describe('nothing becomes safe by itself', () => {
  const about = (name: string, id: string, fixed: string | null, more: object = {}) =>
    osv(id, fixed, more).replaceAll('"demo"', JSON.stringify(name));

  test('a record that has become unreadable has not been withdrawn', async () => {
    const [id = 0] = await inTransaction((trx) =>
      internSoftware(trx, context, debian12, [madeUp('brittle')]),
    );
    const first = about('brittle', 'CVE-2026-92001', '1.1-1');
    const second = about('brittle', 'CVE-2026-92002', '1.1-1');
    await take('debian-osv', [first, second]);
    expect(await verdictsOn(id)).toHaveLength(2);
    const broken = '{"id": "CVE-2026-92001", "modified": "2026-01-01T00:00:00Z", "affected": 7}';
    expect(await take('debian-osv', [broken, second])).toMatchObject({ rejected: 1, withdrawn: 0 });
    expect(await verdictsOn(id)).toEqual(['CVE-2026-92001 1.1-1', 'CVE-2026-92002 1.1-1']);
    // Which record this was nobody can tell, so nothing is taken for withdrawn.
    expect(await take('debian-osv', ['{ no JSON }', second])).toMatchObject({ rejected: 1, withdrawn: 0 });
    expect(await verdictsOn(id)).toHaveLength(2);
    expect(await take('debian-osv', [second])).toMatchObject({ rejected: 0, withdrawn: 1 });
    expect(await verdictsOn(id)).toEqual(['CVE-2026-92002 1.1-1']);
  });

  test('what one source withdrew and takes back is in force again for all of them', async () => {
    const [id = 0] = await inTransaction((trx) =>
      internSoftware(trx, context, debian12, [madeUp('revived')]),
    );
    const releases = { bookworm: { status: 'open', repositories: {}, urgency: 'not yet assigned' } };
    const tracker = JSON.stringify({ revived: { 'CVE-2026-92003': { releases } } });
    await take('debian-tracker', [tracker]);
    expect(await verdictsOn(id)).toEqual(['CVE-2026-92003 null']);
    const other = about('another', 'CVE-2026-92003', '1.1-1');
    const withdrawn = about('another', 'CVE-2026-92003', null, { withdrawn: '2026-02-01T00:00:00Z' });
    await take('debian-osv', [withdrawn]);
    expect(await verdictsOn(id)).toEqual([]);
    await take('debian-osv', [other]);
    expect(await verdictsOn(id)).toEqual(['CVE-2026-92003 null']);
    await take('debian-osv', [withdrawn]);
    expect(await verdictsOn(id)).toEqual([]);
    await take('debian-osv', [about('another', 'CVE-2026-92004', '1.1-1')]);
    expect(await verdictsOn(id)).toEqual(['CVE-2026-92003 null']);
  });

  test('software that a host brings while an import is under way is judged by what was imported', async () => {
    let go = (): void => undefined;
    const held = new Promise<void>((resolve) => {
      go = resolve;
    });
    let interned = (_id: number): void => undefined;
    const id = new Promise<number>((resolve) => {
      interned = resolve;
    });
    const host = inTransaction(async (trx) => {
      const [one = 0] = await internSoftware(trx, context, debian12, [madeUp('racing')]);
      interned(one);
      await held;
    });
    const software = await id;
    const imported = take('debian-osv', [about('racing', 'CVE-2026-92005', '1.1-1')]);
    await new Promise((resolve) => {
      setTimeout(resolve, 300);
    });
    go();
    await Promise.all([host, imported]);
    expect(await verdictsOn(software)).toEqual(['CVE-2026-92005 1.1-1']);
  });
});

describe('imports', () => {
  test('idempotent, incremental, and software is matched again when knowledge changes', async () => {
    const demo = { name: 'demo', arch: 'amd64', version: '1.0-1', source: 'demo', source_version: '1.0-1' };
    const [id = 0] = await inTransaction((trx) => internSoftware(trx, context, debian12, [demo]));
    const a = osv('CVE-2026-90001', '1.1-1');
    const b = osv('CVE-2026-90002', null);
    await take('debian-osv', [a, b]);
    expect(await verdictsOn(id)).toEqual(['CVE-2026-90001 1.1-1', 'CVE-2026-90002 null']);
    const [imported] = await context.db
      .selectFrom('audit_event')
      .select('after')
      .where('event', '=', 'feed.imported')
      .orderBy('sequence', 'desc')
      .limit(1)
      .execute();
    expect(imported?.after).toMatchObject({ opened: ['CVE-2026-90001', 'CVE-2026-90002'] });
    expect(await take('debian-osv', [a, b])).toMatchObject({
      read: 2,
      added: 0,
      changed: 0,
      unchanged: 2,
      withdrawn: 0,
    });
    expect(await take('debian-osv', [a, osv('CVE-2026-90002', '1.0-1')])).toMatchObject({
      changed: 1,
      unchanged: 1,
    });
    expect(await verdictsOn(id)).toEqual(['CVE-2026-90001 1.1-1']);
    expect(await take('debian-osv', [a])).toMatchObject({ withdrawn: 1 });
    await take('debian-osv', [osv('CVE-2026-90001', '1.1-1', { withdrawn: '2026-02-01T00:00:00Z' })]);
    expect(await verdictsOn(id)).toEqual([]);
  });

  test('one bad record is reported and skipped, the others count', async () => {
    const result = await importFeed(
      context,
      feedOf('debian-osv'),
      file(
        'mixed.jsonl',
        [
          osv('CVE-2026-90003', '1.1-1'),
          '{"id": "CVE-2026-90004", "affected": 7}',
          osv('CVE-2026-90005', '1.2-1'),
        ].join('\n'),
      ),
      { actor, allowShrink: true },
    );
    expect(result).toMatchObject({ ok: true, value: { read: 2, rejected: 1 } });
    const rejections = await context.db
      .selectFrom('feed_rejection')
      .selectAll()
      .where('feed', '=', 'debian-osv')
      .execute();
    expect(rejections).toHaveLength(1);
    expect(rejections[0]?.position).toContain('2');
  });

  test('a file that is not the feed, or is cut short, changes nothing and says so', async () => {
    const before = await context.db
      .selectFrom('feed_record')
      .select(({ fn }) => fn.countAll().as('n'))
      .executeTakeFirst();
    now = new Date('2026-11-22T09:00:00Z');
    const page = await importFeed(
      context,
      feedOf('cisa-kev'),
      file('kev.json', '<html><body>Access denied</body></html>'),
      { actor },
    );
    expect(page).toMatchObject({ ok: false, status: 422 });
    const cut = await importFeed(
      context,
      feedOf('cisa-kev'),
      file('kev.json', '{"title": "CISA", "catalogVersion": "2026.01.01", "vulnerabilities": [{'),
      { actor },
    );
    expect(cut).toMatchObject({ ok: false, status: 422 });
    const after = await context.db
      .selectFrom('feed_record')
      .select(({ fn }) => fn.countAll().as('n'))
      .executeTakeFirst();
    expect(after).toEqual(before);
    const status = (await inTransaction((trx) => feedStatus(trx, context))).find((s) => s.id === 'cisa-kev');
    expect(status?.last_error).toContain('kev.json');
    expect(status?.last_success_at).not.toBeNull();
    const audit = await context.db
      .selectFrom('audit_event')
      .selectAll()
      .where('event', '=', 'feed.failed')
      .execute();
    expect(audit).toHaveLength(2);
  });

  test('a complete feed that lost most of its records is refused until a person says that it is right', async () => {
    const lines = Array.from({ length: 100 }, (_, i) =>
      osv(`CVE-2026-91${String(i).padStart(3, '0')}`, '1.1-1'),
    );
    const first = await importFeed(context, feedOf('debian-osv'), file('all.jsonl', lines.join('\n')), {
      actor,
      allowShrink: true,
    });
    expect(first.ok).toBe(true);
    const cut = await importFeed(
      context,
      feedOf('debian-osv'),
      file('all.jsonl', lines.slice(0, 40).join('\n')),
      { actor },
    );
    expect(cut).toMatchObject({ ok: false, code: 'feed_implausible_loss' });
    const kept = await context.db
      .selectFrom('feed_record')
      .select(({ fn }) => fn.countAll().as('n'))
      .where('feed', '=', 'debian-osv')
      .executeTakeFirst();
    expect(Number(kept?.n)).toBe(100);
  });
});
