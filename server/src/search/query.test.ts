import { afterAll, beforeAll, expect, test } from 'vitest';
import { rooms } from '../rooms.ts';
import { testApp, type TestApp } from '../test-app.ts';

/** What a query means, over HTTP; none of it needs a fleet. */

let app: TestApp;
let viewer: { authorization: string };
beforeAll(async () => {
  app = await testApp(rooms);
  viewer = await app.bearer('viewer');
});
afterAll(async () => await app.close());

const post = async (url: string, payload: object) =>
  (await app.app.inject({ method: 'POST', url: `/api/v1/query/${url}`, headers: viewer, payload })).json();

test('a query is told in words and as it is written', async () => {
  expect(
    await post('check', { subject: 'asset', text: 'os=debian  finding.cvss>9 finding.exploited' }),
  ).toEqual({
    ok: true,
    printed: 'os = debian and finding.cvss > 9 and finding.exploited',
    words: expect.stringMatching(/^Assets where the operating system is debian/),
    notes: [expect.objectContaining({ code: 'separate_related', at: 26 })],
    chips: [
      expect.objectContaining({ text: 'os = debian', at: 0, length: 9 }),
      expect.objectContaining({ text: 'finding.cvss > 9' }),
      expect.objectContaining({ text: 'finding.exploited' }),
    ],
  });
});

test('what is wrong with one is an answer too, with the place and what may have been meant', async () => {
  expect(await post('check', { subject: 'asset', text: 'os = debian and hostnme = x' })).toMatchObject({
    ok: false,
    code: 'unknown_field',
    at: 16,
    length: 7,
    suggestions: ['hostname'],
    what_to_do: expect.any(String),
  });
});

test('fields are completed without asking the fleet', async () => {
  const completed = await post('complete', { subject: 'finding', text: 'asset.hostn and x', at: 11 });
  expect(completed).toEqual({
    from: 0,
    to: 11,
    items: [{ text: 'asset.hostname', kind: 'field', detail: expect.any(String) }],
  });
});

test('the tables of fields and columns are those that queries are read by', async () => {
  const get = async (url: string) => (await app.app.inject({ url, headers: viewer })).json();
  const all = await get('/api/v1/query/fields');
  expect(all.fields.map((one: { scope: string }) => one.scope)).toContain('package');
  const { fields, relations, columns } = await get('/api/v1/query/fields?subject=finding');
  expect(fields.find((one: { name: string }) => one.name === 'severity')).toMatchObject({
    ordered: true,
    operators: expect.arrayContaining(['>=']),
    choices: ['none', 'low', 'medium', 'high', 'critical'],
  });
  expect(relations.map((one: { name: string }) => one.name)).toEqual(
    expect.arrayContaining(['asset', 'vulnerability', 'package']),
  );
  expect(columns.filter((one: { shown_by_default: boolean }) => one.shown_by_default).length).toBeGreaterThan(
    5,
  );
});
