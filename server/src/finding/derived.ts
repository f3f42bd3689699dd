import type { VerdictEvidence } from '@fixpoint/core/match/evidence.ts';
import { sinceEpochSeconds, type ExposedStatus, type Undetermined } from '@fixpoint/core/finding/exposure.ts';
import { sql, type RawBuilder } from 'kysely';
import type { Transact } from '../context.ts';
import { isMitigated } from './mitigated.ts';

/**
 * Findings are derived when they are asked for: from what counts as exposed on each asset and what that software is vulnerable
 * to. Here are the queries that derive them; they write nothing.
 */

/**
 * One row for each software that counts on each asset in scope, with why it counts. `only`: an array of software ids, when
 * nothing else matters; then the assets are looked up by these, instead of reading all that each asset has.
 */
export function exposedRows(scope: RawBuilder<unknown>, only?: RawBuilder<unknown>): RawBuilder<unknown> {
  const installed =
    only === undefined
      ? sql`asset a cross join lateral unnest(a.software, a.since) as u(software_id, since)`
      : sql`unnest(${only}) as c(id) join asset a on a.software @> array[c.id]
          cross join lateral (select c.id, a.since[array_position(a.software, c.id)]) as u(software_id, since)`;
  const stale = only === undefined ? sql`true` : sql`u.software_id = any(${only})`;
  return sql`
    select a.id as asset_id, u.software_id, u.since, 'installed' as kind, null::text as reason, e.next_kernel,
      a.os, a.os_release, coalesce(e.mitigations, '{}') as mitigations
    from ${installed} left join asset_exposure e on e.asset_id = a.id
    where ${scope} and not (u.software_id = any(coalesce(e.inert, '{}')))
    union all
    select a.id, u.software_id, u.since, u.kind, u.reason, null, a.os, a.os_release, e.mitigations
    from asset a join asset_exposure e on e.asset_id = a.id
      cross join lateral unnest(e.stale_software, e.stale_since, e.stale_kind, e.stale_reason)
        as u(software_id, since, kind, reason)
    where ${scope} and ${stale}`;
}

/**
 * SQL: since when a finding is kept that is older than the software that carries it; null for nearly all. Read where a finding
 * is shown and not where it is counted: an asset may keep a hundred.
 */
export function keptFirstSeen(
  asset: RawBuilder<unknown>,
  vulnerability: RawBuilder<unknown>,
  name: RawBuilder<unknown>,
): RawBuilder<unknown> {
  return sql`(select to_timestamp((k.first_seen ->> (${vulnerability} || chr(9) || ${name}))::integer + ${sinceEpochSeconds})
    from asset_exposure k where k.asset_id = ${asset} and k.first_seen <> '{}')`;
}

interface FindingScope {
  /** All that the assets have is read, and then what is not asked for is left out: for few assets, and many vulnerabilities. */
  readonly byAsset?: true;
  readonly assetIds?: readonly number[];
  readonly vulnerabilities?: readonly string[];
  readonly package?: string;
}

export interface FindingFilter extends FindingScope {
  readonly limit: number;
  readonly offset: number;
}

export interface FindingRow {
  readonly asset_id: number;
  readonly uid: string;
  readonly hostname: string;
  readonly os: string;
  readonly os_release: string;
  readonly vulnerability: string;
  readonly package: string;
  readonly status: ExposedStatus | 'undetermined' | 'fixed';
  readonly reasons: string[] | null;
  readonly software: number[];
  readonly fix_state: string;
  readonly fixed_version: string | null;
  readonly evidence: VerdictEvidence;
  readonly first_seen_at: Date;
  readonly fixed_at: Date | null;
  readonly title: string | null;
  readonly cvss: number | null;
  readonly epss: number | null;
  readonly exploited: boolean;
  readonly ransomware: boolean;
  readonly total: string;
}

function assetScope(filter: FindingScope): RawBuilder<unknown> {
  const parts = [sql`a.retired_at is null`];
  if (filter.assetIds !== undefined) parts.push(sql`a.id = any(${filter.assetIds}::integer[])`);
  return sql.join(parts, sql` and `);
}

/** Danger of a vulnerability as its sources put it: highest CVSS base score, newest EPSS, and whether KEV lists it. */
const danger = sql`
  left join lateral (select max(c.base_score) as cvss from cvss c where c.vulnerability = f.vulnerability) c on true
  left join lateral (
    select max(t.probability) filter (where t.threat = 'exploit_probability') as epss,
      coalesce(bool_or(t.threat = 'exploited'), false) as exploited,
      coalesce(bool_or(t.ransomware), false) as ransomware,
      max(t.title) as title
    from threat t where t.vulnerability = f.vulnerability) t on true
  left join lateral (select max(v.title) as title from vulnerability v where v.id = f.vulnerability) v on true`;

/** Most dangerous first: exploited now, then likelihood, then severity. CVSS alone is never the order. */
const mostDangerousFirst = sql`order by t.exploited desc, t.epss desc nulls last, c.cvss desc nulls last,
  f.vulnerability desc, a.hostname, a.id, f.package`;

/** The common table expression `f`: one row per finding that is not fixed, without what its vulnerability is. */
function findingsExpression(filter: FindingScope): RawBuilder<unknown> {
  const vulnerabilities =
    filter.vulnerabilities === undefined ? sql`true` : sql`v.vulnerability = any(${filter.vulnerabilities})`;
  const packages =
    filter.package === undefined
      ? sql`true`
      : sql`(s.package = ${filter.package} or s.source = ${filter.package} or s.name = ${filter.package})`;
  const carriers =
    filter.vulnerabilities === undefined || filter.byAsset === true
      ? undefined
      : sql`array(select software_id from software_verdict where vulnerability = any(${filter.vulnerabilities}))`;
  return sql`exposed as (${exposedRows(assetScope(filter), carriers)}),
    carried as (
      select x.asset_id, x.software_id, x.kind, x.reason, v.vulnerability, v.verdict, v.fix_state, v.fixed_version,
        s.package, greatest(to_timestamp(x.since + ${sinceEpochSeconds}), v.since) as seen_at,
        x.next_kernel is not null and s.kernel and not exists (
          select from software_verdict n where n.software_id = x.next_kernel and n.vulnerability = v.vulnerability
        ) as fixed_in_next_kernel, ${isMitigated()} as mitigated
      from exposed x join software s on s.id = x.software_id join software_verdict v on v.software_id = x.software_id
      where ${vulnerabilities} and ${packages}
    ),
    f as (
      select asset_id, vulnerability, package,
        case
          when bool_or(verdict = 'vulnerable' and (kind = 'file' or (kind = 'installed' and not fixed_in_next_kernel)))
            then case when bool_and(mitigated) then 'mitigated' else 'open' end
          when bool_or(verdict = 'vulnerable' and kind in ('installed', 'kernel')) then 'reboot_pending'
          when bool_or(verdict = 'vulnerable') then 'restart_pending'
          else 'undetermined'
        end as status,
        array_agg(distinct reason) filter (where reason is not null) as reasons,
        array_agg(distinct software_id) as software,
        -- the verdict that speaks for the finding: a vulnerable one before an undetermined one
        (array_agg(software_id order by verdict desc, software_id))[1] as spokesman,
        least(min(seen_at), ${keptFirstSeen(sql`carried.asset_id`, sql`carried.vulnerability`, sql`carried.package`)})
          as first_seen_at
      from carried group by asset_id, vulnerability, package
    )`;
}

/** Which finding is meant. */
export interface FindingKey {
  readonly asset: number;
  readonly vulnerability: string;
  readonly package: string;
}

/** These findings, in this order; those that are not there (any more) are left out. */
export async function findingsCalled(trx: Transact, keys: readonly FindingKey[]): Promise<FindingRow[]> {
  if (keys.length === 0) return [];
  const scope: FindingScope = {
    byAsset: true,
    assetIds: [...new Set(keys.map(({ asset }) => asset))],
    vulnerabilities: [...new Set(keys.map(({ vulnerability }) => vulnerability))],
  };
  const { rows } = await sql<FindingRow>`
    with ${findingsExpression(scope)}
    select f.*, w.fix_state, w.fixed_version, w.evidence, null::timestamptz as fixed_at, a.uid, a.hostname, a.os,
      a.os_release, coalesce(t.title, v.title) as title, c.cvss, t.epss, t.exploited, t.ransomware, '0' as total
    from f join asset a on a.id = f.asset_id
      join software_verdict w on w.software_id = f.spokesman and w.vulnerability = f.vulnerability ${danger}`.execute(
    trx,
  );
  const byKey = new Map(rows.map((row) => [keyText(row.asset_id, row.vulnerability, row.package), row]));
  return keys.flatMap((key) => byKey.get(keyText(key.asset, key.vulnerability, key.package)) ?? []);
}

const keyText = (asset: number, vulnerability: string, name: string): string =>
  `${String(asset)}\t${vulnerability}\t${name}`;

export interface BareFinding {
  readonly asset_id: number;
  readonly vulnerability: string;
  readonly package: string;
  readonly status: ExposedStatus | 'undetermined';
  readonly reasons: string[] | null;
  readonly software: number[];
  readonly fix_state: string;
  readonly fixed_version: string | null;
  readonly evidence: VerdictEvidence;
}

/** All findings of these assets that are not fixed, without how dangerous each is: for plans and verifications. */
export async function everyFinding(
  trx: Transact,
  filter: { readonly assetIds: readonly number[]; readonly vulnerabilities?: readonly string[] },
): Promise<BareFinding[]> {
  const { rows } = await sql<BareFinding>`
    with ${findingsExpression(filter)}
    select f.asset_id, f.vulnerability, f.package, f.status, f.reasons, f.software, w.fix_state, w.fixed_version, w.evidence
    from f join software_verdict w on w.software_id = f.spokesman and w.vulnerability = f.vulnerability
    order by f.asset_id, f.vulnerability, f.package`.execute(trx);
  return rows;
}

/** Findings (a vulnerability in a package) whose exposures have all ended, with what ended the last one. */
export async function fixedFindings(trx: Transact, filter: FindingFilter): Promise<FindingRow[]> {
  const vulnerabilities =
    filter.vulnerabilities === undefined ? sql`true` : sql`h.vulnerability = any(${filter.vulnerabilities})`;
  const packages =
    filter.package === undefined
      ? sql`true`
      : sql`(s.package = ${filter.package} or s.source = ${filter.package} or s.name = ${filter.package})`;
  const rows = await sql<FindingRow>`
    with h as (
      select h.asset_id, h.vulnerability, s.package, h.software_id, h.evidence, h.opened_at, h.closed_at,
        h.closed_at = max(h.closed_at) over (partition by h.asset_id, h.vulnerability, s.package) as is_last
      from exposure_history h join software s on s.id = h.software_id join asset a on a.id = h.asset_id
      where ${assetScope(filter)} and ${vulnerabilities} and ${packages}
    ),
    f as (
      select h.asset_id, h.vulnerability, h.package, 'fixed' as status,
        array_agg(distinct h.evidence ->> 'sentence') filter (where is_last) as reasons,
        array_agg(distinct h.software_id) as software,
        'available' as fix_state, null::text as fixed_version,
        jsonb_build_object('rule', (array_agg(h.evidence ->> 'reason' order by h.closed_at desc))[1],
          'sentence', (array_agg(h.evidence ->> 'sentence' order by h.closed_at desc))[1], 'feed', null, 'record', null,
          'advisory', null, 'installed_version', null, 'fixed_version', null, 'comparison', null, 'note', null,
          'disagreements', '[]'::jsonb) as evidence,
        min(h.opened_at) as first_seen_at, max(h.closed_at) as fixed_at
      from h group by 1, 2, 3
    ),
    still as (${exposedRows(assetScope(filter))})
    select f.*, a.uid, a.hostname, a.os, a.os_release, coalesce(t.title, v.title) as title, c.cvss, t.epss, t.exploited,
      t.ransomware, count(*) over () as total
    from f join asset a on a.id = f.asset_id ${danger}
    where not exists (select from still x join software_verdict n on n.software_id = x.software_id
      join software s on s.id = x.software_id and s.package = f.package
      where x.asset_id = f.asset_id and n.vulnerability = f.vulnerability)
    ${mostDangerousFirst}
    limit ${filter.limit} offset ${filter.offset}`.execute(trx);
  return rows.rows;
}

/** Findings of each asset by status, for lists of assets. */
export async function findingTotals(
  trx: Transact,
  assetIds: readonly number[],
): Promise<{ asset_id: number; status: FindingRow['status']; findings: number }[]> {
  const rows = await sql<{ asset_id: number; status: FindingRow['status']; findings: number }>`
    with ${findingsExpression({ assetIds })}
    select asset_id, status, count(*)::integer as findings from f group by asset_id, status`.execute(trx);
  return rows.rows;
}

/**
 * Software of assets that no feed can speak of: not built by the distribution, by who built it; and products of Windows that
 * the vendor's data does not have (`origin` is `no_data`).
 */
export async function unspokenSoftware(trx: Transact, assetIds: readonly number[]) {
  const { rows } = await sql<{
    asset_id: number;
    origin: 'third_party' | 'unknown' | 'no_data';
    vendor: string;
    names: string[];
  }>`
    with installed as (
      select a.id as asset_id, s.* from asset a cross join lateral unnest(a.software) as u(id) join software s on s.id = u.id
      where a.id = any(${assetIds}::integer[]) and (s.origin <> '' or s.ecosystem = 'windows')
    )
    select asset_id, origin, vendor, array_agg(distinct name order by name) as names
    from installed where origin <> '' group by 1, 2, 3
    union all
    select asset_id, 'no_data', '', array_agg(distinct name order by name)
    from installed i where ecosystem = 'windows'
      and not exists (select from statement t where t.ecosystem = 'windows' and t.release = '' and t.package = i.name)
      and not exists (select from vendor_update v where v.product = i.name)
    group by 1
    order by 1, 2, 3`.execute(trx);
  return rows;
}

/** What is undetermined of assets by themselves, and by which system's data they are judged. */
export async function judgedByProduct(trx: Transact, assetIds: readonly number[]) {
  const { rows } = await sql<{
    asset_id: number;
    os: string;
    os_release: string;
    packages: number;
    has_inventory: boolean;
    undetermined: Undetermined[];
  }>`
    select a.id as asset_id, a.os, a.os_release, cardinality(a.software) as packages,
      a.digests is not null as has_inventory, coalesce(e.undetermined, '[]') as undetermined
    from asset a left join asset_exposure e on e.asset_id = a.id
    where a.id = any(${[...assetIds]}::integer[])`.execute(trx);
  return rows;
}
