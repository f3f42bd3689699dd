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
 * RPM: the vmlinuz is in `kernel-core` and its variants since RHEL 8 (`kernel` itself only requires it), in `kernel` on RHEL 7 and
 * Amazon Linux (`kernel6.12` and on beside it), in `kernel-default` and its flavours on SUSE.
 */
const rpmImage =
  /^kernel(?:[0-9][0-9.]*|-(?:debug-)?uki-virt|-core|-(?:uek|rt|64k|debug|zfcpdump)|-uek-core|(?:-(?:rt|64k|rt-64k|zfcpdump))?(?:-debug)?-core)?$/u;
const suseImage =
  /^kernel-(64kb|azure|debug|default|desktop|ec2|kvmsmall|longterm|lpae|pae|preempt|rt|rt_debug|vanilla|xen|zfcpdump)$/u;
/** Of a build of Red Hat's family or Amazon's. */
const notSuse = /\.(?:el|fc|amzn)[0-9]/u;

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
  const version = p.version.replace(/^\d+:/u, '');
  const suse = suseImage.exec(p.name)?.[1];
  if (suse !== undefined && !notSuse.test(version)) return `${version.replace(/\.\d+$/u, '')}-${suse}`;
  if (!rpmImage.test(p.name)) return null;
  return `${version}${p.arch === undefined || p.arch === '' ? '' : `.${p.arch}`}${variantOf(p.name, version)}`;
}

/** `+64k`, `+rt-debug`. Real-time kernels with a source of their own have it in the release instead: `513.5.1.rt7.307.el8_9`. */
function variantOf(name: string, version: string): string {
  const variant = /^kernel-((?:(?:rt|64k|debug|zfcpdump)-?)+?)(?:-core|-uki-virt)?$/u.exec(name)?.[1];
  const rest = /\.rt\d/u.test(version) ? variant?.replace(/^rt-?/u, '') : variant;
  if (rest === undefined || rest === '') return '';
  return /\.el7/u.test(version) ? `.${rest}` : `+${rest}`;
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
    '^(?:linux-signed(?:-.*)?|linux',
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
  const debian = /^linux-signed(-\d+\.\d+)?-(?:amd64|arm64|i386|armhf|loong64|riscv64)$/u.exec(source);
  return debian === null ? source.replace(/^linux-signed/u, 'linux') : `linux${debian[1] ?? ''}`;
}

/** As much of a candidate as tells whether it brings a kernel. */
export interface KernelBringer {
  readonly name: string;
  readonly source: string;
  readonly version: string;
  readonly requires?: readonly string[];
}

/** Whether the package holds no kernel itself and always depends on the newest: Debian's `linux-image-amd64`. */
export function isKernelMeta(p: Pick<KernelBringer, 'name' | 'source' | 'version'>): boolean {
  return (
    /^linux-image-(?!unsigned-|\d)/u.test(p.name) &&
    !/-dbg(?:sym)?$/u.test(p.name) &&
    isKernelSource(p.source) &&
    !isKernelImage(p)
  );
}

/**
 * The kernel image that a newer meta package brings, as its dependency names it (`linux-image-6.1.0-49-amd64 (= 6.1.174-1)`), with
 * the source that statements name. Null where the dependency has no version, as on Ubuntu: only its solver can tell there.
 */
export function imageBrought(
  candidate: KernelBringer,
): { readonly name: string; readonly version: string; readonly source: string } | null {
  if (!isKernelMeta(candidate)) return null;
  for (const text of candidate.requires ?? []) {
    const [, name, version] = /^(linux-image-\S+) \(= (\S+)\)/u.exec(text) ?? [];
    if (name === undefined || version === undefined || !isKernelImage({ name, version })) continue;
    return { name, version, source: kernelStatementSource(candidate.source) };
  }
  return null;
}
