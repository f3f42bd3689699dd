import type { Candidate } from '../inventory/inventory.ts';
import { lookUp } from './match.ts';

/** Source versions that an asset's repositories offer, kernels under their real source. */
export function offeredVersions(
  candidates: readonly Candidate[],
): { source: string; source_version: string }[] {
  return candidates.flatMap((candidate) => {
    const target = lookUp(candidate);
    return target === null ? [] : [{ source: target.source, source_version: target.version }];
  });
}
