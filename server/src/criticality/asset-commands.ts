import {
  criticalityLimits,
  type AssetAttributes,
  type AssetCriticality,
  type AttributeBulkChange,
  type AttributeBulkChanged,
  type AttributeChange,
} from '@fixpoint/contract/criticality.ts';
import type { Actor } from '@fixpoint/core/audit/events.ts';
import { selectAssets } from '@fixpoint/core/posture/select/select.ts';
import type { ServerContext } from '../app.ts';
import {
  assetRows,
  assetsByReference,
  assetsWithTooManyAttributes,
  setCriticality,
  updateAttributes,
} from '../asset/commands.ts';
import { appendAudit } from '../audit/commands.ts';
import type { Transact } from '../context.ts';
import { answer, refuse, type Answer, type Refusal } from '../refusal.ts';
import { readQuery } from '../search/query.ts';
import { transact } from '../transact.ts';

/** What people say of assets by hand: criticality and attributes. */

type Rooms = Pick<ServerContext, 'db' | 'clock' | 'posture'>;

/** Assets that the audit event of a bulk change names. */
const namedInAudit = 1_000;

async function theAsset(
  db: ServerContext['db'],
  reference: string,
): Promise<Answer<{ id: number; uid: string; hostname: string }>> {
  const found = await assetsByReference(db, [reference]);
  if (!found.ok) return found;
  const [asset] = found.value;
  if (asset === undefined) throw new Error('one reference found no asset and no refusal');
  return answer(asset);
}

export async function assetCriticality(context: Rooms, reference: string): Promise<Answer<AssetCriticality>> {
  const asset = await theAsset(context.db, reference);
  if (!asset.ok) return asset;
  const { id, uid, hostname } = asset.value;
  const fleet = await context.posture.fresh();
  if (!fleet.assets.live.has(id)) return retired(hostname);
  const { level, by } = fleet.criticality(id);
  return answer({
    asset_id: uid,
    hostname,
    criticality: level,
    by: typeof by === 'string' ? by : 'rule',
    rule: typeof by === 'string' ? null : by.rule,
  });
}

const retired = (hostname: string): Refusal =>
  refuse(409, 'asset_retired', `${hostname} is retired`, 'name one that is managed: fixpoint asset list');

/** Sets an asset's criticality by hand, before any rule; null leaves it to the rules again. */
export async function setAssetCriticality(
  context: Rooms,
  actor: Actor,
  reference: string,
  request: { readonly criticality: number | null; readonly reason: string },
): Promise<Answer<AssetCriticality>> {
  const done = await transact(context.db, async (trx): Promise<Answer<string>> => {
    const asset = await theAsset(trx, reference);
    if (!asset.ok) return asset;
    const { id, uid, hostname } = asset.value;
    const before = await setCriticality(trx, id, request.criticality);
    if (!before.ok) return before;
    if (before.value === request.criticality) return answer(uid);
    await appendAudit(trx, context, {
      actor,
      event: 'asset.criticality_set',
      subjectKind: 'asset',
      subject: uid,
      reason: request.reason,
      before: { hostname, criticality: before.value },
      after: { criticality: request.criticality },
    });
    return answer(uid);
  });
  return done.ok ? await assetCriticality(context, done.value) : done;
}

export async function assetAttributes(
  context: Pick<Rooms, 'db'>,
  reference: string,
): Promise<Answer<AssetAttributes>> {
  const asset = await theAsset(context.db, reference);
  if (!asset.ok) return asset;
  const [row] = await assetRows(context.db, [asset.value.id]);
  if (row === undefined) throw new Error('an asset that was found is gone');
  return answer({ asset_id: row.uid, hostname: row.hostname, attributes: row.attributes });
}

/** Sets some attributes of one asset and takes away others. */
export async function changeAttributes(
  context: Rooms,
  actor: Actor,
  reference: string,
  change: AttributeChange,
): Promise<Answer<AssetAttributes>> {
  const done = await transact(context.db, async (trx): Promise<Answer<string>> => {
    const asset = await theAsset(trx, reference);
    if (!asset.ok) return asset;
    const changed = await written(trx, [asset.value.id], change);
    if (!changed.ok) return changed;
    const [one] = changed.value;
    if (one !== undefined) {
      await appendAudit(trx, context, {
        actor,
        event: 'asset.attributes_changed',
        subjectKind: 'asset',
        subject: one.uid,
        before: { hostname: one.hostname, attributes: one.before },
        after: { attributes: one.after },
      });
    }
    return answer(asset.value.uid);
  });
  return done.ok ? await assetAttributes(context, done.value) : done;
}

/** The same of all assets that a query finds, when they are as many as the caller expects. */
export async function changeAttributesOfMany(
  context: Rooms,
  actor: Actor,
  request: AttributeBulkChange,
): Promise<Answer<AttributeBulkChanged>> {
  const read = readQuery(request.query, 'asset', '/query');
  if (!read.ok) return read;
  const { query } = read.value;
  const now = context.clock.now().getTime();
  const ids = await context.posture.run(function* (fleet) {
    return (yield* selectAssets(fleet, query, now)).toArray();
  });
  const expected = request.expected_assets;
  if (expected === undefined) return answer({ assets: ids.length, changed: 0, applied: false });
  if (expected !== ids.length)
    return refuse(
      409,
      'expected_differs',
      `the query finds ${String(ids.length)} assets now, and ${String(expected)} were expected`,
      `look at them, and say expected_assets ${String(ids.length)} if they are meant`,
    );
  return await transact(context.db, async (trx): Promise<Answer<AttributeBulkChanged>> => {
    const changed = await written(trx, ids, request);
    if (!changed.ok) return changed;
    if (changed.value.length > 0) {
      await appendAudit(trx, context, {
        actor,
        event: 'asset.attributes_changed',
        subjectKind: 'asset',
        subject: 'by query',
        before: {
          assets: changed.value
            .slice(0, namedInAudit)
            .map(({ uid, before }) => ({ id: uid, attributes: before })),
        },
        after: {
          query: request.query,
          set: request.set ?? {},
          remove: request.remove ?? [],
          changed: changed.value.length,
        },
      });
    }
    return answer({ assets: ids.length, changed: changed.value.length, applied: true });
  });
}

async function written(
  trx: Transact,
  ids: readonly number[],
  { set = {}, remove = [] }: AttributeChange,
): Promise<Answer<Awaited<ReturnType<typeof updateAttributes>>>> {
  const both = remove.find((key) => Object.hasOwn(set, key));
  if (both !== undefined || (Object.keys(set).length === 0 && remove.length === 0))
    return refuse(
      400,
      'attributes_unclear',
      both === undefined ? 'nothing is to be set or removed' : `${both} is to be set and to be removed`,
      'name each attribute once, in set or in remove',
    );
  const most = criticalityLimits.attributes;
  const full = await assetsWithTooManyAttributes(trx, ids, { set, remove }, most);
  if (full.length > 0)
    return refuse(
      409,
      'attributes_too_many',
      `${full.join(', ')} would have more than ${String(most)} attributes`,
      'remove some, or use tags',
    );
  return answer(await updateAttributes(trx, ids, { set, remove }));
}
