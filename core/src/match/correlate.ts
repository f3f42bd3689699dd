import type { Product } from '../knowledge/ecosystem.ts';
import { patchFor, patchId, type OfferedVersion, type PatchForFinding } from '../knowledge/patch.ts';
import type { VerdictEvidence } from './evidence.ts';
import { isKernelImage } from './kernel.ts';

/**
 * Correlation: from a finding on an asset to what closes it there. Either a patch, with where it comes from and what it
 * needs, or the reason why there is none.
 */

export const missingPatchReasons = [
  'none_yet',
  'will_not_fix',
  'end_of_life',
  'deferred',
  'undetermined',
  'not_built_by_distribution',
] as const;
export type MissingPatchReason = (typeof missingPatchReasons)[number];

/** What is done on the asset beside installing. */
export interface PatchNeeds {
  /** `required`: a new kernel runs only after a boot. `advised`: nearly everything uses it, so restarts amount to a boot. */
  readonly reboot: 'required' | 'advised' | 'no';
  /** Whether processes that use it have to be restarted. */
  readonly restart: boolean;
  /** Packages of the asset that move together: `name arch`, sorted. */
  readonly packages: readonly string[];
  /** What these need of other packages and what is installed does not meet: `libc6 (>= 2.38)`, sorted. */
  readonly dependencies: readonly string[];
}

export interface CorrelatedPatch extends PatchForFinding {
  /** Why it cannot be installed as things are; null when it can. */
  readonly obstacle: string | null;
  readonly needs: PatchNeeds;
}

export interface MissingPatch {
  readonly reason: MissingPatchReason;
  readonly sentence: string;
}

export interface ToCorrelate {
  readonly product: Product;
  /** What a patch of it is named by. */
  readonly package: string;
  readonly fixState: string;
  readonly fixedVersion: string | null;
  /** Support channel of the fix in words (`channelTitle`); null when everybody gets it. */
  readonly channel: string | null;
  /** The rule of the verdict. */
  readonly rule: string;
  /** Windows: the update to deploy now. */
  readonly update?: VerdictEvidence['update'];
  /** Installed packages that carry the finding. */
  readonly installed: readonly { readonly name: string; readonly version: string; readonly arch: string }[];
  readonly offered: readonly OfferedVersion[];
  /** Names of packages that are on hold on the asset. */
  readonly held: readonly string[];
}

/**
 * Packages after which a boot is the sane way to get rid of the old code: what is mapped by nearly every process, or cannot be
 * restarted under a running system. After `needs-restarting -r` of dnf-utils and Debian's `reboot-notifier`.
 */
const rebootAdvised =
  /^(?:libc6|libc-bin|glibc|glibc-common|musl|systemd|udev|systemd-udev|dbus|dbus-broker|dbus-daemon|linux-firmware|firmware-.*|intel-microcode|amd64-microcode|microcode_ctl)$/u;

/** Packages without code that runs on: data, documentation, headers. */
const nothingRuns = /(?:-doc|-docs|-dev|-devel|-headers|-common-data|-data|-fonts|-locales)$/u;

/** What installing a patch of these packages entails. */
export function needsOf(
  installed: readonly { readonly name: string; readonly version: string; readonly arch: string }[],
  /** What the new versions of these need beyond what is installed. */
  requires: readonly string[] = [],
): PatchNeeds {
  const moved = new Set(installed.map((p) => p.name));
  const kernel = installed.some(isKernelImage);
  return {
    reboot: kernel ? 'required' : installed.some((p) => rebootAdvised.test(p.name)) ? 'advised' : 'no',
    restart: !kernel && installed.some((p) => !nothingRuns.test(p.name)),
    packages: [...new Set(installed.map((p) => `${p.name} ${p.arch}`))].sort(),
    dependencies: [...new Set(requires)].filter((text) => !moved.has(text.split(' ')[0] ?? '')).sort(),
  };
}

/** The patch that closes a finding on its asset, or why there is none. */
export function correlate(
  finding: ToCorrelate,
):
  | { readonly patch: CorrelatedPatch; readonly missing: null }
  | { readonly patch: null; readonly missing: MissingPatch } {
  if (finding.update !== undefined) return windowsPatch(finding, finding.update);
  const patch = patchFor(finding.product, finding.package, finding.fixedVersion, finding.offered);
  if (finding.rule === 'not_built_by_distribution' || finding.rule === 'origin_unknown') {
    return missing(
      'not_built_by_distribution',
      `${finding.package} here is not the distribution’s build, so its patches do not apply; ask who built it.`,
    );
  }
  if (patch === null) {
    switch (finding.fixState) {
      case 'will_not_fix':
        return missing(
          'will_not_fix',
          'The vendor will not fix it in this release: upgrade the release, remove the package or mitigate.',
        );
      case 'end_of_life':
        return missing(
          'end_of_life',
          'The package is past its end of life in this release: upgrade the release or remove the package.',
        );
      case 'deferred':
        return missing(
          'deferred',
          'The vendor has put the fix off to a later update; it is patched here as soon as that is published.',
        );
      case 'none_yet':
        return missing('none_yet', 'No fix is published yet; it is patched here as soon as one is.');
      default:
        return missing('undetermined', 'Whether it is affected is not known, so no patch can be named.');
    }
  }
  return {
    patch: {
      ...patch,
      obstacle: obstacleTo(patch, finding),
      needs: needsOf(finding.installed, requirementsOf(patch, finding)),
    },
    missing: null,
  };
}

/** What the versions that bring the patch need, of the packages that carry the finding. */
function requirementsOf(patch: PatchForFinding, finding: ToCorrelate): string[] {
  const names = new Set(finding.installed.map((p) => p.name));
  return finding.offered.flatMap((one) =>
    one.package === finding.package && one.version === patch.version && names.has(one.name ?? '')
      ? (one.requires ?? [])
      : [],
  );
}

/** A KB. Nothing here installs it yet, and that is said; Windows' own update agent does. */
function windowsPatch(finding: ToCorrelate, update: NonNullable<ToCorrelate['update']>) {
  const { id, build, restart } = update;
  const version = build ?? id;
  const offered = finding.offered.find((one) => one.package === id);
  return {
    patch: {
      id: patchId({ ...finding.product, package: id, version }),
      version,
      offered: offered !== undefined,
      repository: offered?.repository ?? null,
      obstacle:
        offered === undefined
          ? 'Install it by Windows Update: Fixpoint does not install updates of Windows yet.'
          : null,
      needs: {
        reboot:
          restart === 'not_required'
            ? ('no' as const)
            : restart === 'maybe'
              ? ('advised' as const)
              : ('required' as const),
        restart: false,
        packages: [finding.package],
        dependencies: [],
      },
    },
    missing: null,
  };
}

function missing(reason: MissingPatchReason, sentence: string): { patch: null; missing: MissingPatch } {
  return { patch: null, missing: { reason, sentence } };
}

function obstacleTo(patch: PatchForFinding, finding: ToCorrelate): string | null {
  const held = finding.installed.filter((p) => finding.held.includes(p.name)).map((p) => p.name);
  if (held.length > 0) return `${[...new Set(held)].sort().join(', ')} is on hold on this asset.`;
  if (patch.offered) return null;
  if (finding.channel !== null) {
    return `The fix is published for ${finding.channel} only, and no repository of this asset offers it.`;
  }
  return 'No repository of this asset offers it: refresh or add the repository that has it.';
}
