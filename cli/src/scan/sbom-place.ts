import { PackageURL } from 'packageurl-js';
import { originsOfDebs } from '@fixpoint/core/inventory/deb-origin.ts';
import { originOfRpm, withOrigin, type PackageOrigin } from '@fixpoint/core/inventory/origin.ts';
import { moduleOf, parseSourceRpm } from '@fixpoint/core/inventory/rpm-query.ts';
import { ecosystems, isEcosystem, productOf } from '@fixpoint/core/knowledge/ecosystem.ts';
import type { ScanUndetermined } from './assess.ts';
import type { ScanPackage } from './judge.ts';
import type { Sbom, SbomComponent } from './sbom.ts';

/**
 * Where a component of an SBOM belongs: which system's package it is, of which release, built from what. By its package URL
 * (the types `deb`, `rpm` and `apk` of github.com/package-url/purl-spec) with the qualifiers and properties that Syft, Trivy
 * and cdxgen write beside it. What cannot be placed is answered with the reason.
 */

export interface PlacedComponent {
  /** As os-release(5) has them. */
  readonly os: string;
  readonly os_release: string;
  readonly package: ScanPackage;
}

export type Placing =
  | { readonly ok: true; readonly placed: PlacedComponent }
  | { readonly ok: false; readonly undetermined: ScanUndetermined };

/** Other names of systems, by their ID in os-release(5). */
const aliases: Readonly<Record<string, string>> = {
  redhat: 'rhel',
  'red hat': 'rhel',
  'red hat enterprise linux': 'rhel',
  amazon: 'amzn',
  amazonlinux: 'amzn',
  'amazon linux': 'amzn',
  suse: 'sles',
  'suse linux enterprise server': 'sles',
  opensuse: 'opensuse-leap',
  'opensuse.leap': 'opensuse-leap',
  'opensuse leap': 'opensuse-leap',
  alma: 'almalinux',
  rockylinux: 'rocky',
};

const codenames: Readonly<Record<string, readonly [os: string, release: string]>> = {
  buster: ['debian', '10'],
  bullseye: ['debian', '11'],
  bookworm: ['debian', '12'],
  trixie: ['debian', '13'],
  bionic: ['ubuntu', '18.04'],
  focal: ['ubuntu', '20.04'],
  jammy: ['ubuntu', '22.04'],
  noble: ['ubuntu', '24.04'],
};

const families = { deb: 'deb', rpm: 'rpm', apk: 'apk' } as const;

/** The system of a whole SBOM, for components that do not name one; null when it names none, or several. */
export function systemOf(sbom: Sbom): { readonly os: string; readonly os_release: string } | null {
  const named = new Map(
    sbom.systems.map(({ id, version }) => {
      const os = osId(id);
      const system = { os, os_release: releaseFor(os, version) };
      return [`${system.os} ${system.os_release}`, system] as const;
    }),
  );
  const [system] = named.values();
  return named.size === 1 && system !== undefined ? system : null;
}

export function placeComponent(
  component: SbomComponent,
  system: { readonly os: string; readonly os_release: string } | null,
): Placing {
  if (component.malformed !== null) {
    return unplaced(
      component,
      'sbom_component_malformed',
      `The entry cannot be read: ${component.malformed}.`,
      {
        todo: 'Report it to the tool that wrote the SBOM.',
      },
    );
  }
  if (component.purl === null) {
    return unplaced(component, 'sbom_no_purl', 'It has no package URL, so it is not known what it is.', {
      todo: 'Make the SBOM with a tool that writes package URLs, or judge it by hand.',
    });
  }
  let purl: PackageURL;
  try {
    purl = PackageURL.fromString(component.purl);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    return unplaced(component, 'sbom_purl_invalid', `Its package URL cannot be read (${why}).`, {
      todo: 'Report it to the tool that wrote the SBOM.',
    });
  }
  const type = purl.type ?? '';
  if (!Object.hasOwn(families, type)) {
    return unplaced(
      component,
      'sbom_type_not_judged',
      `Packages of type “${type}” are not judged: only those of Linux distributions are.`,
      { todo: 'Judge it with a scanner for that kind of package.' },
    );
  }
  const qualifiers = new Map(Object.entries(purl.qualifiers ?? {}));
  const named = distroOf(qualifiers.get('distro') ?? '', purl.namespace ?? '', system);
  if (named === null) {
    return unplaced(
      component,
      'sbom_no_distribution',
      'Nothing says of which distribution and release it is.',
      {
        todo: 'Make the SBOM with a tool that writes the `distro` of a package, or names the operating system.',
      },
    );
  }
  const { ecosystem } = productOf(named.os, named.os_release);
  if (!isEcosystem(ecosystem) || ecosystems[ecosystem].family !== type) {
    return unplaced(
      component,
      'sbom_distribution_unknown',
      `There is no vulnerability data for ${named.os} ${named.os_release}`.trimEnd() + '.',
      { todo: 'Ask its vendor.' },
    );
  }
  const version = versionOf(component, purl, qualifiers);
  const name = purl.name ?? component.name;
  if (version === '') {
    return unplaced(component, 'sbom_no_version', 'It has no version, so it cannot be compared.', {
      todo: 'Report it to the tool that wrote the SBOM.',
    });
  }
  const read = reader(component, qualifiers);
  const bare: ScanPackage = {
    name,
    arch: qualifiers.get('arch') ?? read('syft:metadata:architecture') ?? '',
    version,
    ...(type === 'rpm' ? rpmSource(name, version, read) : debSource(name, version, type, read, component)),
    ...(component.ref === null ? {} : { ref: component.ref }),
  };
  const stream = type === 'rpm' ? moduleOf(moduleLabel(read)) : null;
  const p = stream === null ? bare : { ...bare, module: stream };
  const origin = originOf(named.os, type, p, read);
  return {
    ok: true,
    placed: { ...named, package: origin === null ? p : { ...withOrigin(p, origin), ...refOf(p) } },
  };
}

const refOf = (p: ScanPackage): { ref?: string } => (p.ref === undefined ? {} : { ref: p.ref });

function unplaced(
  { name, version }: SbomComponent,
  code: string,
  reason: string,
  { todo }: { readonly todo: string },
): Placing {
  return {
    ok: false,
    undetermined: {
      package: name,
      installed: [version === '' ? name : `${name} ${version}`],
      vulnerabilities: [],
      code,
      reason,
      what_to_do: todo,
    },
  };
}

function osId(name: string): string {
  const lower = name.trim().toLowerCase();
  return Object.hasOwn(aliases, lower) ? (aliases[lower] ?? lower) : lower;
}

/** Trivy names point releases (`12.4`), which os-release(5) of Debian does not have. */
function releaseFor(os: string, version: string): string {
  return os === 'debian' ? (version.split('.')[0] ?? '') : version;
}

/**
 * `debian-12`, `almalinux-9.3`, `opensuse-leap-15.5`, `bookworm`, and Alpine's bare `3.18.4`; else what the SBOM as a whole says,
 * if it is not about another system than the namespace.
 */
function distroOf(
  distro: string,
  namespace: string,
  system: { readonly os: string; readonly os_release: string } | null,
): { readonly os: string; readonly os_release: string } | null {
  const own = osId(namespace);
  const parts = /^(?:(.+?)[-_: ])?(\d[\w.]*)$/u.exec(distro.toLowerCase());
  if (parts !== null) {
    const os = parts[1] === undefined ? own : osId(parts[1]);
    return os === '' ? null : { os, os_release: releaseFor(os, parts[2] ?? '') };
  }
  const codename = codenames[distro.toLowerCase().split('-').at(-1) ?? ''];
  if (codename !== undefined) return { os: codename[0], os_release: codename[1] };
  const named = releaseNamed(distro.toLowerCase(), own);
  if (named !== null) return { os: own, os_release: named };
  if (system !== null && (own === '' || own === system.os)) return system;
  const { ecosystem, release } = productOf(own, '');
  // A rolling release needs no number.
  return isEcosystem(ecosystem) && release === '' && ecosystems[ecosystem].releaseOf('1') === ''
    ? { os: own, os_release: '' }
    : null;
}

/**
 * A release that has no number (`debian-sid`, `alpine-edge`), or whose number is not known here. What the SBOM as a whole says
 * is not said of it. Null when the system alone is named.
 */
function releaseNamed(distro: string, own: string): string | null {
  if (!['debian', 'ubuntu', 'alpine'].includes(own)) return null;
  const rest = distro.replace(new RegExp(`^${own}(?:[-_: ]|$)`, 'u'), '');
  return rest === '' ? null : rest;
}

/** With the epoch, which a package URL may leave to a qualifier, and Syft leaves to the component's own version. */
function versionOf(
  component: SbomComponent,
  purl: PackageURL,
  qualifiers: ReadonlyMap<string, string>,
): string {
  const version = purl.version ?? component.version;
  if (version === '' || /^\d+:/u.test(version)) return withoutZero(version);
  const epoch =
    qualifiers.get('epoch') ??
    component.properties.get('syft:metadata:epoch') ??
    (component.version.endsWith(`:${version}`) ? component.version.slice(0, -version.length - 1) : '');
  return /^\d+$/u.test(epoch) ? withoutZero(`${epoch}:${version}`) : version;
}

function withoutZero(version: string): string {
  return version.replace(/^0+:/u, '');
}

type Read = (...names: readonly string[]) => string | undefined;

/** The first of these qualifiers and properties that says anything. */
function reader(component: SbomComponent, qualifiers: ReadonlyMap<string, string>): Read {
  return (...names) =>
    names
      .map((name) => qualifiers.get(name) ?? component.properties.get(name))
      .find((value) => value !== undefined && value !== '' && value !== '(none)');
}

const trivy = 'aquasecurity:trivy:';

function trivySource(read: Read): { source: string; source_version: string } | null {
  const name = read(`${trivy}SrcName`);
  const version = read(`${trivy}SrcVersion`);
  if (name === undefined || version === undefined) return null;
  const epoch = read(`${trivy}SrcEpoch`) ?? '';
  const release = read(`${trivy}SrcRelease`);
  const upstream = release === undefined ? version : `${version}-${release}`;
  return { source: name, source_version: withoutZero(epoch === '' ? upstream : `${epoch}:${upstream}`) };
}

function debSource(
  name: string,
  version: string,
  type: string,
  read: Read,
  component: SbomComponent,
): { source: string; source_version: string } {
  const said = read('upstream', 'source', 'syft:metadata:source', 'syft:metadata:originPackage');
  // Trivy in SPDX: `built package from: openssl 3.0.9-1`
  const built = /^built package from: (\S+) (\S+)$/u.exec(component.sourceInfo);
  if (said === undefined) {
    const known = trivySource(read);
    if (known !== null) return known;
    if (built?.[1] !== undefined && built[2] !== undefined)
      return { source: built[1], source_version: built[2] };
    return { source: name, source_version: version };
  }
  const at = said.indexOf('@');
  const source = at < 0 ? said : said.slice(0, at);
  const of = at < 0 ? read('syft:metadata:sourceVersion') : said.slice(at + 1);
  // A rebuild of the binary alone; dpkg names its source's version apart.
  return {
    source,
    source_version: of ?? (type === 'deb' ? version.replace(/\+b\d+$/u, '') : version),
  };
}

function rpmSource(name: string, version: string, read: Read): { source: string; source_version: string } {
  const said = read('upstream', 'source', 'syft:metadata:sourceRpm');
  if (said !== undefined) {
    const epoch = /^(\d+):/u.exec(version)?.[1] ?? '';
    const file = said.endsWith('.rpm') ? said : `${said}.src.rpm`;
    return parseSourceRpm(file, epoch, { name, version });
  }
  return trivySource(read) ?? { source: name, source_version: version };
}

function moduleLabel(read: Read): string {
  return read('modularitylabel', 'rpmmod', 'syft:metadata:modularityLabel', `${trivy}Modularitylabel`) ?? '';
}

/** Who built it, where the SBOM tells; null: nothing speaks against the distribution that the package URL names. */
function originOf(os: string, type: string, p: ScanPackage, read: Read): PackageOrigin | null {
  if (type === 'rpm') {
    const vendor = read('syft:metadata:vendor', 'vendor');
    return vendor === undefined ? null : originOfRpm(os, vendor);
  }
  if (type !== 'deb') return null;
  const [origin] = originsOfDebs(
    [
      {
        version: p.version,
        source: p.source,
        maintainer: read('syft:metadata:maintainer') ?? '',
        offeredBy: [],
        isOtherBuildOffered: false,
        distributionMaintainers: [],
        maintainersOfSource: [],
      },
    ],
    { os, hasDistributionIndex: false, hasMainArchive: false, declaredOrigins: [] },
  );
  return origin ?? null;
}
