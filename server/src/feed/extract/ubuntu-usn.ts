/**
 * Ubuntu notices as Greenbone's checks tell them (`../shared/feeds/ubuntu`: binary packages and versions for each release)
 * turned into the OSV records that Canonical publishes, which name source packages. For tests and benchmarks.
 */
import { Type, type Static } from 'typebox';
import { Parse } from 'typebox/value';

const DerivedNotice = Type.Object({
  id: Type.String(),
  /** `YYYY-MM-DD` */
  feed_date: Type.String(),
  /** Source packages of all releases. */
  packages: Type.Array(Type.String()),
  cves: Type.Array(Type.String()),
  /** Release (`UBUNTU20.04 LTS`) → version → binary packages. */
  fixed: Type.Record(Type.String(), Type.Record(Type.String(), Type.Array(Type.String()))),
});
export type DerivedNotice = Static<typeof DerivedNotice>;

export function readDerivedNotice(line: string): DerivedNotice {
  return Parse(DerivedNotice, JSON.parse(line));
}

interface UsnEntry {
  readonly package: { readonly ecosystem: string; readonly name: string };
  readonly ranges: readonly {
    readonly type: 'ECOSYSTEM';
    readonly events: readonly [{ readonly introduced: '0' }, { readonly fixed: string }];
  }[];
}

export interface UsnRecord {
  readonly schema_version: '1.7.0';
  readonly id: string;
  readonly modified: string;
  readonly published: string;
  readonly summary: string;
  readonly upstream: readonly string[];
  readonly affected: readonly UsnEntry[];
  readonly references: readonly { readonly type: 'ADVISORY'; readonly url: string }[];
}

/** `unplaced`: releases of the notice for which no source package could be told from its binaries. */
export function usnRecord(notice: DerivedNotice): { record: UsnRecord; unplaced: number } {
  const affected: UsnEntry[] = [];
  let unplaced = 0;
  for (const [title, versions] of Object.entries(notice.fixed)) {
    const release = /[0-9]+\.[0-9]+/u.exec(title)?.[0] ?? '';
    const sources = sourceVersions(notice.packages, versions);
    if (sources.size === 0) unplaced++;
    for (const [name, fixed] of sources) {
      // Expanded security maintenance has it in its versions (`+esm1`, `~esm2`).
      const pro = /[+~]esm[0-9]/u.test(fixed) ? 'Pro:' : '';
      affected.push({
        package: { ecosystem: `Ubuntu:${pro}${release}:LTS`, name },
        ranges: [{ type: 'ECOSYSTEM', events: [{ introduced: '0' }, { fixed }] }],
      });
    }
  }
  const time = `${notice.feed_date}T00:00:00Z`;
  const summary = `${notice.packages.join(', ')} vulnerabilities`;
  return {
    record: {
      schema_version: '1.7.0',
      id: notice.id,
      modified: time,
      published: time,
      // Nothing of the title is told; a later notice without CVEs (`-2`) repairs a regression.
      summary: summary.length > 200 ? `${summary.slice(0, 200)}…` : summary,
      upstream: notice.cves,
      affected,
      references: [{ type: 'ADVISORY', url: `https://ubuntu.com/security/notices/${notice.id}` }],
    },
    unplaced,
  };
}

type Versions = DerivedNotice['fixed'][string];

/** Source package → its fixed version in one release. What cannot be told is left out. */
function sourceVersions(packages: readonly string[], versions: Versions): Map<string, string> {
  const found = new Map<string, string>();
  const rest = new Map<string, readonly string[]>();
  for (const [version, binaries] of Object.entries(versions)) {
    const kernel = binaries.some((name) => name.startsWith('linux-image-'));
    if (!kernel) rest.set(version, binaries);
    // Versions such as 5.4.0.1086.91 are of linux-meta, which only points at the image.
    else if (/^[0-9.]+-[0-9]/u.test(version)) {
      for (const name of binaries) {
        const source = kernelSource(packages, name, version);
        if (source !== null) found.set(source, version);
      }
    }
  }
  const named = new Set<string>();
  // First the versions that have a package of the source's own name, then what else sounds like it.
  for (const isOf of [isNamedAfter, soundsLike]) {
    for (const source of packages) {
      if (source.startsWith('linux-') || found.has(source)) continue;
      const candidates = [...rest].filter(
        ([version, binaries]) =>
          packages.length === 1 || (!named.has(version) && binaries.some((name) => isOf(name, source))),
      );
      // Of several the one that has the package of the source's name itself, else the one of most packages.
      candidates.sort(
        ([, a], [, b]) => Number(b.includes(source)) - Number(a.includes(source)) || b.length - a.length,
      );
      const [best] = candidates;
      if (best !== undefined) found.set(source, best[0]);
    }
    for (const version of found.values()) named.add(version);
  }
  // `libssl1.1` of openssl and openssl1.0: notices name the source of the newer releases first.
  const [only] = rest.keys();
  const [first] = packages;
  if (found.size === 0 && rest.size === 1 && only !== undefined && first !== undefined)
    found.set(first, only);
  return found;
}

function isNamedAfter(binary: string, source: string): boolean {
  return binary.startsWith(source);
}

function soundsLike(binary: string, source: string): boolean {
  const stem = source.replace(/-?[0-9.]+$/u, '').replace(/^lib/u, '');
  return stem.length > 2 && binary.includes(stem);
}

/** The kernel source of `linux-image-5.15.0-1082-aws` at `5.15.0-1082.89~20.04.1`: `linux-aws-5.15`. */
function kernelSource(packages: readonly string[], binary: string, version: string): string | null {
  const form = /^linux-image-([0-9]+\.[0-9]+)\.[0-9]+-[0-9]+-([a-z-]+)/u.exec(binary);
  if (form === null) return null;
  const [, series = '', flavour = ''] = form;
  const kind = flavour.startsWith('generic') ? '' : `-${flavour.replace(/-(?:64k|lpae|nolpae)$/u, '')}`;
  const backport =
    kind === '' ? [`linux-hwe-${series}`] : [`linux${kind}-${series}`, `linux${kind}-hwe-${series}`];
  const own = [`linux${kind}`];
  // A lowlatency or 64k image may also be of the generic source.
  const generic = /^(?:lowlatency|generic)/u.test(flavour) ? ['linux'] : [];
  const order = version.includes('~')
    ? [...backport, `linux-hwe-${series}`, ...own]
    : [...own, ...generic, ...backport];
  return order.find((name) => packages.includes(name)) ?? null;
}
