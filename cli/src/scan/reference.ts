import { PackageURL } from 'packageurl-js';
import { ecosystems, isEcosystem, productOf } from '@fixpoint/core/knowledge/ecosystem.ts';
import type { ScanPackage } from './judge.ts';

/** How other tools' documents name what a scan speaks of: package URLs, addresses of advisories, severities. */

const namespaces: Readonly<Record<string, string>> = {
  rhel: 'redhat',
  sles: 'suse',
  'opensuse-leap': 'opensuse',
};

/** Package URL of an installed package, as sbom-place.ts reads it back. */
export function purlOf(os: { readonly os: string; readonly os_release: string }, p: ScanPackage): string {
  const { ecosystem } = productOf(os.os, os.os_release);
  const family = isEcosystem(ecosystem) ? ecosystems[ecosystem].family : 'generic';
  const epoch = family === 'rpm' ? /^(\d+):/u.exec(p.version)?.[1] : undefined;
  const qualifiers = {
    ...(p.arch === '' ? {} : { arch: p.arch }),
    distro: os.os_release === '' ? os.os : `${os.os}-${os.os_release}`,
    ...(epoch === undefined ? {} : { epoch }),
    ...(p.module === undefined ? {} : { modularitylabel: p.module }),
    ...upstreamOf(family, p),
  };
  const version = epoch === undefined ? p.version : p.version.slice(epoch.length + 1);
  return new PackageURL(
    family,
    namespaces[os.os] ?? os.os,
    p.name,
    version,
    qualifiers,
    undefined,
  ).toString();
}

function upstreamOf(family: string, p: ScanPackage): { upstream?: string } {
  if (p.source === p.name && p.source_version === p.version) return {};
  if (family === 'rpm') return { upstream: `${p.source}-${p.source_version.replace(/^\d+:/u, '')}.src.rpm` };
  return { upstream: p.source_version === p.version ? p.source : `${p.source}@${p.source_version}` };
}

/** Where a person reads the vulnerability. */
export function vulnerabilityUrl(id: string): string {
  return id.startsWith('CVE-')
    ? `https://www.cve.org/CVERecord?id=${id}`
    : `https://osv.dev/vulnerability/${encodeURIComponent(id)}`;
}

/** Where a person reads the advisory; OSV has those of most distributions. */
export function advisoryUrl(id: string): string {
  if (/^D[LS]A-/u.test(id)) return `https://security-tracker.debian.org/tracker/${id}`;
  if (id.startsWith('USN-')) return `https://ubuntu.com/security/notices/${id}`;
  if (/^RH[SBE]A-/u.test(id)) return `https://access.redhat.com/errata/${id}`;
  return `https://osv.dev/vulnerability/${encodeURIComponent(id)}`;
}

export type Severity = 'critical' | 'high' | 'medium' | 'low' | 'none' | 'unknown';

/** The qualitative severity rating scale of CVSS 3.1 and 4.0. */
export function severityOf(cvss: number | null): Severity {
  if (cvss === null) return 'unknown';
  if (cvss >= 9) return 'critical';
  if (cvss >= 7) return 'high';
  if (cvss >= 4) return 'medium';
  return cvss > 0 ? 'low' : 'none';
}
