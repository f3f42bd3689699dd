import { sql } from 'kysely';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ecosystems, productOf } from '@fixpoint/core/knowledge/ecosystem.ts';
import { testDatabase, type TestDatabase } from '../database/test-database.ts';
import { catalogue } from '../mitigation/catalogue.ts';
import { blockedBy, isMitigated, productRelease } from './mitigated.ts';

let database: TestDatabase;
beforeAll(async () => {
  database = await testDatabase();
});
afterAll(async () => await database.close());

const systems = [...Object.values(ecosystems).map(({ os }) => os), 'opensuse-tumbleweed', 'centos'].flatMap(
  (os) =>
    ['8', '8.10', '9', '9.4', '10.0', '90', '12', '22.04', '3.18.4', '3.22.0_alpha20250108', ''].map(
      (osRelease) => ({ os, os_release: osRelease }),
    ),
);

test('SQL answers the release of every system as core does', async () => {
  const { rows } = await sql<{ os: string; os_release: string; release: string }>`
    select x.os, x.os_release, ${productRelease()} as release
    from jsonb_to_recordset(${JSON.stringify(systems)}::jsonb) as x(os text, os_release text)`.execute(
    database.db,
  );
  expect(rows).toHaveLength(systems.length);
  for (const row of rows) {
    expect(row).toEqual({ ...row, release: productOf(row.os, row.os_release).release });
  }
});

test('the list of findings and the status of an asset agree on what a mitigation in force blocks, release by release', async () => {
  const cases = [...catalogue().values()].flatMap(({ mitigation, digest }) =>
    mitigation.mitigates.flatMap(({ vulnerability }) =>
      [
        ...new Set([...mitigation.applies_to.flatMap((scope) => scope.packages.slice(0, 2)), 'dropbear']),
      ].flatMap((name) =>
        systems.map((system) => ({
          mitigations: [`${mitigation.id}@${digest}`],
          ...system,
          vulnerability,
          package: name,
        })),
      ),
    ),
  );
  const { rows } = await sql<{ mitigated: boolean }>`
    select ${isMitigated()} as mitigated
    from rows from (jsonb_to_recordset(${JSON.stringify(cases)}::jsonb)
        as (mitigations text[], os text, os_release text, vulnerability text, package text))
      with ordinality as x(mitigations, os, os_release, vulnerability, package, at)
      cross join lateral (select x.vulnerability) v cross join lateral (select x.package) s
    order by x.at`.execute(database.db);
  const bySql = cases.filter((_, i) => rows[i]?.mitigated === true);
  const byCore = cases.filter((one) =>
    blockedBy(one.mitigations, one.os, one.os_release)(one.vulnerability, one.package),
  );
  const name = (one: (typeof cases)[number]): string =>
    [...one.mitigations, one.vulnerability, one.os, one.os_release, one.package].join(' ');
  expect(bySql.map(name)).toEqual(byCore.map(name));
  const rocky = byCore.filter((one) => one.os === 'rocky' && one.vulnerability === 'CVE-2024-6387');
  expect([...new Set(rocky.map((one) => one.os_release))]).toEqual(['9', '9.4']);
});
