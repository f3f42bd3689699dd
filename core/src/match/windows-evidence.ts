import type { Decision } from '../knowledge/decision.ts';
import type { VerdictEvidence } from './evidence.ts';
import type { MatchSoftware, VerdictKind } from './match.ts';
import { matchWindows } from './windows.ts';
import { updateToDeploy, type SupersedenceGraph } from './windows-updates.ts';

/** A verdict on a Windows product, with its evidence and, where there is one, the update to deploy now. */
export interface WindowsEvidence {
  readonly kind: VerdictKind;
  readonly decision: Decision;
  readonly evidence: VerdictEvidence;
}

/**
 * Verdicts on a product of a Windows host by what is decided about it, as `matchWindows` makes them. Empty when the data
 * does not have the product: then nothing is known of it, and the asset says so.
 *
 * @param decisions of this product
 */
export function windowsVerdicts(
  software: MatchSoftware,
  decisions: readonly Decision[],
  graph: SupersedenceGraph,
): WindowsEvidence[] {
  const { updates } = software;
  const match = matchWindows(
    { name: software.name, version: software.version, ...(updates === undefined ? {} : { updates }) },
    decisions,
    graph,
  );
  if (!match.ok) return [];
  return match.verdicts.map((verdict) => {
    const decision = verdict.claim;
    const deploy =
      verdict.kind === 'vulnerable' || verdict.kind === 'undetermined'
        ? updateToDeploy(graph, software.name, decision.updates)
        : null;
    const evidence: VerdictEvidence = {
      rule: verdict.rule,
      sentence: verdict.sentence,
      feed: decision.feed,
      record: decision.record,
      advisory: decision.updates.length === 0 ? decision.advisory : decision.updates.join(', '),
      installed_version: software.version === '' ? null : software.version,
      fixed_version: decision.fixedVersion,
      comparison: verdict.comparison,
      note: decision.note,
      disagreements: [...decision.disagreements],
      ...(deploy === null
        ? {}
        : {
            update: {
              id: deploy.update.id,
              build: deploy.update.fixedBuild,
              contains: deploy.fixing,
              restart: deploy.update.restart,
            },
          }),
    };
    return { kind: verdict.kind, decision, evidence };
  });
}
