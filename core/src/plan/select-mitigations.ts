import { applicability, effectOn } from '../mitigation/applicability.ts';
import {
  mitigationDigest,
  mitigationPatchId,
  orderOfMitigation,
  type Mitigation,
  type MitigationAction,
} from '../mitigation/mitigation.ts';
import type { PlanAsset, PlannedMitigation } from './plan.ts';

/** What one mitigation means on one asset: what is to be done, or why nothing is. */
export type MitigationOnAsset =
  | { readonly ok: true; readonly planned: PlannedMitigation }
  | {
      readonly ok: false;
      readonly reason:
        | 'other_release'
        | 'not_installed'
        | 'mitigation_not_supported'
        | 'already_mitigated'
        | 'not_mitigated';
      readonly message: string;
    };

type AssetInventory = NonNullable<PlanAsset['inventory']>;

/** @param asset its findings tell which of the vulnerabilities it really has */
export function mitigationOnAsset(
  mitigation: Mitigation,
  action: MitigationAction,
  inventory: AssetInventory,
  asset: Pick<PlanAsset, 'findings'>,
): MitigationOnAsset {
  const digest = mitigationDigest(mitigation);
  const now = inventory.mitigations?.find((one) => one.id === mitigation.id);
  if (action === 'undo') {
    // whatever the asset has become since: what was applied there can be taken back
    if (now === undefined) {
      return {
        ok: false,
        reason: 'not_mitigated',
        message: `${mitigation.id} has not been applied to this asset by its agent`,
      };
    }
  } else {
    const { product, packages, machine = 'physical_or_virtual' } = inventory;
    const applies = applicability(mitigation, { product, packages, machine });
    if (!applies.ok) return applies;
    if (now?.state === 'applied' && now.digest === digest) {
      return {
        ok: false,
        reason: 'already_mitigated',
        message: `${mitigation.id} is in force on this asset: ${now.detail}`,
      };
    }
  }
  return {
    ok: true,
    planned: {
      action,
      title: mitigation.title,
      digest,
      mitigation: orderOfMitigation(mitigation),
      ...vulnerabilitiesOf(mitigation, inventory, asset),
    },
  };
}

function vulnerabilitiesOf(
  mitigation: Mitigation,
  { product }: AssetInventory,
  { findings }: Pick<PlanAsset, 'findings'>,
): { blocks: string[]; reduces: string[] } {
  const blocks = new Set<string>();
  const reduces = new Set<string>();
  for (const { vulnerability, source } of product === null ? [] : findings) {
    const about = product === null ? null : effectOn(mitigation, { vulnerability, package: source }, product);
    if (about !== null) (about.effect === 'blocks' ? blocks : reduces).add(vulnerability);
  }
  return { blocks: [...blocks].sort(), reduces: [...reduces].sort() };
}

/** Sentences about what a mitigation of the plan leaves to be known. */
export function mitigationWarnings(hostname: string, planned: PlannedMitigation): string[] {
  const { id } = planned.mitigation;
  if (planned.action === 'undo' || planned.blocks.length > 0) return [];
  return [
    planned.reduces.length > 0
      ? `${hostname}: ${id} makes ${planned.reduces.join(', ')} harder to use, and blocks none of its vulnerabilities`
      : `${hostname} has no known vulnerability that ${id} mitigates`,
  ];
}

export const nameOf = (mitigation: Mitigation): string => mitigationPatchId(mitigation.id);
