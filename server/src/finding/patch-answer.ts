import type { CorrelatedPatch } from '@fixpoint/core/match/correlate.ts';

/** The patch of a finding as it is answered, with the newest that supersedes it. Arrays are the answer's own. */
export function patchAnswer(patch: CorrelatedPatch, supersededBy: string | null) {
  const { needs } = patch;
  return {
    ...patch,
    superseded_by: supersededBy,
    needs: { ...needs, packages: [...needs.packages], dependencies: [...needs.dependencies] },
  };
}
