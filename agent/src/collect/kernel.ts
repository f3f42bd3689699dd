import type { InstalledKernel, InstalledPackage } from '@fixpoint/core/inventory/inventory.ts';

/**
 * Installed kernels, from the names of their packages: `linux-image-RELEASE`, Debian's `linux-image-RELEASE-unsigned` or
 * Ubuntu's `linux-image-unsigned-RELEASE`, where RELEASE is what `uname -r` says when it runs. Meta packages (`linux-image-amd64`) and debug symbols hold no kernel.
 */
export function kernelsOf(packages: readonly InstalledPackage[]): InstalledKernel[] {
  return packages.flatMap((p) => {
    const release = /^linux-image-(?:unsigned-)?(\d.*?)(?:-unsigned)?$/u.exec(p.name)?.[1];
    if (release === undefined || /-dbg(?:sym)?$/u.test(release)) return [];
    return [
      { name: p.name, version: p.version, source: p.source, source_version: p.source_version, release },
    ];
  });
}
