import { parseApkInstalled } from '@fixpoint/core/inventory/apk-installed.ts';
import { originsOfDebs } from '@fixpoint/core/inventory/deb-origin.ts';
import { parseDpkgStatus } from '@fixpoint/core/inventory/dpkg-status.ts';
import type { InstalledPackage } from '@fixpoint/core/inventory/inventory.ts';
import { withOrigin } from '@fixpoint/core/inventory/origin.ts';
import { parseRpmQuery } from '@fixpoint/core/inventory/rpm-query.ts';
import { parseRegistry, parseSystemInfo, windowsPackages } from '@fixpoint/core/inventory/windows.ts';
import type { Case } from './case.ts';

/** The installed packages of a case, read from its package manager's own output by the product's own parsers. */
export function readInstalled(one: Case): readonly InstalledPackage[] {
  switch (one.packageFile) {
    case 'dpkg-status':
      return debs(one);
    case 'rpm-query.tsv': {
      const parsed = parseRpmQuery(one.packageText, one.system.os);
      if (!parsed.ok) throw new Error(`${one.name}: ${parsed.message}`);
      return parsed.packages;
    }
    case 'apk-installed': {
      const parsed = parseApkInstalled(one.packageText);
      if (!parsed.ok) throw new Error(`${one.name}: ${parsed.message}`);
      return parsed.installed.packages;
    }
    case 'systeminfo.txt': {
      const info = parseSystemInfo(one.packageText);
      if (!info.ok) throw new Error(`${one.name}: ${info.message}`);
      if (one.registryText === null) return windowsPackages(info.info);
      const registry = parseRegistry(one.registryText);
      if (!registry.ok) throw new Error(`${one.name}: ${registry.message}`);
      return windowsPackages(info.info, registry.registry);
    }
  }
}

/** Who built a package is told by its version and its maintainer, as where apt's indexes cannot be asked. */
function debs(one: Case): InstalledPackage[] {
  const parsed = parseDpkgStatus(one.packageText);
  if (!parsed.ok) throw new Error(`${one.name}: ${parsed.message}`);
  const { packages, maintainers } = parsed.status;
  const origins = originsOfDebs(
    packages.map((p) => ({
      version: p.version,
      source: p.source,
      maintainer: maintainers.get(`${p.name}:${p.arch}`) ?? '',
      offeredBy: [],
      isOtherBuildOffered: false,
      distributionMaintainers: [],
      maintainersOfSource: [],
    })),
    { os: one.system.os, hasDistributionIndex: false, hasMainArchive: false, declaredOrigins: [] },
  );
  return packages.map((p, i) => {
    const origin = origins[i];
    return origin === undefined ? p : withOrigin(p, origin);
  });
}
