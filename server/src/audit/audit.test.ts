import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { AuditEvent } from '@fixpoint/contract/audit.ts';
import { parseJson } from '@fixpoint/contract/parse.ts';
import { verifyChain } from '@fixpoint/core/audit/chain.ts';
import { testApp, type TestApp } from '../test-app.ts';
import { transact } from '../transact.ts';
import { appendAudit, appendAudits } from './commands.ts';
import { routes } from './routes.ts';

let test: TestApp;
let headers: { authorization: string };
beforeAll(async () => {
  test = await testApp([routes]);
  headers = await test.bearer('operator');
});
afterAll(async () => await test.close());

const system = { kind: 'system', name: 'test' } as const;
const append = (subject: string, after: unknown = null) =>
  transact(test.context.db, async (trx) => {
    await appendAudit(trx, test.context, {
      actor: system,
      event: 'tag.created',
      subjectKind: 'tag',
      subject,
      after,
    });
  });
const get = async (url: string) => (await test.app.inject({ url, headers })).json();
const lines = async () => {
  const exported = await test.app.inject({ url: '/api/v1/audit/export', headers });
  expect(exported.headers['content-type']).toContain('application/x-ndjson');
  return exported.body
    .trimEnd()
    .split('\n')
    .map((line) => {
      const parsed = parseJson(AuditEvent, line);
      if (!parsed.ok) throw new Error(line);
      return parsed.value;
    });
};

describe('the audit trail', () => {
  it('is one chain however many append at once, and holds nothing of what was rolled back', async () => {
    const failing = transact(test.context.db, async (trx) => {
      await appendAudit(trx, test.context, {
        actor: system,
        event: 'tag.created',
        subjectKind: 'tag',
        subject: 'rolled back',
      });
      throw new Error('no');
    });
    const done = await Promise.allSettled([
      failing,
      ...Array.from({ length: 40 }, (_, i) => append(`at once ${i}`)),
    ]);
    expect(done.filter((each) => each.status === 'rejected')).toHaveLength(1);
    const events = await lines();
    expect(events.map((event) => event.sequence)).toEqual(events.map((_, i) => i + 1));
    expect(events.some((event) => event.subject === 'rolled back')).toBe(false);
    expect(events.filter((event) => event.subject.startsWith('at once'))).toHaveLength(40);
    expect(verifyChain(events)).toMatchObject({ ok: true, events: events.length });
  });

  it('keeps what was said through the database, whatever it was', async () => {
    const odd = {
      text: 'é \u2028 "\\ 🦀',
      number: 1e-7,
      large: 1e21,
      whole: 9007199254740991,
      nothing: null,
      list: [1.5, -0, true],
      when: new Date(0),
      left: undefined,
    };
    await append('odd', odd);
    await append('empty', undefined);
    await append('long', 'x'.repeat(200_000));
    expect(await get('/api/v1/audit/verify')).toMatchObject({ ok: true });
    expect((await get('/api/v1/audit?subject=odd')).items[0].after).toEqual({
      ...odd,
      left: undefined,
      list: [1.5, 0, true],
      when: '1970-01-01T00:00:00.000Z',
    });
  });

  it('is long: it is read in parts and verified as a whole', async () => {
    await transact(test.context.db, async (trx) => {
      await appendAudits(
        trx,
        test.context,
        Array.from({ length: 4500 }, (_, i) => ({
          actor: system,
          event: 'finding.opened' as const,
          subjectKind: 'finding',
          subject: `f${i}`,
        })),
      );
    });
    const events = await lines();
    expect(events.length).toBeGreaterThan(4500);
    expect(await get('/api/v1/audit/verify')).toEqual({
      ok: true,
      events: events.length,
      head: events.at(-1)?.hash,
      first_bad: null,
    });
  });

  it('is found by subject, by event, and by a vulnerability wherever it is named', async () => {
    await append('CVE-2026-1', { note: 'itself' });
    await append('asset-1', { opened: ['CVE-2026-1', 'CVE-2026-2'] });
    await append('asset-2', { opened: ['CVE-2026-12'] });
    const subjects = async (query: string) =>
      (await get(`/api/v1/audit?${query}`)).items.map((event: { subject: string }) => event.subject);
    expect(await subjects('vulnerability=CVE-2026-1')).toEqual(['CVE-2026-1', 'asset-1']);
    expect(await subjects('vulnerability=CVE-2026-12')).toEqual(['asset-2']);
    expect(await subjects('vulnerability=CVE.2026.1')).toEqual([]);
    expect(await subjects('subject=asset-1')).toEqual(['asset-1']);
    expect(await subjects('event=token.created&limit=1')).toHaveLength(1);
    const page = await get('/api/v1/audit?limit=2');
    expect(page.items.map((event: { sequence: number }) => event.sequence)).toEqual([1, 2]);
    expect((await get(`/api/v1/audit?limit=1&after=${page.next}`)).items[0].sequence).toBe(3);
    const wrong = await test.app.inject({ url: '/api/v1/audit?after=x', headers });
    expect(wrong.json().error.code).toBe('cursor_invalid');
  });

  it('shows where it was tampered with, in the database and without the server', async () => {
    const { db } = test.context;
    const before = await lines();
    const head = before.at(-1);
    const at = 30;
    const stored = await db
      .selectFrom('audit_event')
      .selectAll()
      .where('sequence', '=', String(at))
      .executeTakeFirstOrThrow();
    await db
      .updateTable('audit_event')
      .set({ actor: 'somebody else' })
      .where('sequence', '=', String(at))
      .execute();
    expect((await get('/api/v1/audit/verify')).first_bad).toMatchObject({
      sequence: at,
      problem: expect.stringContaining('altered_content'),
    });
    expect(verifyChain(await lines()).firstBad).toMatchObject({ sequence: at });
    await db.deleteFrom('audit_event').where('sequence', '=', String(at)).execute();
    expect((await get('/api/v1/audit/verify')).first_bad).toMatchObject({
      sequence: at + 1,
      problem: expect.stringContaining('gap'),
    });
    await db
      .insertInto('audit_event')
      .values({
        ...stored,
        before: stored.before === null ? null : JSON.stringify(stored.before),
        after: stored.after === null ? null : JSON.stringify(stored.after),
      })
      .execute();
    expect((await get('/api/v1/audit/verify')).ok).toBe(true);
    // Taking the end off is seen by whoever wrote the head down.
    await db
      .deleteFrom('audit_event')
      .where('sequence', '>', String(before.length - 3))
      .execute();
    expect((await get('/api/v1/audit/verify')).ok).toBe(true);
    const known = await get(`/api/v1/audit/verify?head_sequence=${head?.sequence}&head_hash=${head?.hash}`);
    expect(known.first_bad).toMatchObject({
      sequence: before.length - 2,
      problem: expect.stringContaining('truncated_tail'),
    });
    expect((await test.app.inject({ url: '/api/v1/audit/verify?head_sequence=3', headers })).statusCode).toBe(
      400,
    );
  });

  it('is for those who may read it', async () => {
    const viewer = await test.bearer('viewer');
    for (const url of ['/api/v1/audit', '/api/v1/audit/verify', '/api/v1/audit/export']) {
      expect((await test.app.inject({ url, headers: viewer })).statusCode).toBe(403);
    }
  });
});
