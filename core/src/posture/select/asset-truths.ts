/** Where a query over assets is true and where it is false. */
import type { Plan } from '../../query/plan.ts';
import { difference, type ReadonlyAssetSet } from '../asset-set.ts';
import type { FleetReading, Truths } from '../reading.ts';
import { denial } from './plan-truth.ts';
import { atOnce } from './selection.ts';
import { Selector, type SelectOptions } from './selector.ts';

/**
 * Of the live assets `within`, those of which a plan over assets is known to be true, and those of which it is known to be
 * false. `now` is in milliseconds since 1970. At once: a plan that goes through all findings of a large fleet takes as long as that.
 */
export function assetTruths(
  fleet: FleetReading,
  part: Plan,
  now: number,
  within: ReadonlyAssetSet,
  options: SelectOptions = {},
): Truths {
  const selector = new Selector(fleet, now, within, options);
  const holds = atOnce(selector.assets(part));
  if (holds.size === within.size) return { holds, fails: difference(within, within) };
  return { holds, fails: atOnce(selector.assets(denial(part))) };
}
