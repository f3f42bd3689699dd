import { listingFeeds, voicesOf, withdrawers } from '@fixpoint/core/knowledge/authority.ts';
import { isEcosystem } from '@fixpoint/core/knowledge/ecosystem.ts';
import type { FeedId, StatementFact, UpdateFact } from '@fixpoint/core/knowledge/facts.ts';
import { sql } from 'kysely';
import type { Transact } from '../context.ts';

/** Reads the facts that `store.ts` writes: by package, by vulnerability, by product. It writes nothing. */

export interface StatementRow {
  readonly feed: FeedId;
  readonly record: string;
  readonly vulnerability: string;
  readonly ecosystem: string;
  readonly release: string;
  readonly package: string;
  readonly package_kind: StatementFact['packageKind'];
  readonly module: string | null;
  readonly channel: string | null;
  readonly status: StatementFact['status'];
  readonly introduced_version: string | null;
  readonly fixed_version: string | null;
  readonly updates: readonly string[];
  readonly fix_state: StatementFact['fixState'];
  readonly note: string | null;
  readonly advisory: string | null;
  readonly stated_at: Date | null;
}

/** Packages by what statements name: what was built from, and what is installed. */
export interface PackageNames {
  readonly sources: readonly string[];
  readonly binaries: readonly string[];
}

/** All that the ecosystem's own feeds say of these packages, but for vulnerabilities that are withdrawn for it. */
export async function statementsOf(
  trx: Transact,
  product: { ecosystem: string; release: string },
  names: PackageNames,
  /** Only of these vulnerabilities; null: of all. */
  vulnerabilities: readonly string[] | null = null,
): Promise<StatementRow[]> {
  const { ecosystem, release } = product;
  if (!isEcosystem(ecosystem)) return [];
  const only = vulnerabilities === null ? sql`true` : sql`s.vulnerability = any(${vulnerabilities})`;
  const { rows } = await sql<StatementRow>`
    select s.* from statement s
    where s.ecosystem = ${ecosystem} and s.release = ${release} and s.feed = any(${voicesOf(ecosystem)})
      and s.package = any(${[...new Set([...names.sources, ...names.binaries])]})
      and ((s.package_kind = 'source' and s.package = any(${names.sources}))
        or (s.package_kind = 'binary' and s.package = any(${names.binaries})))
      and ${only}
      and not exists (select from vulnerability v where v.id = s.vulnerability and v.withdrawn_at is not null
        and v.feed = any(${withdrawers(ecosystem)}))`.execute(trx);
  return rows;
}

/**
 * The CVE that each of these ids is another name of, where feeds agree on one: `DSA-5562-1`, `GHSA-…`, `TEMP-…`. An id that
 * several CVEs share (an advisory for all of them) is a name of none.
 */
export async function canonicalIds(trx: Transact, ids: readonly string[]): Promise<Map<string, string>> {
  if (ids.length === 0) return new Map();
  const { rows } = await sql<{ alias: string; id: string }>`
    select a.alias, min(v.id) as id
    from unnest(${ids}::text[]) as a(alias) join vulnerability v on v.aliases @> array[a.alias]
    where v.id like 'CVE-%' and v.id <> a.alias
    group by a.alias having count(distinct v.id) = 1`.execute(trx);
  return new Map(rows.map((row) => [row.alias, row.id]));
}

/**
 * The vulnerabilities that people mean by an id: itself when any feed speaks of it under that id, else what it is another
 * name of, else all that an advisory of that id is about. Empty when no feed knows it.
 */
export async function vulnerabilitiesCalled(trx: Transact, asked: string): Promise<string[]> {
  // A CVE's findings are under its own id, whatever another record calls it.
  const canonical = await canonicalIds(trx, asked.startsWith('CVE-') ? [] : [asked]);
  const cve = canonical.get(asked);
  if (cve !== undefined) return [cve];
  const { rows } = await sql<{ id: string; rank: number }>`
    select id, 0 as rank from vulnerability where id = ${asked}
    union select vulnerability, 0 from statement where vulnerability = ${asked}
    union select vulnerability, 0 from threat where vulnerability = ${asked}
    union select vulnerability, 0 from cvss where vulnerability = ${asked}
    union select id, 1 from vulnerability where aliases @> array[${asked}::text]
    union select unnest(vulnerabilities), 2 from advisory where id = ${asked}
    order by rank, id`.execute(trx);
  const [first] = rows;
  return rows.filter((row) => row.rank === first?.rank).map((row) => row.id);
}

/** What feeds say of the updates for these products of Windows, and of these updates for any product. */
export async function updatesFor(
  trx: Transact,
  products: readonly string[],
  ids: readonly string[],
): Promise<UpdateFact[]> {
  if (products.length === 0) return [];
  const rows = await trx
    .selectFrom('vendor_update')
    .selectAll()
    .where((eb) =>
      eb.or([eb('product', '=', sql<string>`any(${products})`), eb('id', '=', sql<string>`any(${ids})`)]),
    )
    .execute();
  return rows.map((row) => ({
    kind: 'update',
    id: row.id,
    product: row.product,
    title: row.title,
    supersedes: row.supersedes,
    fixedBuild: row.fixed_build,
    restart: row.restart,
    type: row.type,
    publishedAt: row.published_at?.toISOString() ?? null,
    url: row.url,
    knownIssues: row.known_issues,
  }));
}

export async function scoreRows(trx: Transact, vulnerabilities: readonly string[]) {
  if (vulnerabilities.length === 0) return [];
  return trx
    .selectFrom('cvss')
    .selectAll()
    .where('vulnerability', '=', sql<string>`any(${vulnerabilities})`)
    .execute();
}

export async function threatRows(trx: Transact, vulnerabilities: readonly string[]) {
  if (vulnerabilities.length === 0) return [];
  return trx
    .selectFrom('threat')
    .selectAll()
    .where('vulnerability', '=', sql<string>`any(${vulnerabilities})`)
    .execute();
}

/** Products that these updates are for. */
export async function productsOfUpdates(trx: Transact, updates: readonly string[]): Promise<string[]> {
  if (updates.length === 0) return [];
  const rows = await trx
    .selectFrom('vendor_update')
    .select('product')
    .distinct()
    .where('id', '=', sql<string>`any(${updates})`)
    .execute();
  return rows.map((row) => row.product).sort();
}

/**
 * These vulnerabilities with all other names that feeds call them by, or that they are called by; and of every CVE among them
 * or that one of them is a name of, all names, so that what is decided of it under these names is decided by all that is said.
 */
export async function allNamesOf(trx: Transact, vulnerabilities: readonly string[]): Promise<string[]> {
  if (vulnerabilities.length === 0) return [];
  const { rows } = await sql<{ id: string }>`
    with base as (
      select unnest(${vulnerabilities}::text[]) as id
      union select unnest(aliases) from vulnerability where id = any(${vulnerabilities}::text[])
      union select id from vulnerability where aliases && ${vulnerabilities}::text[]
    ), named as (
      select id from base
      union select id from vulnerability where aliases && array(select id from base) and id like 'CVE-%'
    )
    select id from named
    union select unnest(aliases) from vulnerability where id = any(array(select id from named where id like 'CVE-%'))
  `.execute(trx);
  return rows.map((row) => row.id);
}

/** Those of these vulnerabilities that are withdrawn for an ecosystem. */
export async function withdrawnAmong(
  trx: Transact,
  ecosystem: string,
  vulnerabilities: readonly string[],
): Promise<Set<string>> {
  if (!isEcosystem(ecosystem) || vulnerabilities.length === 0) return new Set();
  const rows = await trx
    .selectFrom('vulnerability')
    .select('id')
    .distinct()
    .where('id', '=', sql<string>`any(${vulnerabilities})`)
    .where('withdrawn_at', 'is not', null)
    .where('feed', 'in', withdrawers(ecosystem))
    .execute();
  return new Set(rows.map((row) => row.id));
}

/** What the ecosystem's feeds say of a vulnerability, under any of these ids, in a release. */
export async function statementsAbout(
  trx: Transact,
  product: { ecosystem: string; release: string },
  vulnerabilities: readonly string[],
): Promise<StatementRow[]> {
  const { ecosystem, release } = product;
  if (!isEcosystem(ecosystem)) return [];
  return trx
    .selectFrom('statement')
    .selectAll()
    .where('vulnerability', '=', sql<string>`any(${vulnerabilities})`)
    .where('ecosystem', '=', ecosystem)
    .where('release', '=', release)
    .where('feed', 'in', voicesOf(ecosystem))
    .execute();
}

/** Who says that a vulnerability is withdrawn, of those whose word counts for an ecosystem. */
export async function withdrawalsOf(trx: Transact, ecosystem: string, vulnerability: string) {
  if (!isEcosystem(ecosystem)) return [];
  const rows = await trx
    .selectFrom('vulnerability')
    .select(['feed', 'record', 'withdrawn_at'])
    .where('id', '=', vulnerability)
    .where('withdrawn_at', 'is not', null)
    .where('feed', 'in', withdrawers(ecosystem))
    .orderBy('feed')
    .execute();
  return rows.map((row) => ({
    feed: row.feed,
    record: row.record,
    withdrawnAt: row.withdrawn_at?.toISOString() ?? '',
  }));
}

/** Ids that feeds also call a vulnerability by. */
export async function aliasesOf(trx: Transact, vulnerability: string): Promise<string[]> {
  const { rows } = await sql<{ alias: string }>`
    select distinct unnest(aliases) as alias from vulnerability where id = ${vulnerability} order by alias`.execute(
    trx,
  );
  return rows.map((row) => row.alias);
}

/** Whether what is vulnerable in a release is known as a whole. */
export async function isReleaseKnown(
  trx: Transact,
  product: { ecosystem: string; release: string },
): Promise<boolean> {
  const { ecosystem, release } = product;
  if (!isEcosystem(ecosystem)) return false;
  const row = await trx
    .selectFrom('statement')
    .select('package')
    .where('ecosystem', '=', ecosystem)
    .where('release', '=', release)
    .where('feed', 'in', listingFeeds(ecosystem))
    .limit(1)
    .executeTakeFirst();
  return row !== undefined;
}
