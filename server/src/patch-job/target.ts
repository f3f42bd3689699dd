import type { PatchJobDefinition } from '@fixpoint/contract/patch-job.ts';
import type { PatchIdentity } from '@fixpoint/core/knowledge/patch.ts';
import {
  evaluateTarget,
  patchesByCriteria,
  type EvaluatedTarget,
  type ReadTarget,
} from '@fixpoint/core/patch-job/target.ts';
import { asksTag, comparisonsOf, parseRange } from '@fixpoint/core/tag/definition.ts';
import { namedOutright } from '@fixpoint/core/tag/dependencies.ts';
import type { Sliced } from '@fixpoint/core/posture/select/selection.ts';
import type { Query } from '@fixpoint/core/query/query.ts';
import type { Kysely } from 'kysely';
import type { ServerContext } from '../app.ts';
import { assetsByReference } from '../asset/commands.ts';
import type { Database } from '../database/tables.ts';
import { answer, type Answer } from '../refusal.ts';
import { readQuery } from '../search/query.ts';
import { knownTags, unknownTag } from '../tag/members.ts';

/**
 * What the read model says to a job: its assets, and the patches that its criteria come to. Asked before the transaction that plans,
 * since the read model needs a connection of its own.
 */
export interface JobReading extends EvaluatedTarget {
  /** Null: the job has no criteria. */
  readonly criteria: readonly PatchIdentity[] | null;
}

/** Not to be called inside of a transaction. */
export async function readForJob(
  context: Pick<ServerContext, 'db' | 'clock' | 'posture'>,
  definition: PatchJobDefinition,
): Promise<Answer<JobReading>> {
  const read = await readTarget(context.db, definition);
  if (!read.ok) return read;
  const criteria = criteriaQuery(definition);
  if (!criteria.ok) return criteria;
  const now = context.clock.now().getTime();
  return await context.posture.run(function* (fleet): Sliced<Answer<JobReading>> {
    const target = yield* evaluateTarget(fleet, read.value, now);
    if ('unknownTags' in target) return unknownTag(target.unknownTags, fleet.tags.order);
    const patches =
      criteria.value === null ? null : yield* patchesByCriteria(fleet, criteria.value, target.assetIds, now);
    return answer({ ...target, criteria: patches });
  });
}

/** Refuses a definition whose target or criteria speak of something that there is not, or cannot be read. */
export async function checkSelection(
  db: Kysely<Database>,
  definition: PatchJobDefinition,
): Promise<Answer<null>> {
  const { target, reboot } = definition;
  const tags = [
    ...target.tags,
    ...(target.tags_all ?? []),
    ...(target.exclude_tags ?? []),
    ...(reboot?.order ?? []),
    ...(reboot?.limits ?? []).map((one) => one.tag),
  ];
  const known = await knownTags(db, [...new Set(tags)]);
  if (!known.ok) return known;
  const read = await readTarget(db, definition);
  if (!read.ok) return read;
  const criteria = criteriaQuery(definition);
  if (!criteria.ok) return criteria;
  const queries: readonly (readonly [string, Query | null])[] = [
    ['/target/query', read.value.query],
    ['/target/exclude_query', read.value.excludeQuery],
    ['/criteria/query', criteria.value],
  ];
  for (const [path, query] of queries) {
    const inQuery = await tagsInQuery(db, query, path);
    if (!inQuery.ok) return inQuery;
  }
  return answer(null);
}

/** The texts of a target as they are meant; names of assets are looked up. */
async function readTarget(db: Kysely<Database>, { target }: PatchJobDefinition): Promise<Answer<ReadTarget>> {
  const query = optionalQuery(target.query, '/target/query');
  if (!query.ok) return query;
  const excludeQuery = optionalQuery(target.exclude_query, '/target/exclude_query');
  if (!excludeQuery.ok) return excludeQuery;
  const ranges = (target.ranges ?? []).map((text, index) => {
    const range = parseRange(text, `/target/ranges/${String(index)}`);
    if ('ok' in range) throw new Error(`a job was stored with a range that is none: ${range.message}`);
    return range;
  });
  const named = await assetsByReference(db, target.assets);
  if (!named.ok) return named;
  const excluded = await assetsByReference(db, target.exclude);
  if (!excluded.ok) return excluded;
  return answer({
    tags: target.tags,
    tagsAll: target.tags_all ?? [],
    query: query.value,
    ranges,
    named: named.value.map((asset) => asset.id),
    excluded: excluded.value.map((asset) => asset.id),
    excludeTags: target.exclude_tags ?? [],
    excludeQuery: excludeQuery.value,
  });
}

function optionalQuery(text: string | undefined, path: string): Answer<Query | null> {
  if (text === undefined) return answer(null);
  const read = readQuery(text, 'asset', path);
  return read.ok ? answer(read.value.query) : read;
}

function criteriaQuery({ criteria }: PatchJobDefinition): Answer<Query | null> {
  if (criteria === undefined) return answer(null);
  const read = readQuery(criteria.query, 'vulnerability', '/criteria/query');
  return read.ok ? answer(read.value.query) : read;
}

/** A tag that a query names outright must exist: else a slip of the pen would select nothing, and nobody would see it. */
async function tagsInQuery(db: Kysely<Database>, query: Query | null, path: string): Promise<Answer<null>> {
  if (query === null) return answer(null);
  for (const { node } of comparisonsOf(query)) {
    if (!asksTag(node)) continue;
    const known = await knownTags(db, namedOutright(node.condition));
    if (known.ok) continue;
    const { at, length } = node;
    return { ...known, status: 422, problems: [{ path, message: known.message, at, length }] };
  }
  return answer(null);
}
