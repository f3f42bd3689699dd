/** Loads the fleet from the database: all of it, or what has changed. */
import type { AssetFacts, FleetChange } from '@fixpoint/core/posture/facts.ts';
import { Fleet } from '@fixpoint/core/posture/fleet.ts';
import {
  Kysely,
  PostgresAdapter,
  PostgresIntrospector,
  PostgresQueryCompiler,
  type Transaction,
} from 'kysely';
import type { PoolClient } from 'pg';
import type { Database } from '../database/tables.ts';
import type { Transact } from '../context.ts';
import { blockingMitigations } from '../finding/mitigated.ts';
import { contactsSince, eachAsset, removedSoftware } from './read-assets.ts';
import {
  readAcceptances,
  readCriticalityRules,
  readSlaRules,
  readSoftware,
  readTags,
  readVulnerabilities,
} from './read-knowledge.ts';

/** A row of fleet_change. */
export interface Changed {
  readonly xid: string;
  readonly kind: 'asset' | 'software' | 'vulnerability' | 'tag' | 'criticality' | 'sla' | 'acceptance';
  readonly ids: readonly number[] | null;
  readonly keys: readonly string[] | null;
}

const assetsAtOnce = 5_000;

/** Everything, as of the snapshot of the client's transaction. */
export async function loadFleet(client: PoolClient, trx: Transact, now: number): Promise<Fleet> {
  const fleet = new Fleet();
  const later = { now, more: true };
  fleet.apply({ software: await readSoftware(client, null), mitigations: blockingMitigations() }, later);
  for await (const vulnerabilities of readVulnerabilities(trx, everyVulnerability(fleet)))
    fleet.apply({ vulnerabilities }, later);
  let waiting: AssetFacts[] = [];
  await eachAsset(client, null, null, (facts) => {
    waiting.push(facts);
    if (waiting.length < assetsAtOnce) return;
    fleet.apply({ assets: waiting }, later);
    waiting = [];
  });
  fleet.apply({ assets: waiting, contacts: await contactsSince(client, null) }, later);
  fleet.apply(await readRules(client, new Set(['tag', 'criticality', 'sla', 'acceptance'])), { now });
  return fleet;
}

function everyVulnerability(fleet: Fleet): string[] {
  return Array.from({ length: fleet.vulnerabilities }, (_, index) => fleet.vulnerability(index).id);
}

/** By its own id: the name may be another one's alias as well, of which something else is known. */
function isKnown(fleet: Fleet, id: string): boolean {
  const index = fleet.vulnerabilityCalled(id);
  return index !== null && fleet.vulnerability(index).id.toUpperCase() === id.toUpperCase();
}

async function readRules(client: PoolClient, kinds: ReadonlySet<Changed['kind']>): Promise<FleetChange> {
  return {
    ...(kinds.has('tag') ? await readTags(client) : {}),
    ...(kinds.has('criticality') ? { criticalityRules: await readCriticalityRules(client) } : {}),
    ...(kinds.has('sla') ? { slaRules: await readSlaRules(client) } : {}),
    ...(kinds.has('acceptance') ? { acceptances: await readAcceptances(client) } : {}),
  };
}

export interface LoadedChange {
  readonly change: FleetChange;
  /** Software that assets have no longer. */
  readonly removed: ReadonlyMap<number, readonly number[]>;
}

/**
 * What the fleet has to take in for these rows of the feed, as of the snapshot of the client's transaction. All of it happened
 * after `since`, by the clocks of the servers.
 */
export async function loadChange(
  client: PoolClient,
  trx: Transact,
  fleet: Fleet,
  rows: readonly Changed[],
  since: Date,
): Promise<LoadedChange> {
  const idsOf = (kind: Changed['kind']): number[] | null => {
    const ofKind = rows.filter((row) => row.kind === kind);
    if (ofKind.some(({ ids }) => ids === null)) return null;
    return [...new Set(ofKind.flatMap(({ ids }) => ids ?? []))].toSorted((a, b) => a - b);
  };
  const kinds = new Set(rows.map(({ kind }) => kind));
  const software = kinds.has('software') ? await readSoftware(client, idsOf('software')) : [];
  const named = new Set<string>();
  for (const { verdicts } of software)
    for (const { vulnerability } of verdicts) if (!isKnown(fleet, vulnerability)) named.add(vulnerability);
  const spoken = rows.filter(({ kind }) => kind === 'vulnerability');
  if (spoken.some(({ keys }) => keys === null)) for (const id of everyVulnerability(fleet)) named.add(id);
  else for (const { keys } of spoken) for (const id of keys ?? []) if (isKnown(fleet, id)) named.add(id);
  const vulnerabilities = [];
  for await (const some of readVulnerabilities(trx, [...named])) vulnerabilities.push(...some);
  const assets: AssetFacts[] = [];
  let removed = new Map<number, number[]>();
  if (kinds.has('asset')) {
    const transactions = new Set(rows.flatMap(({ kind, xid }) => (kind === 'asset' ? [xid] : [])));
    removed = await removedSoftware(client, [...transactions]);
    await eachAsset(client, idsOf('asset'), since, (facts) => {
      assets.push(facts);
    });
  }
  return { change: { software, vulnerabilities, assets, ...(await readRules(client, kinds)) }, removed };
}

/**
 * Work with a client of its own in one read-only transaction, which sees one state of the database from begin to end. When it
 * fails the transaction is ended too: whoever is given the client next would go on seeing that state.
 */
export async function inOneState<Result>(
  client: PoolClient,
  work: (trx: Transact) => Promise<Result>,
): Promise<Result> {
  await client.query('begin isolation level repeatable read read only');
  try {
    return await work(transactOn(client));
  } finally {
    // Nothing was written, so that there is no more to a commit. A connection that is lost has ended it by itself.
    await client.query('rollback').catch(() => {});
  }
}

/** Kysely on a client whose transaction somebody else has begun, for what other rooms read by it. */
function transactOn(client: PoolClient): Transact {
  const db = new Kysely<Database>({
    dialect: {
      createAdapter: () => new PostgresAdapter(),
      createDriver: () => ({
        init: () => Promise.resolve(),
        acquireConnection: () =>
          Promise.resolve({
            // oxlint-disable-next-line typescript/no-unnecessary-type-parameters -- as Kysely's own driver has it
            async executeQuery<Row>(query: {
              readonly sql: string;
              readonly parameters: readonly unknown[];
            }) {
              const { rows } = await client.query(query.sql, [...query.parameters]);
              // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- as Kysely's own driver has it
              return { rows: rows as Row[] };
            },
            streamQuery: () => {
              throw new Error('nothing is streamed here');
            },
          }),
        beginTransaction: () => Promise.resolve(),
        commitTransaction: () => Promise.resolve(),
        rollbackTransaction: () => Promise.resolve(),
        releaseConnection: () => Promise.resolve(),
        destroy: () => Promise.resolve(),
      }),
      createIntrospector: (kysely) => new PostgresIntrospector(kysely),
      createQueryCompiler: () => new PostgresQueryCompiler(),
    },
  });
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the client is in a transaction
  return db as unknown as Transaction<Database>;
}
