/** How a model follows the database where something is amiss: rows that cannot be read, changes that are left half-way, dumps. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { sql } from 'kysely';
import { AgentDouble, debianPackage } from '../deployment/agent-double.ts';
import { rooms } from '../rooms.ts';
import { testApp, type TestApp } from '../test-app.ts';
import { eachCopiedRow } from './copy-rows.ts';
import { openPosture } from './open.ts';
import type { Posture } from './posture.ts';
import { expectAgreement } from './test-agreement.ts';

let app: TestApp;
let posture: Posture;
beforeAll(async () => {
  app = await testApp(rooms);
  await AgentDouble.enrol(app, 'host-1', {
    packages: [debianPackage('curl', '1.0-1')],
    candidates: [],
    residue: [],
    held: [],
    facts: {},
  });
  posture = openPosture(app.context, app.database.pool);
  await posture.fresh();
});
afterAll(async () => {
  await posture.stop();
  await app.close();
});

const live = async () => (await posture.fresh()).assets.live.toArray();

describe('a model that follows', () => {
  test('passes over a tag and a rule that cannot be read, and goes on', async () => {
    const { db } = app.database;
    const now = app.clock.now();
    const tag = { created_by: 'test', created_at: now, updated_at: now, members_at: now };
    const insert = async (name: string, rule: string) => {
      const id = app.context.random.uuid();
      await db
        .insertInto('tag')
        .values({ ...tag, id, name, kind: 'rule', rule, members: Buffer.of() })
        .execute();
    };
    await insert('odd', 'no_such_field = 1');
    await insert('beside', 'tag != odd');
    await insert('sound', 'hostname = host-1');
    await db
      .insertInto('tag')
      .values({ ...tag, id: app.context.random.uuid(), name: 'list', kind: 'list', members: Buffer.of(7) })
      .execute();
    await db
      .insertInto('criticality_rule')
      .values({
        id: app.context.random.uuid(),
        name: 'odd',
        query: 'no_such_field = 1',
        criticality: 5,
        position: 0,
        created_by: 'test',
        created_at: now,
        updated_at: now,
      })
      .execute();
    const fleet = await posture.fresh();
    expect(fleet.tag('sound')?.holds.toArray()).toEqual(await live());
    expect([fleet.tag('odd'), fleet.tag('beside'), fleet.tag('list')]).toEqual([null, null, null]);
    await db.deleteFrom('criticality_rule').execute();
    await db.deleteFrom('tag').execute();
    expect((await posture.fresh()).tags.order).toEqual([]);
  });

  test('loads everything anew after a change that it could not take in', async () => {
    const { db } = app.database;
    const [id = 0] = await live();
    const row = await db.selectFrom('asset').select(['software', 'since']).executeTakeFirstOrThrow();
    const set = async (software: number[], since: number[], role: string) =>
      await db
        .updateTable('asset')
        .set({ software, since, attributes: JSON.stringify({ role }) })
        .where('id', '=', id)
        .execute();
    await set([999_999], [0], 'web');
    await expect(posture.fresh()).rejects.toThrow('of which nothing is known');
    await set([...row.software], [...row.since], 'db');
    await expectAgreement(app.database.pool, await posture.fresh(), app.clock.now());
  });

  test('hears of another release of the system, as enrolling again says it', async () => {
    const [id = 0] = await live();
    const set = async (release: string) =>
      await app.database.db.updateTable('asset').set({ os_release: release }).where('id', '=', id).execute();
    const before = (await posture.fresh()).assets.osRelease(id);
    await set('13');
    expect((await posture.fresh()).assets.osRelease(id)).toBe('13');
    await set(before);
  });

  test('goes on after a reader that fails before its first slice', async () => {
    const failing = posture.run(() => {
      throw new Error('no');
    });
    await expect(failing).rejects.toThrow('no');
    const [id = 0] = await live();
    await app.database.db.updateTable('asset').set({ criticality_set: 5 }).where('id', '=', id).execute();
    expect((await posture.fresh()).criticality(id).level).toBe(5);
  });

  test('knows a transaction of which nothing is to be read again', async () => {
    await posture.fresh();
    const { rows } = await sql<{ xid: string }>`select pg_current_xact_id()::text as xid`.execute(
      app.database.db,
    );
    expect(await posture.atLeast(rows[0]?.xid ?? '')).not.toBeNull();
  });

  test('does not read again and again what a restored dump says of transactions that are yet to come', async () => {
    await sql`insert into fleet_change (xid, kind, ids) values ('1000000000', 'asset', '{1}')`.execute(
      app.database.db,
    );
    const { version } = await posture.fresh();
    expect((await posture.fresh()).version).toBe(version);
  });

  test('takes what was written while an older transaction was open, and that once it is committed', async () => {
    const { pool, db } = app.database;
    const [id = 0] = await live();
    const older = await pool.connect();
    const name = async () => (await posture.fresh()).assets.fact(id, 'attribute', 'a', 0);
    try {
      await older.query('begin');
      await older.query('select pg_current_xact_id()');
      for (const a of ['1', '2']) {
        await db
          .updateTable('asset')
          .set({ attributes: JSON.stringify({ a }) })
          .execute();
        expect(await name()).toBe(a);
        const { version } = await posture.fresh();
        expect((await posture.fresh()).version).toBe(version);
      }
      await older.query(`update asset set attributes = '{"a": "3"}'`);
      expect(await name()).toBe('2');
      await older.query('commit');
    } finally {
      older.release();
    }
    expect(await name()).toBe('3');
  });

  test('a copy whose reader throws leaves a connection that can be used', async () => {
    const client = await app.database.pool.connect();
    try {
      const read = eachCopiedRow(
        client,
        `select n, repeat('x', 1000) from generate_series(1, 100000) n`,
        () => {
          throw new Error('no');
        },
      );
      await expect(read).rejects.toThrow('no');
      expect((await client.query('select 1 as one')).rows).toEqual([{ one: 1 }]);
    } finally {
      client.release();
    }
  });

  test('starts although the fleet cannot be loaded, and loads it once it can', async () => {
    const { pool } = app.database;
    // Software that there is not: no such row is written by the server itself.
    await pool.query(
      "update asset set software = software || 2000000000, since = since || 0 where hostname = 'host-1'",
    );
    const other = openPosture(app.context, pool);
    await other.start();
    expect(other.state()).toBeNull();
    await expect(other.fresh()).rejects.toThrow('of which nothing is known');
    // A connection that is given back in the middle of a transaction would show its state to whoever has it next.
    const { rows: open } = await pool.query(
      "select from pg_stat_activity where datname = current_database() and state like 'idle in transaction%'",
    );
    expect(open).toEqual([]);
    await pool.query(
      "update asset set software = software[1:cardinality(software) - 1], since = since[1:cardinality(since) - 1] where hostname = 'host-1'",
    );
    expect((await other.fresh()).assets.live.toArray()).toEqual(await live());
    await other.stop();
  });
});
