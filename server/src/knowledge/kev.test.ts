/** KEV from day to day: what is added, what changes, and what CISA takes back. */
import { pino } from 'pino';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Context } from '../context.ts';
import { testDatabase, type TestDatabase } from '../database/test-database.ts';
import { cisaKev } from '../feed/cisa-kev/cisa-kev.ts';
import { madeUpFile } from '../feed/recorded.ts';
import { systemRandom } from '../random.ts';
import { importFeed } from './import.ts';

let database: TestDatabase;
let context: Context;

beforeAll(async () => {
  database = await testDatabase();
  context = {
    db: database.db,
    clock: { now: () => new Date('2026-08-22T08:00:00Z') },
    random: systemRandom,
    log: pino({ level: 'silent' }),
  };
});
afterAll(() => database.close());

interface Entry {
  readonly cveID: string;
  readonly knownRansomwareCampaignUse: 'Known' | 'Unknown';
  readonly dueDate: string;
}

async function publish(catalogVersion: string, entries: readonly Entry[]): Promise<void> {
  const catalogue = {
    title: 'CISA Catalog of Known Exploited Vulnerabilities',
    catalogVersion,
    dateReleased: '2026-08-21T17:46:43.6019Z',
    count: entries.length,
    vulnerabilities: entries.map((entry) => ({
      vulnerabilityName: 'A flaw',
      dateAdded: '2026-08-01',
      ...entry,
    })),
  };
  const result = await importFeed(context, cisaKev, madeUpFile(JSON.stringify(catalogue)), {
    actor: { kind: 'system', name: 'test' },
  });
  if (!result.ok) throw new Error(result.message);
}

async function threats(): Promise<unknown[]> {
  const rows = await context.db
    .selectFrom('threat')
    .select(['vulnerability', 'threat', 'ransomware'])
    .orderBy('vulnerability')
    .execute();
  return rows.map(({ vulnerability, threat, ransomware }) => [vulnerability, threat, ransomware]);
}

const entry = (cveID: string, use: Entry['knownRansomwareCampaignUse'] = 'Unknown'): Entry => ({
  cveID,
  knownRansomwareCampaignUse: use,
  dueDate: '2026-08-22',
});

test('a CVE that leaves the catalogue takes its threat with it', async () => {
  const stays = Array.from({ length: 20 }, (_, index) => entry(`CVE-2020-${String(1000 + index)}`));
  await publish('2026.08.20', [...stays, entry('CVE-2026-0001'), entry('CVE-2026-0002')]);
  expect(await threats()).toHaveLength(22);
  await publish('2026.08.21', [...stays, entry('CVE-2026-0002', 'Known'), entry('CVE-2026-0003')]);
  expect((await threats()).slice(20)).toEqual([
    ['CVE-2026-0002', 'exploited', true],
    ['CVE-2026-0003', 'exploited', null],
  ]);
});
