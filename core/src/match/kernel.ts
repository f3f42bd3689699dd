/**
 * Which packages are a kernel that can boot. Of everything built from a kernel's source only such an image carries kernel
 * code that runs: headers, `linux-libc-dev`, `kernel-tools`, `perf` and the like are judged by nothing that is said of the
 * kernel. The names of the families do not overlap, so the package alone tells.
 */

/** As much of a package as tells whether it is a kernel. */
export interface KernelCandidate {
  readonly name: string;
  readonly version: string;
  readonly arch?: string;
}

/**
 * Debian and Ubuntu put the release into the name: `linux-image-6.1.0-25-amd64`; the meta packages `linux-image-amd64` and
 * `linux-image-generic` hold no code.
 */
const debImage = /^linux-image-(?:unsigned-)?(\d.*)$/u;

/**
 * RPM: the vmlinuz is in `kernel-core` since RHEL 8 (`kernel` itself only requires it), in `kernel` on RHEL 7 and Amazon
 * Linux, in `kernel-default` and its flavours on SUSE.
 */
const rpmImages = new Set([
  'kernel',
  'kernel-core',
  'kernel-64k-core',
  'kernel-debug-core',
  'kernel-rt',
  'kernel-rt-core',
  'kernel-rt-debug-core',
  'kernel-uek',
  'kernel-uek-core',
  'kernel-default',
  'kernel-azure',
  'kernel6.12',
]);

/** Alpine: `linux-lts`, `linux-virt` and the other flavours; the running release is `6.1.55-0-lts`. */
const apkImage = /^linux-(lts|virt|edge|rpi|rpi2|rpi4|stable|openpax|vanilla)$/u;

/**
 * `uname -r` when the package's kernel runs, or null when it is not a bootable kernel. On RPM systems that is
 * `VERSION-RELEASE.ARCH`; SUSE's flavours come after the version (`6.4.0-150600.21-default`), without the rebuild count.
 */
export function kernelRelease(p: KernelCandidate): string | null {
  // Every package is asked; nearly all are told apart by these few letters.
  if (!p.name.startsWith('linux-') && !p.name.startsWith('kernel')) return null;
  const deb = debImage.exec(p.name)?.[1];
  if (deb !== undefined) return /-dbg(?:sym)?$/u.test(p.name) ? null : deb.replace(/-unsigned$/u, '');
  const apk = apkImage.exec(p.name)?.[1];
  if (apk !== undefined) return p.version.replace(/-r(\d+)$/u, `-$1-${apk}`);
  if (!rpmImages.has(p.name)) return null;
  const version = p.version.replace(/^\d+:/u, '');
  if (p.name === 'kernel-default' || p.name === 'kernel-azure') {
    return `${version.replace(/^([^-]+-\d+(?:\.\d+){0,2}).*$/u, '$1')}-${p.name.slice('kernel-'.length)}`;
  }
  const flavour = /-64k-/u.test(p.name) ? '+64k' : /-debug-/u.test(p.name) ? '+debug' : '';
  return `${version}${p.arch === undefined || p.arch === '' ? '' : `.${p.arch}`}${flavour}`;
}

/** Whether the package is a kernel that can boot. */
export function isKernelImage(p: KernelCandidate): boolean {
  return kernelRelease(p) !== null;
}

/**
 * Sources that a kernel is built from: Debian's `linux` and `linux-5.10`, Ubuntu's flavours (`linux-aws`, `linux-hwe-5.15`),
 * Alpine's `linux-lts`, RHEL's `kernel` and `kernel-rt`, SUSE's `kernel-default`. A list of what they are, since much else is
 * called `linux-…` (`linux-pam`, `linux-firmware`, `linux-base`).
 */
const kernelSources = new RegExp(
  [
    '^(?:linux(?:-signed)?',
    '(?:-(?:\\d.*|(?:amd64|arm64|i386|armhf|allwinner|aws|azure|bluefield|dell300x|edge|fips|gcp|gke|gkeop|hwe|ibm|intel|iot|',
    'kvm|laptop|lowlatency|lts|meta|mtk|nvidia|oem|openpax|oracle|raspi|raspi2|realtime|riscv|rpi|snapdragon|stable|',
    'starfive|vanilla|virt|xilinx)(?:-.*)?))?',
    '|kernel(?:-(?:rt|64k|default|azure|uek))?|kernel[0-9.]+)$',
  ].join(''),
  'u',
);

/**
 * Whether what is built from this source is kernel code or comes along with it. Ubuntu has one source a flavour
 * (`linux-aws`, `linux-hwe-5.15`), each with a `linux-signed-…` beside it.
 */
export function isKernelSource(source: string): boolean {
  return (source.startsWith('linux') || source.startsWith('kernel')) && kernelSources.test(source);
}

/**
 * The source that statements about a kernel image name. Debian wraps `linux` as `linux-signed-ARCH` and the newer kernels of
 * its long-term support alike (`linux-6.1` as `linux-signed-6.1-amd64`), Ubuntu a flavour's source `linux-aws` as
 * `linux-signed-aws` and `linux` as `linux-signed`.
 */
export function kernelStatementSource(source: string): string {
  const debian = /^linux-signed(-\d+\.\d+)?-(?:amd64|arm64|i386|armhf)$/u.exec(source);
  return debian === null ? source.replace(/^linux-signed/u, 'linux') : `linux${debian[1] ?? ''}`;
}
