import { intersection, type ReadonlyAssetSet } from '@fixpoint/core/posture/asset-set.ts';
import type { FleetReading } from '@fixpoint/core/posture/reading.ts';
import { selectAssets } from '@fixpoint/core/posture/select/select.ts';
import type { Sliced } from '@fixpoint/core/posture/select/selection.ts';
import { answer, refuse, type Answer, type Refusal } from '../refusal.ts';
import { readQuery } from '../search/query.ts';

/** Whose risk a question is about: a tag's assets, those of a query, those that are both, or all. */
export interface ScopeQuery {
  readonly tag?: string | undefined;
  /** Over assets. */
  readonly query?: string | undefined;
}

export type Scope = (fleet: FleetReading, now: number) => Sliced<Answer<ReadonlyAssetSet>>;

export function unknownTag(name: string): Refusal {
  return refuse(404, 'tag_unknown', `there is no tag ${name.slice(0, 63)}`, 'list them: fixpoint tag list');
}

/** Reads a scope; the set that it gives is valid as long as the state of the fleet that it was given. */
export function readScope({ tag, query }: ScopeQuery): Answer<Scope> {
  const read = query === undefined ? null : readQuery(query, 'asset');
  if (read !== null && !read.ok) return read;
  return answer(function* (fleet, now) {
    let assets: ReadonlyAssetSet = fleet.assets.live;
    if (tag !== undefined) {
      const truths = fleet.tag(tag);
      if (truths === null) return unknownTag(tag);
      assets = intersection(fleet.assets.live, truths.holds);
    }
    if (read === null) return answer(assets);
    return answer(yield* selectAssets(fleet, read.value.query, now, assets));
  });
}
