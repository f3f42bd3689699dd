import type { Static } from 'typebox';
import type { AssetQuery } from '@fixpoint/contract/asset.ts';
import { assetSet, intersection } from '@fixpoint/core/posture/asset-set.ts';
import { assetsInOrder } from '@fixpoint/core/posture/select/order.ts';
import type { Sliced } from '@fixpoint/core/posture/select/selection.ts';
import type { ServerContext } from '../app.ts';
import { readOffset } from '../cursor.ts';
import { answer, type Answer } from '../refusal.ts';
import { assetsOfScope, readScope, unknownTag } from '../search/dashboard.ts';

/** Ids of a page of the assets that a query finds, or in the order of risk: those that are not retired. */
export async function selectedAssets(
  { posture, clock }: Pick<ServerContext, 'posture' | 'clock'>,
  request: Static<typeof AssetQuery>,
): Promise<Answer<{ ids: number[]; total: number; next: string | null }>> {
  const cursor = readOffset(request.after);
  if (!cursor.ok) return cursor;
  const scope = readScope(request);
  if (!scope.ok) return scope;
  const page = { offset: cursor.offset, limit: request.limit ?? 100 };
  const order = { by: request.sort ?? 'hostname', descending: request.sort === 'risk' } as const;
  const now = clock.now().getTime();
  return await posture.run(function* (fleet): Sliced<
    Answer<{ ids: number[]; total: number; next: string | null }>
  > {
    let assets = yield* assetsOfScope(fleet, scope.value, now);
    if (assets === null) return unknownTag(scope.value.tag ?? '');
    if (request.hostname !== undefined)
      assets = intersection(assets, assetSet(fleet.assets.called(request.hostname)));
    const total = assets.size;
    const ids = yield* assetsInOrder(fleet, assets, order, page);
    const end = page.offset + ids.length;
    return answer({ ids, total, next: ids.length > 0 && end < total ? String(end) : null });
  });
}
