import { sameSet, deserialise, serialise } from '@fixpoint/core/posture/asset-set.ts';
import { union } from '@fixpoint/core/posture/asset-set.ts';
import { nearest } from '@fixpoint/core/query/nearest.ts';
import type { Actor } from '@fixpoint/core/audit/events.ts';
import type { Kysely } from 'kysely';
import type { ServerContext } from '../app.ts';
import type { NewAuditEvent } from '../audit/commands.ts';
import type { Context, Transact } from '../context.ts';
import type { Database } from '../database/tables.ts';
import { answer, refuse, type Answer, type Refusal } from '../refusal.ts';
import {
  insertMembers,
  lockTag,
  tagsNamed,
  writeMembers,
  writtenMembers,
  type TagDefinitionRow,
} from './store.ts';

/** Who is in which tag: for every room that selects assets. The answers are of the read model, as of this moment. */

export function unknownTag(names: readonly string[], all: Iterable<string> = []): Refusal {
  const shown = names.slice(0, 5).map((name) => name.slice(0, 63));
  const [only] = names.length === 1 ? names : [];
  const near = only === undefined ? [] : nearest(only, all);
  const meant = near.length === 0 ? '' : `; did you mean ${near.join(' or ')}?`;
  return refuse(
    404,
    'tag_unknown',
    `there is no tag ${shown.join(', ')}${meant}`,
    'list them: fixpoint tag list; make one: fixpoint tag create NAME',
  );
}

/**
 * Ids of the assets that are in any of these tags, ascending; without retired ones. Not to be called inside of a transaction: the
 * read model needs a connection of its own to catch up.
 */
export async function assetsOfTags(
  context: Pick<ServerContext, 'posture'>,
  names: readonly string[],
): Promise<Answer<number[]>> {
  if (names.length === 0) return answer([]);
  const fleet = await context.posture.fresh();
  const truths = names.map((name) => fleet.tag(name));
  const unknown = names.filter((_, index) => truths[index] === null);
  if (unknown.length > 0) return unknownTag(unknown, fleet.tags.order);
  return answer(union(truths.flatMap((each) => (each === null ? [] : [each.holds]))).toArray());
}

/** Names of the tags of each of these assets, in order. Not to be called inside of a transaction. */
export async function tagsOfAssets(
  context: Pick<ServerContext, 'posture'>,
  assetIds: readonly number[],
): Promise<Map<number, string[]>> {
  const fleet = await context.posture.fresh();
  return new Map(assetIds.map((id) => [id, fleet.tagsOf(id)]));
}

/** The tags of these names, or a refusal that names those that there are not. */
export async function knownTags(
  db: Kysely<Database>,
  names: readonly string[],
): Promise<Answer<TagDefinitionRow[]>> {
  const rows = await tagsNamed(db, names);
  const unknown = names.filter((name) => !rows.some((row) => row.name === name));
  return unknown.length > 0 ? unknownTag(unknown) : answer(rows);
}

/** Tags that assets can be put into. Who is in the others is decided by facts. */
export async function listTagsCalled(
  db: Kysely<Database>,
  names: readonly string[],
): Promise<Answer<TagDefinitionRow[]>> {
  const known = await knownTags(db, names);
  if (!known.ok) return known;
  const other = known.value.find(({ kind }) => kind !== 'list');
  return other === undefined ? known : notAList(other);
}

export function notAList({ name, kind }: Pick<TagDefinitionRow, 'name' | 'kind'>): Refusal {
  const by = kind === 'rule' ? 'its rule' : 'its ranges of addresses';
  return refuse(
    409,
    'tag_not_a_list',
    `who is in the tag ${name} is decided by ${by}`,
    `change ${kind === 'rule' ? 'the rule' : 'the ranges'} (fixpoint tag change ${name}), or put the assets into a list that is nested in it: fixpoint tag create OTHER --parent ${name}`,
  );
}

/** Puts an asset that has just enrolled into the tags of its token; what that changed is for the caller to append. A tag that was deleted since, or is no list any more, is left out. */
export async function tagEnrolledAsset(
  trx: Transact,
  context: Pick<Context, 'clock'>,
  actor: Actor,
  asset: { readonly assetId: number; readonly uid: string },
  names: readonly string[],
): Promise<NewAuditEvent[]> {
  const events: NewAuditEvent[] = [];
  for (const name of names) {
    const row = await lockTag(trx, name);
    if (row === null || row.kind !== 'list') continue;
    if ((await insertMembers(trx, row, [asset.assetId], context.clock.now())).length === 0) continue;
    events.push({
      actor,
      event: 'tag.assets_added',
      subjectKind: 'tag',
      subject: row.name,
      reason: 'by the enrolment token',
      after: { assets: [{ id: asset.uid }] },
    });
  }
  return events;
}

/**
 * Writes down who is in tags by rule and by range, where it is not as it was last written: for whoever reads the database without
 * a read model. Who is in them at this moment the read model says. Answers how many tags have changed.
 */
export async function writeDownMembers(
  context: Pick<ServerContext, 'db' | 'clock' | 'posture'>,
): Promise<number> {
  const rows = await writtenMembers(context.db);
  if (rows.length === 0) return 0;
  const fleet = await context.posture.fresh();
  const changed = rows.flatMap(({ id, name, members }) => {
    const truths = fleet.tag(name);
    if (truths === null || sameSet(truths.holds, deserialise(members))) return [];
    return [{ id, members: serialise(truths.holds) }];
  });
  if (changed.length > 0) await writeMembers(context.db, changed, context.clock.now());
  return changed.length;
}
