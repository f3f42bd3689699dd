import type { HostFacts, Residue } from '../inventory/inventory.ts';
import { productOf, schemeOf } from '../knowledge/ecosystem.ts';
import { isKernelImage, kernelRelease, type KernelCandidate } from '../match/kernel.ts';
import type { MatchSoftware } from '../match/match.ts';
import { compareVersions } from '../version/version.ts';

/**
 * Which software of an asset counts. Installed is not the same as exposed: of several kernels only the running one is
 * attacked, and replaced software counts as long as a process still runs its code or its file is still on disk.
 */

/** Since when software is there is counted in seconds since 2020-01-01 UTC, here from 1970: four bytes last until 2088. */
export const sinceEpochSeconds = 1_577_836_800;

export interface InstalledSoftware extends MatchSoftware {
  readonly id: number;
}

/** Something of an asset that could not be judged. */
export interface Undetermined {
  readonly subject: string;
  readonly reason: string;
  readonly what_to_do: string;
}

export interface KernelExposure {
  /** Installed kernels that open no finding, because they do not run. */
  readonly inert: readonly number[];
  /** What a reboot would start instead of the running kernel; null when that is the running one or unknown. */
  readonly nextKernel: number | null;
  /** The running kernel, when its package is no longer installed. */
  readonly removedRunning: number | null;
  readonly undetermined: readonly Undetermined[];
}

/** What of a host tells which of its kernels runs. */
export type KernelFacts = Pick<HostFacts, 'machine' | 'running_kernel' | 'kernels'>;

/**
 * The kernel images among the packages, and which of them belong to the kernel that runs: none in a container, and more than
 * one where a kernel is several packages (on Red Hat's systems `kernel` beside the `kernel-core` that it requires).
 */
export function kernelImages<P extends KernelCandidate>(
  host: KernelFacts,
  packages: readonly P[],
): { readonly images: readonly P[]; readonly running: readonly P[] } {
  // The host reads the release off the kernel's files, where it can; the name and version only tell how it should be.
  const reported = (one: P) =>
    host.kernels.find((kernel) => kernel.name === one.name && kernel.version === one.version)?.release;
  const images = packages.filter((one) => isKernelImage(one) || reported(one) !== undefined);
  // A container runs its host's kernel: whatever image lies on its disk is never booted, and the kernel is patched there.
  if (host.machine === 'container') return { images, running: [] };
  const running = images.filter((one) => (reported(one) ?? kernelRelease(one)) === host.running_kernel);
  return { images, running };
}

/**
 * Decides which of the installed kernels count, by what runs. `gone` is software that the host had before: a kernel that
 * still runs after its package was removed is found there.
 */
export function kernelExposure(
  host: HostFacts | null,
  software: readonly InstalledSoftware[],
  gone: readonly InstalledSoftware[],
): KernelExposure {
  if (host === null) return { inert: [], nextKernel: null, removedRunning: null, undetermined: [] };
  const { images, running: allRunning } = kernelImages(host, software);
  const ids = images.map((image) => image.id);
  if (host.machine === 'container') {
    return { inert: ids, nextKernel: null, removedRunning: null, undetermined: [] };
  }
  const running = allRunning.find((image) => image.name.endsWith('-core')) ?? allRunning[0];
  const removed = running === undefined ? kernelImages(host, gone).running[0] : undefined;
  if (removed !== undefined) {
    return { inert: ids, nextKernel: null, removedRunning: removed.id, undetermined: [] };
  }
  if (running === undefined) {
    return {
      inert: ids,
      nextKernel: null,
      removedRunning: null,
      undetermined: [
        {
          subject: `kernel ${host.running_kernel}`,
          reason:
            'The running kernel comes from no installed package, so there is no vendor data to judge it by.',
          what_to_do: 'Boot a kernel of the distribution, or track this kernel with its own vendor.',
        },
      ],
    };
  }
  const scheme = schemeOf(productOf(host.os, host.os_release).ecosystem);
  let newest = running;
  for (const image of images) {
    const order = compareVersions(scheme, image.version, newest.version);
    if (order === 'greater' || (order === 'equal' && image.name === running.name)) newest = image;
  }
  return {
    inert: images.flatMap((image) => (allRunning.includes(image) ? [] : [image.id])),
    nextKernel: newest.id === running.id ? null : newest.id,
    removedRunning: null,
    undetermined: [],
  };
}

/** How much of the stale code keeps a finding open, in words: which process, which file. */
export function residueSentence(residue: Residue): string {
  if (residue.kind === 'process') {
    const by =
      residue.process === null
        ? 'A process'
        : `Process ${residue.process.command} (pid ${residue.process.pid}${residue.process.unit === null ? '' : `, unit ${residue.process.unit}`})`;
    return `${by} still runs ${residue.path} of ${residue.name} ${residue.version ?? 'in an unknown earlier version'}.`;
  }
  const how = {
    digest_differs: 'is not the file that the installed version ships',
    diverted: 'is diverted, so that the installed version’s file is not the one in use',
    missing: 'is missing although the installed version ships it',
  };
  return `${residue.path} of ${residue.name} ${residue.alteration === null ? 'is not as shipped' : how[residue.alteration]}.`;
}

/** `kernel`: the running kernel whose package has been removed from the disk. */
export type ExposureKind = 'installed' | 'process' | 'file' | 'kernel';
export type ExposedStatus = 'open' | 'mitigated' | 'restart_pending' | 'reboot_pending';

/**
 * Status of a vulnerability on an asset from the exposures that carry it. On disk outweighs in memory: what is still
 * installed needs a patch first. `fixedInNextKernel`: the exposure is the running kernel, and the newest installed kernel
 * no longer has the vulnerability, so that a reboot closes it. `mitigated`: a mitigation in force keeps it from being used; it
 * is no less installed, and stands in for `open` only where that goes for every such exposure.
 */
export function statusOf(
  exposures: readonly {
    readonly kind: ExposureKind;
    readonly fixedInNextKernel: boolean;
    readonly mitigated?: boolean;
  }[],
): ExposedStatus {
  const open = exposures.filter((e) => e.kind === 'file' || (e.kind === 'installed' && !e.fixedInNextKernel));
  if (open.length > 0) return open.every((e) => e.mitigated === true) ? 'mitigated' : 'open';
  if (exposures.some((e) => e.kind === 'installed' || e.kind === 'kernel')) return 'reboot_pending';
  return 'restart_pending';
}
