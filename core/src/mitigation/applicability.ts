import { lookUp } from '../match/match.ts';
import type { InstalledPackage } from '../inventory/inventory.ts';
import type { Mitigation, MitigationEffect } from './mitigation.ts';

/** Which hosts a mitigation is for, and which of their findings it bears on. */

export interface MitigationTarget {
  /** Null when the release is not known. */
  readonly product: { readonly ecosystem: string; readonly release: string } | null;
  readonly packages: readonly InstalledPackage[];
  readonly machine: 'physical_or_virtual' | 'container';
}

export type Applicability =
  | { readonly ok: true }
  | {
      readonly ok: false;
      readonly reason: 'other_release' | 'not_installed' | 'mitigation_not_supported';
      readonly message: string;
    };

/** Whether a host is one that the mitigation is for. Whether it really can be applied, the host itself says when asked. */
export function applicability(mitigation: Mitigation, target: MitigationTarget): Applicability {
  const { product } = target;
  const scopes = mitigation.applies_to.filter((scope) => isOfScope(scope, product));
  if (scopes.length === 0) {
    const has = product === null ? 'of an unknown release' : `${product.ecosystem}:${product.release}`;
    return {
      ok: false,
      reason: 'other_release',
      message: `${mitigation.id} is not for this system; this asset is ${has}`,
    };
  }
  const sources = new Set(scopes.flatMap((scope) => scope.packages));
  if (!target.packages.some((one) => sources.has(lookUp(product?.ecosystem ?? '', one)?.package ?? ''))) {
    return {
      ok: false,
      reason: 'not_installed',
      message: `none of the packages that ${mitigation.id} is about is installed: ${[...sources].join(', ')}`,
    };
  }
  if (mitigation.steps.some((step) => step.kind === 'registry_value')) {
    return {
      ok: false,
      reason: 'mitigation_not_supported',
      message: `${mitigation.id} sets values of the registry, which no agent carries out yet; set them by group policy`,
    };
  }
  const kernels = mitigation.steps.some((step) => ofWholeKernel(step));
  if (kernels && target.machine === 'container') {
    return {
      ok: false,
      reason: 'mitigation_not_supported',
      message: `${mitigation.id} changes the kernel, which belongs to the machine that this container runs on; apply it there`,
    };
  }
  return { ok: true };
}

/** Network parameters belong to a network namespace, which a container may have for itself; the rest to the kernel. */
function ofWholeKernel(step: Mitigation['steps'][number]): boolean {
  return (
    step.kind === 'kernel_module_blacklist' || (step.kind === 'sysctl' && !/^net\.ipv[46]\./u.test(step.key))
  );
}

function isOfScope(
  scope: Mitigation['applies_to'][number],
  product: { readonly ecosystem: string; readonly release: string } | null,
): boolean {
  return (
    product !== null &&
    scope.ecosystem === product.ecosystem &&
    (scope.releases.length === 0 || scope.releases.includes(product.release))
  );
}

/** What a mitigation does about one finding; null when nothing. */
export function effectOn(
  mitigation: Mitigation,
  finding: { readonly vulnerability: string; readonly package: string },
  product: { readonly ecosystem: string; readonly release: string },
): { readonly effect: MitigationEffect; readonly condition: string } | null {
  const about = mitigation.mitigates.find((one) => one.vulnerability === finding.vulnerability);
  if (about === undefined) return null;
  const covers = mitigation.applies_to.some(
    (scope) => isOfScope(scope, product) && scope.packages.includes(finding.package),
  );
  return covers ? { effect: about.effect, condition: about.condition } : null;
}
