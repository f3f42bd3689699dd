import type { CsafProduct, ResolvedProduct } from '../csaf/product-tree.ts';
import { redhatPlace } from '../redhat-osv/redhat-osv.ts';

/**
 * What Red Hat's products and components are. Sources: Red Hat's security data guidelines (csaf-vex.md, purl.md, cpe.md) and
 * its published documents, whose forms changed over the years; each form that is read is named here.
 */

/** An RPM on a release of RHEL. */
export interface PlacedPackage {
  readonly release: string;
  readonly channel: string | null;
  readonly name: string;
  readonly kind: 'source' | 'binary';
  readonly module: string | null;
  /** `epoch:version-release`; null for a component as such, in all its versions. */
  readonly version: string | null;
}

/**
 * `elsewhere`: a container image, a Maven artifact, an operating system image, or a product that runs on no release of RHEL:
 * nothing that a host has as a package.
 */
export type Placing = PlacedPackage | 'elsewhere' | 'product_unknown';

export function placePackage({ component, within }: ResolvedProduct): Placing {
  const platform = within.find(({ cpe }) => cpe !== null);
  const tail = /^cpe:\/[ao]:redhat:(.+)$/u.exec(platform?.cpe ?? '')?.[1];
  if (platform === undefined) return within.length === 0 ? 'elsewhere' : 'product_unknown';
  // `cpe:/a:redhat` alone is "all currently supported products", which is no place of a package.
  if (tail === undefined) return 'elsewhere';
  const rpm = rpmOf(component);
  if (rpm === null) return 'elsewhere';
  const fixed = rpm.version === null ? [] : [{ type: 'ECOSYSTEM', events: [{ fixed: rpm.version }] }];
  const place = redhatPlace(tail, { ranges: fixed });
  if (typeof place === 'string') return 'elsewhere';
  const module = rpm.module ?? moduleOfParents(within) ?? (isModular(rpm.version) ? '?' : null);
  return { ...rpm, release: place.release, channel: place.channel, module };
}

type Rpm = Pick<PlacedPackage, 'name' | 'kind' | 'module' | 'version'>;

/** `name-epoch:version-release.arch`, with `::module:stream` behind it since 2025. */
const nevra =
  /^(?<name>.+)-(?<epoch>[0-9]+):(?<version>[^:]+-[^:-]+)\.(?<arch>[a-z0-9_]+)(?:::(?<module>.+))?$/u;
/** `nodejs:18/nodejs`, a package of a module as such. */
const moduleMember = /^(?<module>[^/:]+:[^/:]+)\/(?<name>[^/]+)$/u;

function rpmOf(component: CsafProduct): Rpm | null {
  const purl = component.purl === null ? null : parsePurl(component.purl);
  if (purl !== null && purl.type !== 'rpm' && purl.type !== 'rpmmod') return null;
  const built = nevra.exec(component.id)?.groups;
  if (built !== undefined) {
    const { name = '', epoch = '', version = '', arch = '', module } = built;
    return {
      name,
      kind: arch === 'src' ? 'source' : 'binary',
      module: moduleStream(purl?.qualifiers.get('rpmmod') ?? module ?? null),
      version: epoch === '0' ? version : `${epoch}:${version}`,
    };
  }
  const member = moduleMember.exec(component.id)?.groups;
  if (member !== undefined) {
    const { module = '', name = '' } = member;
    // A flatpak is made of RPMs and not installed as one.
    if (module.endsWith(':flatpak')) return null;
    return { ...unversioned(name, purl), module: moduleStream(module) };
  }
  // A module as a whole (`postgresql:12:8060020240903093929:ad008a3a`) is no package; its packages are listed beside it.
  if (purl?.type === 'rpmmod') return null;
  const module = moduleStream(purl?.qualifiers.get('rpmmod') ?? null);
  if (purl !== null) {
    if (purl.version === null) return { ...unversioned(purl.name, purl), module };
    const epoch = purl.qualifiers.get('epoch') ?? '0';
    const kind = purl.qualifiers.get('arch') === 'src' ? 'source' : 'binary';
    const version = epoch === '0' ? purl.version : `${epoch}:${purl.version}`;
    return { name: purl.name, kind, module, version };
  }
  // Components of documents before 2024 have no purl; those with a path are images and artifacts.
  if (!/^[A-Za-z0-9_][A-Za-z0-9._+-]*$/u.test(component.id)) return null;
  return { ...unversioned(component.id, null), module: null };
}

/** Without a version it is the component; it names what was built from, unless the purl says that it is what is installed. */
function unversioned(name: string, purl: Purl | null): Omit<Rpm, 'module'> {
  const binary = purl !== null && purl.type === 'rpm' && purl.qualifiers.get('arch') !== 'src';
  return { name: name.replace(/\.src$/u, ''), kind: binary ? 'binary' : 'source', version: null };
}

function isModular(version: string | null): boolean {
  return version !== null && /\.module[+_]/u.test(version);
}

/** Until 2025 the packages of a module were components of the module, and that one of the product. */
function moduleOfParents(within: readonly CsafProduct[]): string | null {
  for (const { purl } of within) {
    const parsed = purl === null ? null : parsePurl(purl);
    if (parsed?.type === 'rpmmod') return moduleStream(`${parsed.name}:${parsed.version ?? ''}`);
  }
  return null;
}

/** `nodejs:18` of `nodejs:18:8090020240301110609:a75119d5`; `?` for what names no stream. */
function moduleStream(text: string | null): string | null {
  if (text === null) return null;
  const [name = '', stream = ''] = text.split(':');
  return name === '' || stream === '' ? '?' : `${name}:${stream}`;
}

interface Purl {
  readonly type: string;
  readonly name: string;
  readonly version: string | null;
  readonly qualifiers: ReadonlyMap<string, string>;
}

/** A package URL (https://github.com/package-url/purl-spec) as far as it is needed here; null when it is none. */
export function parsePurl(text: string): Purl | null {
  const form = /^pkg:([a-z0-9.+-]+)\/(?:([^@?#]*)\/)?([^@?#/]+)(?:@([^?#]*))?(?:\?([^#]*))?/iu.exec(text);
  if (form === null) return null;
  const [, type = '', , name = '', version, query = ''] = form;
  const qualifiers = new Map(
    query
      .split('&')
      .filter((pair) => pair !== '')
      .map((pair): [string, string] => {
        const at = pair.indexOf('=');
        return at < 0 ? [pair, ''] : [pair.slice(0, at), decoded(pair.slice(at + 1))];
      }),
  );
  return {
    type: type.toLowerCase(),
    name: decoded(name),
    version: version === undefined || version === '' ? null : decoded(version),
    qualifiers,
  };
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
