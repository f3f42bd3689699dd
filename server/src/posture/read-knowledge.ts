/** Reads what the model of the fleet holds of software, vulnerabilities and rules. */
import type {
  CriticalityRule,
  RiskAcceptance,
  SoftwareFacts,
  VerdictFacts,
  VulnerabilityFacts,
} from '@fixpoint/core/posture/facts.ts';
import type { SlaRule } from '@fixpoint/core/finding/sla.ts';
import type { Criticality } from '@fixpoint/core/risk/asset-risk.ts';
import { deserialise } from '@fixpoint/core/posture/asset-set.ts';
import { ListedAssetSet } from '@fixpoint/core/posture/listed-assets.ts';
import type { RuleProblem } from '@fixpoint/core/posture/readable-rules.ts';
import { parseTagDefinition, type TagDefinition } from '@fixpoint/core/tag/definition.ts';
import type { PoolClient } from 'pg';
import { dangersOf } from '../knowledge/danger.ts';
import type { Transact } from '../context.ts';

interface VerdictColumns {
  readonly software_id: number;
  readonly vulnerability: string;
  readonly verdict: 'vulnerable' | 'undetermined';
  readonly fix_state: string;
  readonly fixed_version: string | null;
  readonly update_id: string | null;
  readonly update_build: string | null;
  readonly update_restart: string | null;
  readonly since: Date;
}

/** Software with what it is vulnerable to; `ids` null: all of it. */
export async function readSoftware(
  client: PoolClient,
  ids: readonly number[] | null,
): Promise<SoftwareFacts[]> {
  // Not one query for both: it would be planned for reading everything.
  const some = ids === null ? [] : [ids];
  const { rows: verdicts } = await client.query<VerdictColumns>(
    `select software_id, vulnerability, verdict, fix_state, fixed_version, evidence #>> '{update,id}' as update_id,
       evidence #>> '{update,build}' as update_build, evidence #>> '{update,restart}' as update_restart, since
     from software_verdict ${ids === null ? '' : 'where software_id = any($1)'} order by software_id, vulnerability`,
    some,
  );
  const bySoftware = new Map<number, VerdictFacts[]>();
  for (const row of verdicts) {
    const { update_id: id, update_build: build, update_restart: restart } = row;
    const facts: VerdictFacts = {
      vulnerability: row.vulnerability,
      verdict: row.verdict,
      fixState: row.fix_state,
      fixedVersion: row.fixed_version,
      update: id === null ? null : { id, build, restart: restart !== 'not_required' },
      since: row.since.getTime(),
    };
    const list = bySoftware.get(row.software_id);
    if (list === undefined) bySoftware.set(row.software_id, [facts]);
    else list.push(facts);
  }
  const { rows } = await client.query<
    Omit<SoftwareFacts, 'origin' | 'vendor' | 'verdicts'> & { origin: string; vendor: string }
  >(
    `select id, ecosystem, release, name, version, arch, source, origin, vendor, package, kernel
     from software ${ids === null ? '' : 'where id = any($1)'} order by id`,
    some,
  );
  return rows.map(({ origin, vendor, ...row }) => ({
    ...row,
    origin: origin === 'third_party' || origin === 'unknown' ? origin : 'distribution',
    vendor: vendor === '' ? null : vendor,
    verdicts: bySoftware.get(row.id) ?? [],
  }));
}

/** So many vulnerabilities are read at once. */
const batch = 5_000;

/** What is known of these vulnerabilities. One of which nothing is known has nothing but its id. */
export async function* readVulnerabilities(
  trx: Transact,
  ids: readonly string[],
): AsyncGenerator<VulnerabilityFacts[]> {
  for (let start = 0; start < ids.length; start += batch) {
    const some = ids.slice(start, start + batch);
    const dangers = await dangersOf(trx, some);
    const rows = await trx
      .selectFrom('vulnerability')
      .select(['id', 'aliases', 'title', 'published_at', 'withdrawn_at'])
      .where((eb) => eb('id', '=', eb.fn.any(eb.val(some))))
      .orderBy('id')
      .orderBy('feed')
      .orderBy('record')
      .execute();
    const byId = Map.groupBy(rows, (row) => row.id);
    yield some.map((id) => {
      const said = byId.get(id) ?? [];
      const danger = dangers.get(id) ?? { scores: [], threats: [] };
      const published = said.flatMap(({ published_at }) => published_at?.getTime() ?? []);
      return {
        id,
        aliases: [...new Set(said.flatMap(({ aliases }) => aliases))].toSorted(),
        title:
          said.find(({ title }) => title !== null)?.title ??
          danger.threats.find(({ threat }) => threat.title !== null)?.threat.title ??
          null,
        publishedAt: published.length === 0 ? null : Math.min(...published),
        withdrawn: said.some(({ withdrawn_at }) => withdrawn_at !== null),
        scores: danger.scores,
        threats: danger.threats,
      };
    });
  }
}

/** A tag that cannot be read is named with why, and does not keep the others from being read. */
export async function readTags(
  client: PoolClient,
): Promise<{ readonly tags: TagDefinition[]; readonly unreadableTags: RuleProblem[] }> {
  const tags: TagDefinition[] = [];
  const unreadableTags: RuleProblem[] = [];
  const { rows } = await client.query<{
    name: string;
    description: string;
    parent: string | null;
    rule: string | null;
    ranges: string[] | null;
    members: Buffer | null;
  }>(
    `select name, description, parent, rule, ranges, case when kind = 'list' then members end as members from tag`,
  );
  for (const { name, description, parent, rule, ranges, members } of rows) {
    const read = parseTagDefinition({
      name,
      description,
      parent,
      ...(rule === null ? {} : { rule }),
      ...(ranges === null ? {} : { ranges }),
      ...(members === null ? {} : { assets: [] }),
    });
    const listed = members === null ? null : listedIn(members);
    if (!read.ok) unreadableTags.push({ kind: 'tag', name, message: read.message });
    else if (members === null) tags.push(read.definition);
    else if (listed === null)
      unreadableTags.push({ kind: 'tag', name, message: 'its list of assets is no set of ids' });
    else tags.push({ ...read.definition, members: { kind: 'list', assets: listed } });
  }
  return { tags, unreadableTags };
}

/** Null: the bytes are no set. */
function listedIn(members: Buffer): ListedAssetSet | null {
  try {
    return new ListedAssetSet(deserialise(members));
  } catch {
    return null;
  }
}

export async function readCriticalityRules(client: PoolClient): Promise<CriticalityRule[]> {
  const { rows } = await client.query<{ name: string; query: string; criticality: Criticality }>(
    'select name, query, criticality::integer from criticality_rule order by position',
  );
  return rows;
}

export async function readSlaRules(client: PoolClient): Promise<SlaRule[]> {
  const { rows } = await client.query<{ name: string; definition: Omit<SlaRule, 'name'> }>(
    'select name, definition from sla_rule order by position',
  );
  return rows.map(({ name, definition }) => ({ ...definition, name }));
}

/** Those that are not long over. */
export async function readAcceptances(client: PoolClient): Promise<RiskAcceptance[]> {
  const { rows } = await client.query<{
    id: string;
    scope: string;
    starts_at: Date;
    expires_at: Date;
    revoked_at: Date | null;
  }>(
    'select id, scope, starts_at, expires_at, revoked_at from risk_acceptance where expired_at is null order by id',
  );
  return rows.map((row) => ({
    id: row.id,
    scope: row.scope,
    startsAt: row.starts_at.getTime(),
    expiresAt: row.expires_at.getTime(),
    revokedAt: row.revoked_at?.getTime() ?? null,
  }));
}
