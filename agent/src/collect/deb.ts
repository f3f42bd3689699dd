import { withOriginsByMarks } from '@fixpoint/core/inventory/deb-origin.ts';
import { readTextIfThere } from '../state-dir.ts';
import { describeCandidates, readIndexes, readPolicies, reference, upgradable } from './apt.ts';
import { collectDebOrigins, declaredOriginsPath } from './apt-origin.ts';
import { createFileOwners, parseDiversions, readConffiles, readMd5sums, statusStamp } from './dpkg-files.ts';
import { readDpkgStatus } from './dpkg.ts';
import { readNativeArch, readOsRelease } from './host.ts';
import { kernelsOf } from './kernel.ts';
import { parseDpkgLog, type LoggedUpgrade } from './maps.ts';
import {
  sortPackages,
  type CollectedPackages,
  type PackageFiles,
  type PackageSource,
} from './package-source.ts';
import { runCommand } from '../run-command.ts';
import { stampOf, stampsIn } from './stamp.ts';

/** Debian, Ubuntu and their like: dpkg's database and apt's lists. */

export function createDebSource(): PackageSource {
  return { manager: 'apt', takesOrders: true, stamp, collect, files: createDebFiles() };
}

function stamp(): string {
  return [
    statusStamp(),
    ...[
      '/var/lib/apt/lists',
      '/etc/apt/preferences',
      '/etc/apt/preferences.d',
      '/etc/apt/sources.list',
      '/etc/apt/sources.list.d',
      declaredOriginsPath,
    ].map(stampOf),
    // apt replaces its lists in place. What a Release file says decides on origins.
    ...stampsIn('/var/lib/apt/lists', (name) => /Packages|Release$/u.test(name)),
  ].join('|');
}

async function collect(): Promise<CollectedPackages> {
  const status = readDpkgStatus('/');
  const arch = await readNativeArch();
  const { os } = readOsRelease('/');
  const installed = sortPackages(status.packages);
  const common = { held: status.held, kernels: kernelsOf(installed), arch, problems: [] };
  const [policies, indexes] = await Promise.all([
    readPolicies(installed.map((p) => (p.arch === 'all' ? p.name : `${p.name}:${p.arch}`))),
    readIndexes(),
  ]);
  if (policies === null || indexes === null) {
    return { ...common, packages: withOriginsByMarks(os, installed, status.maintainers), candidates: [] };
  }
  // Each start of apt costs more than what it is asked, so the candidates' records are read with those of old builds.
  const likely = upgradable(policies, installed, arch).map((one) =>
    reference(one.installed, one.version, arch),
  );
  const origins = await collectDebOrigins(os, installed, status.maintainers, policies, indexes, arch, likely);
  const newer = upgradable(policies, origins.packages, arch, origins.isOfDistribution);
  const candidates = await describeCandidates(newer, arch, installed, origins.records);
  return { ...common, packages: origins.packages, candidates };
}

export function createDebFiles(): PackageFiles {
  const owners = createFileOwners();
  let upgrades: { readonly stamp: string; readonly entries: readonly LoggedUpgrade[] } | null = null;
  return {
    stamp: statusStamp,
    ownersOf: (paths) => Promise.resolve(owners.ownersOf(paths)),
    shippedBy: (p) => Promise.resolve({ sums: readMd5sums(p), changeable: new Set(readConffiles(p)) }),
    async diversions() {
      const answer = await runCommand(['dpkg-divert', '--list'], { timeoutSeconds: 60 });
      if (!answer.ok) throw new Error(`the diversions cannot be read: ${answer.message}`);
      return parseDiversions(answer.stdout);
    },
    upgrades() {
      const paths = ['/var/log/dpkg.log.1', '/var/log/dpkg.log'];
      const now = paths.map(stampOf).join();
      if (upgrades?.stamp !== now) {
        upgrades = {
          stamp: now,
          entries: paths.flatMap((path) => parseDpkgLog(readTextIfThere(path) ?? '')),
        };
      }
      return upgrades.entries;
    },
  };
}
