/** Reads what the model of the fleet holds of assets. */
import { remediatingReasons } from '@fixpoint/core/finding/intervals.ts';
import type { AssetContact, AssetFacts, AssetHost, StaleSoftware } from '@fixpoint/core/posture/facts.ts';
import type { Criticality } from '@fixpoint/core/risk/asset-risk.ts';
import type { PoolClient } from 'pg';
import { eachCopiedRow, type CopiedRow } from './copy-rows.ts';

const columns = `
  a.id, a.uid, a.hostname, a.mode, a.os, a.os_release, a.arch, a.agent_version,
  extract(epoch from a.enrolled_at)::float8, a.retired_at is not null, a.criticality_set::integer,
  nullif(a.attributes, '{}')::text,
  case when a.host is not null then json_build_array(
    a.host->'addresses', a.host->>'booted_at', a.host->>'running_kernel', a.host->>'machine', a.host->'reboot_required',
    a.host->'held', a.host->'units', a.host->'cloud')::text end,
  a.software, a.since,
  e.inert, e.next_kernel, e.stale_software, e.stale_since, array_to_string(e.stale_kind, ','),
  array_to_string(e.mitigations, ' '), nullif(e.first_seen, '{}')::text`;

/** The host as the query above puts it. Written by the server from what has passed the contract's schemas. */
type HostColumns = readonly [
  readonly string[],
  string,
  string,
  AssetHost['machine'],
  boolean,
  readonly string[],
  readonly { readonly name: string; readonly state: string }[],
  Readonly<Record<string, string>> | null,
];

/**
 * Calls back with assets in the order of their ids; `ids` null: all of them. What was remediated on them is read from `since`
 * on: what came before is known already.
 */
export async function eachAsset(
  client: PoolClient,
  ids: readonly number[] | null,
  since: Date | null,
  visit: (facts: AssetFacts) => void | Promise<void>,
): Promise<void> {
  const remediated = await remediatedBefore(client, ids, since);
  const some = ids === null ? 'true' : `a.id = any('{${ids.map(Math.trunc).join()}}')`;
  await eachCopiedRow(
    client,
    `select ${columns} from asset a left join asset_exposure e on e.asset_id = a.id where ${some} order by a.id`,
    (row) => visit(factsOf(row, remediated)),
  );
}

function factsOf(row: CopiedRow, remediated: ReadonlyMap<number, readonly string[]>): AssetFacts {
  const id = row.int(0);
  const kinds = row.isNull(19) || row.text(19) === '' ? [] : row.text(19).split(',');
  const staleSince = row.ints(18);
  return {
    id,
    uid: uuidOf(row.bytes(1)),
    hostname: row.text(2),
    mode: row.text(3) === 'manage' ? 'manage' : 'assess',
    os: row.text(4),
    osRelease: row.text(5),
    arch: row.text(6),
    agentVersion: row.text(7),
    enrolledAt: row.double(8) * 1000,
    retired: row.boolean(9),
    criticalitySet: row.isNull(10) ? null : criticalityOf(row.int(10)),
    attributes: row.isNull(11) ? {} : JSON.parse(row.text(11)),
    host: row.isNull(12) ? null : hostOf(JSON.parse(row.text(12))),
    software: row.ints(13),
    since: row.ints(14),
    inert: row.isNull(15) ? [] : [...row.ints(15)],
    nextKernel: row.isNull(16) ? null : row.int(16),
    stale: row.isNull(17)
      ? []
      : [...row.ints(17)].map((software, i) => ({
          software,
          since: staleSince[i] ?? 0,
          kind: kindOf(kinds[i]),
        })),
    mitigations: row.isNull(20) || row.text(20) === '' ? [] : row.text(20).split(' '),
    remediatedBefore: remediated.get(id) ?? [],
    firstSeen: row.isNull(21) ? {} : JSON.parse(row.text(21)),
  };
}

function kindOf(text: string | undefined): StaleSoftware['kind'] {
  return text === 'file' || text === 'kernel' ? text : 'process';
}

function criticalityOf(level: number): Criticality {
  if (level === 1 || level === 2 || level === 3 || level === 4 || level === 5) return level;
  throw new Error(`${level} is no criticality`);
}

function hostOf(columnsOfHost: HostColumns): AssetHost {
  const [addresses, bootedAt, runningKernel, machine, rebootRequired, held, units, cloud] = columnsOfHost;
  const booted = Date.parse(bootedAt);
  return {
    addresses,
    bootedAt: Number.isNaN(booted) ? null : booted,
    runningKernel,
    machine,
    rebootRequired,
    held,
    activeUnits: units.flatMap(({ name, state }) => (state === 'active' ? [name] : [])),
    failedUnits: units.flatMap(({ name, state }) => (state === 'failed' ? [name] : [])),
    cloud,
  };
}

function uuidOf(bytes: Buffer): string {
  const hex = bytes.toString('hex');
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}

/** Findings that were remediated on these assets since then. */
async function remediatedBefore(
  client: PoolClient,
  ids: readonly number[] | null,
  since: Date | null,
): Promise<Map<number, string[]>> {
  const { rows } = await client.query<{ asset_id: number; findings: string[] }>(
    `select h.asset_id, array_agg(distinct h.vulnerability || chr(9) || s.package) as findings
     from exposure_history h join software s on s.id = h.software_id
     where ($1::integer[] is null or h.asset_id = any($1)) and ($2::timestamptz is null or h.closed_at >= $2)
       and h.evidence->>'reason' = any($3)
     group by h.asset_id`,
    [ids, since, remediatingReasons],
  );
  return new Map(rows.map((row) => [row.asset_id, row.findings]));
}

/** Assets that were heard of after a moment. */
export async function contactsSince(client: PoolClient, after: Date | null): Promise<AssetContact[]> {
  const some = after === null ? 'true' : `last_seen_at > to_timestamp(${after.getTime() / 1000})`;
  const contacts: AssetContact[] = [];
  await eachCopiedRow(
    client,
    `select asset_id, extract(epoch from last_seen_at)::float8, next_check_in_seconds::float8
     from asset_contact where ${some}`,
    (row) => {
      // To the millisecond, as the driver reads times.
      const lastSeenAt = Math.floor(row.double(1) * 1000 + 0.0005);
      contacts.push({ id: row.int(0), lastSeenAt, nextCheckInSeconds: row.double(2) });
    },
  );
  return contacts;
}

/** What these transactions took away from assets, by the log of changes. */
export async function removedSoftware(
  client: PoolClient,
  transactions: readonly string[],
): Promise<Map<number, number[]>> {
  const { rows } = await client.query<{ asset_id: number; removed: number[] }>(
    'select asset_id, removed from change_log where xid = any($1::xid8[])',
    [transactions],
  );
  const removed = new Map<number, number[]>();
  for (const row of rows) {
    const list = removed.get(row.asset_id);
    if (list === undefined) removed.set(row.asset_id, [...row.removed]);
    else list.push(...row.removed);
  }
  return removed;
}
