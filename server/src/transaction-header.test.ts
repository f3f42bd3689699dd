import { afterAll, beforeAll, expect, test } from 'vitest';
import { rooms } from './rooms.ts';
import { testApp, type TestApp } from './test-app.ts';

let app: TestApp;
let editor: { authorization: string };

beforeAll(async () => {
  app = await testApp(rooms);
  editor = await app.bearer('administrator');
});
afterAll(async () => await app.close());

const create = async (name: string) =>
  await app.app.inject({ method: 'POST', url: '/api/v1/tags', headers: editor, payload: { name } });

test('a change is answered with its transaction, a later one with a later one', async () => {
  const first = await create('web');
  expect(first.statusCode).toBe(201);
  const transaction = BigInt(String(first.headers['fixpoint-transaction']));
  const second = await create('db');
  expect(BigInt(String(second.headers['fixpoint-transaction']))).toBeGreaterThan(transaction);
});

test('a read, and a change that was refused before anything was written, have none', async () => {
  const read = await app.app.inject({ url: '/api/v1/tags', headers: editor });
  expect(read.headers).not.toHaveProperty('fixpoint-transaction');
  const refused = await app.app.inject({
    method: 'DELETE',
    url: '/api/v1/tags/nobody',
    headers: editor,
  });
  expect(refused.statusCode).toBe(404);
  expect(refused.headers).not.toHaveProperty('fixpoint-transaction');
});

test.each(['', 'x', '-1', '1.5', '18446744073709551616'])('“%s” is no transaction', async (asked) => {
  const refused = await app.app.inject({
    url: '/api/v1/tags',
    headers: { ...editor, 'fixpoint-at-least': asked },
  });
  expect(refused.statusCode).toBe(400);
  expect(refused.json().error.code).toBe('transaction_invalid');
});
