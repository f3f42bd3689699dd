import type { Candidate } from '../inventory/inventory.ts';
import { imageBrought } from './kernel.ts';
import { lookUp } from './match.ts';

/** A version that an asset's repositories offer of what a patch is named by (`lookUp`). */
export interface Offered {
  readonly package: string;
  readonly version: string;
  readonly repository: string;
  /** The installed package that it replaces. */
  readonly name: string;
  /** What it needs of other packages that is not met by what is installed. */
  readonly requires: readonly string[];
}

/** Versions that an asset's repositories offer, kernels under their real source; of a meta package the kernel that it brings. */
export function offeredVersions(ecosystem: string, candidates: readonly Candidate[]): Offered[] {
  return candidates.flatMap((candidate) => {
    const image = imageBrought(candidate);
    const target =
      image === null ? lookUp(ecosystem, candidate) : { package: image.source, version: image.version };
    return target === null
      ? []
      : [
          {
            package: target.package,
            version: target.version,
            repository: candidate.repository,
            name: candidate.name,
            requires: candidate.requires ?? [],
          },
        ];
  });
}
