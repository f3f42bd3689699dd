import { existsSync } from 'node:fs';
import { machine } from 'node:os';
import { join } from 'node:path';
import { packageKey } from '@fixpoint/core/inventory/digest.ts';
import type { InstalledKernel, InstalledPackage } from '@fixpoint/core/inventory/inventory.ts';
import { parseRpmQuery, rpmQueryFormat } from '@fixpoint/core/inventory/rpm-query.ts';
import { compareVersions } from '@fixpoint/core/version/version.ts';
import { AgentFailure } from '../failure.ts';
import { runCommand } from '../run-command.ts';
import { readOsRelease } from './host.ts';
import { dnfStampPaths, readDnfCandidates, readDnfHeld } from './dnf.ts';
import { sortPackages, type CollectedPackages, type PackageSource } from './package-source.ts';
import { createRpmFiles, rpmCommand, rpmDatabaseStamp } from './rpm-files.ts';
import { stampOf, stampsIn } from './stamp.ts';
import { readZypperCandidates, readZypperHeld, zypperStampPaths } from './zypper.ts';

/** Red Hat's family, SUSE and Amazon: rpm's database, and what dnf, yum or zypper would update to. */

/** @param root below which the system is; other than `/` only in tests. */
export function createRpmSource(root = '/'): PackageSource {
  const has = (program: string): boolean =>
    ['usr/bin', 'bin'].some((folder) => existsSync(join(root, folder, program)));
  // SUSE can have both; zypper is what its repositories are configured for.
  const manager = has('zypper') ? 'zypper' : has('dnf') || has('dnf5') ? 'dnf' : 'yum';
  return createRpmSourceOf(manager, root);
}

export function createRpmSourceOf(manager: 'dnf' | 'yum' | 'zypper', root = '/'): PackageSource {
  const paths = manager === 'zypper' ? zypperStampPaths : dnfStampPaths;
  return {
    manager,
    takesOrders: true,
    stamp: () =>
      [
        rpmDatabaseStamp(root),
        ...paths.flatMap((path) => [stampOf(join(root, path)), ...stampsIn(join(root, path))]),
      ].join('|'),
    collect: () => collect(manager, root),
    files: createRpmFiles(root),
  };
}

async function collect(manager: 'dnf' | 'yum' | 'zypper', root: string): Promise<CollectedPackages> {
  const { os } = readOsRelease(root);
  const answer = await runCommand(rpmCommand(root, '-qa', '--queryformat', rpmQueryFormat), {
    timeoutSeconds: 120,
  });
  if (!answer.ok) {
    throw new AgentFailure(
      'rpm_database_unreadable',
      `rpm's database cannot be read: ${answer.message}`,
      'Run `rpm -qa` on the host; `rpm --rebuilddb` repairs a damaged database.',
    );
  }
  const parsed = parseRpmQuery(answer.stdout, os);
  if (!parsed.ok) throw new AgentFailure(parsed.code, parsed.message, parsed.what_to_do);
  const kernels = await readKernels(root, parsed.packages);
  // Kernels are there in several versions, and all are told. What else is (other drivers' modules) counts as its newest.
  const packages = newestOfEach(parsed.packages, packageKey);
  const newest = newestOfEach(packages, (p) => `${p.name}:${p.arch}`);
  const { candidates, problems } =
    manager === 'zypper'
      ? await readZypperCandidates(root, newest)
      : await readDnfCandidates(manager, root, os, newest);
  return {
    packages: sortPackages(packages),
    candidates,
    held: manager === 'zypper' ? readZypperHeld(root) : readDnfHeld(root),
    kernels,
    arch: machine(),
    problems,
  };
}

/** Of packages that are told apart by the same key, the newest. Pure. */
export function newestOfEach(
  packages: readonly InstalledPackage[],
  keyOf: (p: InstalledPackage) => string,
): InstalledPackage[] {
  const chosen = new Map<string, InstalledPackage>();
  for (const p of packages) {
    const key = keyOf(p);
    const other = chosen.get(key);
    if (other === undefined || compareVersions('rpm', p.version, other.version) === 'greater')
      chosen.set(key, p);
  }
  return [...chosen.values()];
}

/** What is named like a kernel and cannot be one. */
const noKernel =
  /^kernel-(?:.*-)?(?:devel|headers|doc|docs|source|syms|tools|tools-libs|macros|srpm-macros|rpm-macros|abi-stablelists|abi-whitelists|modules|modules-core|modules-extra|modules-internal|firmware.*|debuginfo.*)$/u;

/** An image of a kernel, by the release that `uname -r` says when it runs. Debug variants say `+debug` there, 64k ones `+64k`. */
const kernelImage =
  /^(?:\/usr)?\/lib\/modules\/([^/]+)\/(?:vmlinuz|vmlinux|[Ii]mage|zImage|bzImage)$|^\/boot\/(?:vmlinuz|vmlinux|[Ii]mage|zImage)-(.+?)(?:\.gz)?$/u;

/**
 * The installed kernels, by the image that each package ships: how the release is made from the version differs between
 * distributions (`5.14.0-362.8.1.el9_3.x86_64`, but `5.14.21-150500.55.39-default` for release 150500.55.39.1), the file does not.
 */
async function readKernels(root: string, packages: readonly InstalledPackage[]): Promise<InstalledKernel[]> {
  const names = packages.filter((p) => /^kernel(?:[-0-9]|$)/u.test(p.name) && !noKernel.test(p.name));
  if (names.length === 0) return [];
  const answer = await runCommand(
    rpmCommand(
      root,
      '-q',
      '--queryformat',
      String.raw`[%{=NAME}\t%{=ARCH}\t%{=EPOCH}\t%{=VERSION}\t%{=RELEASE}\t%{FILENAMES}\n]`,
      ...new Set(names.map((p) => p.name)),
    ),
    { timeoutSeconds: 60 },
  );
  return kernelsFrom(answer.stdout, packages);
}

/** Reads lines of `NAME ARCH EPOCH VERSION RELEASE FILE`, with tabs between. Pure. */
export function kernelsFrom(text: string, packages: readonly InstalledPackage[]): InstalledKernel[] {
  const kernels = new Map<string, InstalledKernel>();
  for (const line of text.split('\n')) {
    const [name, arch, epoch, version, release, path] = line.split('\t');
    if (path === undefined || name === undefined) continue;
    const image = kernelImage.exec(path);
    const uname = image?.[1] ?? image?.[2];
    if (uname === undefined || path.endsWith('.hmac')) continue;
    const evr = `${String(version)}-${String(release)}`;
    const p = packages.find(
      (one) =>
        one.name === name &&
        one.arch === arch &&
        (one.version === evr || one.version === `${String(epoch)}:${evr}`),
    );
    if (p === undefined) continue;
    kernels.set(`${name} ${uname}`, {
      name,
      version: p.version,
      source: p.source,
      source_version: p.source_version,
      release: uname,
    });
  }
  return [...kernels.values()];
}
