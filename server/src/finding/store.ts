import { sinceEpochSeconds, type ExposureKind, type Undetermined } from '@fixpoint/core/finding/exposure.ts';
import { sql, type RawBuilder } from 'kysely';
import type { Transact } from '../context.ts';
import { exposedRows, keptFirstSeen } from './derived.ts';

/** Writer of what counts as exposed on each asset and of exposures that ended; reader of findings, which are derived. */

export interface StaleSoftware {
  readonly software: number;
  readonly since: number;
  readonly kind: Exclude<ExposureKind, 'installed'>;
  readonly reason: string;
}

const staleKinds = ['process', 'file', 'kernel'] as const;

export interface Exposure {
  readonly inert: readonly number[];
  readonly nextKernel: number | null;
  readonly stale: readonly StaleSoftware[];
  readonly undetermined: readonly Undetermined[];
  /** In force, `ID@DIGEST`. */
  readonly mitigations: readonly string[];
  /** Findings that are older than their software, by {@link findingKey}: since when, in seconds since 2020-01-01 UTC. */
  readonly firstSeen: Readonly<Record<string, number>>;
}

export const nothingExposed: Exposure = {
  inert: [],
  nextKernel: null,
  stale: [],
  undetermined: [],
  mitigations: [],
  firstSeen: {},
};

/** What a finding of an asset is called in `asset_exposure.first_seen`. */
export const findingKey = (vulnerability: string, name: string): string => `${vulnerability}\t${name}`;

export async function exposureOf(trx: Transact, assetId: number): Promise<Exposure> {
  const found = (await exposuresOf(trx, [assetId])).get(assetId);
  return found ?? nothingExposed;
}

/** By asset; those of which nothing was written yet are missing. */
export async function exposuresOf(
  trx: Transact,
  assetIds: readonly number[],
): Promise<Map<number, Exposure>> {
  const rows = await trx
    .selectFrom('asset_exposure')
    .selectAll()
    .where(sql<boolean>`asset_id = any(${[...assetIds]}::integer[])`)
    .execute();
  return new Map(
    rows.map((row) => [
      row.asset_id,
      {
        inert: row.inert,
        nextKernel: row.next_kernel,
        stale: row.stale_software.map((software, i) => ({
          software,
          since: row.stale_since[i] ?? 0,
          kind: staleKinds.find((kind) => kind === row.stale_kind[i]) ?? 'process',
          reason: row.stale_reason[i] ?? '',
        })),
        undetermined: row.undetermined,
        mitigations: row.mitigations,
        firstSeen: row.first_seen,
      },
    ]),
  );
}

export async function saveExposures(
  trx: Transact,
  exposures: readonly { readonly assetId: number; readonly exposure: Exposure }[],
): Promise<void> {
  if (exposures.length === 0) return;
  const rows = exposures.map(({ assetId, exposure }) => ({
    asset_id: assetId,
    inert: exposure.inert,
    next_kernel: exposure.nextKernel,
    stale_software: exposure.stale.map((s) => s.software),
    stale_since: exposure.stale.map((s) => s.since),
    stale_kind: exposure.stale.map((s) => s.kind),
    stale_reason: exposure.stale.map((s) => s.reason),
    undetermined: exposure.undetermined,
    mitigations: exposure.mitigations,
    first_seen: exposure.firstSeen,
  }));
  await sql`insert into asset_exposure (asset_id, inert, next_kernel, stale_software, stale_since, stale_kind, stale_reason,
      undetermined, mitigations, first_seen)
    select * from jsonb_to_recordset(${JSON.stringify(rows)}::jsonb) as x (asset_id integer, inert integer[], next_kernel integer,
      stale_software integer[], stale_since integer[], stale_kind text[], stale_reason text[], undetermined jsonb,
      mitigations text[], first_seen jsonb)
    order by asset_id
    on conflict (asset_id) do update set inert = excluded.inert, next_kernel = excluded.next_kernel,
      stale_software = excluded.stale_software, stale_since = excluded.stale_since, stale_kind = excluded.stale_kind,
      stale_reason = excluded.stale_reason, undetermined = excluded.undetermined, mitigations = excluded.mitigations,
      first_seen = excluded.first_seen`.execute(trx);
}

/** What each software is vulnerable to, without the evidence: for comparing two states of an asset. */
export async function carriedVulnerabilities(
  trx: Transact,
  software: readonly number[],
  /** Only these; null: all. */
  vulnerabilities: readonly string[] | null,
): Promise<{ software_id: number; vulnerability: string; since: Date; fixed_version: string | null }[]> {
  if (software.length === 0 || vulnerabilities?.length === 0) return [];
  return trx
    .selectFrom('software_verdict')
    .select(['software_id', 'vulnerability', 'since', 'fixed_version'])
    .where('software_id', '=', sql<number>`any(${software})`)
    .$if(vulnerabilities !== null, (query) =>
      query.where('vulnerability', '=', sql<string>`any(${vulnerabilities})`),
    )
    .where('verdict', '=', 'vulnerable')
    .execute();
}

export interface ClosedExposure {
  readonly software_id: number;
  readonly vulnerability: string;
  readonly opened_at: Date;
  readonly evidence: { readonly reason: string; readonly sentence: string };
}

export async function addHistory(
  trx: Transact,
  closed: readonly (ClosedExposure & { readonly asset_id: number })[],
  at: Date,
): Promise<void> {
  if (closed.length === 0) return;
  await sql`insert into exposure_history (asset_id, software_id, vulnerability, opened_at, closed_at, evidence)
    select x.asset_id, x.software_id, x.vulnerability, x.opened_at, ${at}, x.evidence
    from jsonb_to_recordset(${JSON.stringify(closed)}::jsonb)
      as x(asset_id integer, software_id integer, vulnerability text, opened_at timestamptz, evidence jsonb)`.execute(
    trx,
  );
}

/** Assets with any of this software, installed or still there. */
const havingAny = (ids: readonly number[]): RawBuilder<unknown> =>
  sql`select id from asset where software && ${ids}::integer[]
    union select asset_id from asset_exposure where stale_software && ${ids}::integer[]`;

/** Closes, on every asset, what knowledge no longer holds to be a vulnerability of a software. */
export async function closeByKnowledge(
  trx: Transact,
  gone: readonly { softwareId: number; vulnerability: string }[],
  evidence: { reason: string; sentence: string },
  at: Date,
): Promise<number> {
  if (gone.length === 0) return 0;
  const ids = [...new Set(gone.map((g) => g.softwareId))];
  const scope = sql`a.retired_at is null and a.id in (${havingAny(ids)})`;
  const result = await sql`insert into exposure_history
      (asset_id, software_id, vulnerability, opened_at, closed_at, evidence)
    select e.asset_id, e.software_id, v.vulnerability,
      least(greatest(to_timestamp(e.since + ${sinceEpochSeconds}), v.since),
        ${keptFirstSeen(sql`e.asset_id`, sql`v.vulnerability`, sql`s.package`)}), ${at}, ${JSON.stringify(evidence)}::jsonb
    from jsonb_to_recordset(${JSON.stringify(gone)}::jsonb) as x("softwareId" integer, vulnerability text)
    join software_verdict v on v.software_id = x."softwareId" and v.vulnerability = x.vulnerability
      and v.verdict = 'vulnerable'
    join (${exposedRows(scope)}) e
      on e.software_id = v.software_id
    join software s on s.id = v.software_id`.execute(trx);
  return Number(result.numAffectedRows ?? 0);
}

/**
 * Forgets when findings were first seen that knowledge takes away, all of which is given: what comes back is new. What other
 * software of the same package still carries goes on.
 */
export async function forgetFirstSeen(
  trx: Transact,
  gone: readonly { softwareId: number; vulnerability: string }[],
): Promise<void> {
  if (gone.length === 0) return;
  const ids = [...new Set(gone.map((g) => g.softwareId))];
  const scope = sql`a.id in (select k.asset_id from kept k)`;
  const vulnerabilities = [...new Set(gone.map((g) => g.vulnerability))];
  const carriers = sql`array(select software_id from software_verdict where vulnerability = any(${vulnerabilities}))`;
  await sql`with kept as materialized (
      select asset_id, first_seen from asset_exposure where first_seen <> '{}' and asset_id in (${havingAny(ids)})
    ),
    gone as materialized (
      select g."softwareId" as software_id, g.vulnerability, s.package
      from jsonb_to_recordset(${JSON.stringify(gone)}::jsonb) as g("softwareId" integer, vulnerability text)
      join software s on s.id = g."softwareId"
    ),
    exposed as materialized (${exposedRows(scope, carriers)}),
    lost as (
      select distinct k.asset_id, g.vulnerability || chr(9) || g.package as key
      from gone g join exposed e on e.software_id = g.software_id join kept k on k.asset_id = e.asset_id
      where k.first_seen ? (g.vulnerability || chr(9) || g.package) and not exists (
        select from exposed o join software s on s.id = o.software_id and s.package = g.package
          join software_verdict v on v.software_id = o.software_id and v.vulnerability = g.vulnerability
            and v.verdict = 'vulnerable'
        where o.asset_id = e.asset_id and not exists (
          select from gone h where h.software_id = o.software_id and h.vulnerability = g.vulnerability))
    )
    update asset_exposure x set first_seen = x.first_seen - l.keys
    from (select asset_id, array_agg(key) as keys from lost group by asset_id) l
    where x.asset_id = l.asset_id`.execute(trx);
}
