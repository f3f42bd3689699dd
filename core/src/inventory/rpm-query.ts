import type { InstalledPackage } from './inventory.ts';
import { originOfRpm, withOrigin } from './origin.ts';

/**
 * Reads what rpm knows is installed, as printed by `rpm -qa --queryformat` with {@link rpmQueryFormat}. All or nothing: a line
 * that rpm would not have printed refuses the whole text, since a partial list would read as "not installed".
 *
 * Versions are written `epoch:version-release`, without the epoch where there is none or it is 0: rpm takes both for the same.
 */
export const rpmQueryFormat = [
  '%{NAME}',
  '%{EPOCH}',
  '%{VERSION}',
  '%{RELEASE}',
  '%{ARCH}',
  '%{SOURCERPM}',
  '%{MODULARITYLABEL}',
  '%{VENDOR}\\n',
].join('\\t');

/** rpm writes this where a package does not have the tag. */
const none = '(none)';

export type RpmQueryRefusalCode = 'rpm_database_empty' | 'rpm_database_unreadable';

export type RpmQueryParse =
  | {
      readonly ok: true;
      /** Several versions of one name and architecture are several entries, in rpm's order. */
      readonly packages: InstalledPackage[];
    }
  | {
      readonly ok: false;
      readonly code: RpmQueryRefusalCode;
      readonly message: string;
      readonly what_to_do: string;
    };

const whatToDo = 'Run `rpm -qa` on the host; `rpm --rebuilddb` repairs a damaged database.';

/** @param os ID in os-release(5), by which the Vendor of a package tells who built it */
export function parseRpmQuery(text: string, os: string): RpmQueryParse {
  const packages: InstalledPackage[] = [];
  const epochs = new Map<string, { readonly epoch: string; readonly rank: number }>();
  for (const line of text.split('\n')) {
    if (line === '') continue;
    const [name, epoch, version, release, arch, sourceRpm, label, vendor, ...more] = line.split('\t');
    if (
      !name ||
      epoch === undefined ||
      !(epoch === none || /^\d+$/u.test(epoch)) ||
      !version ||
      !release ||
      !arch ||
      sourceRpm === undefined ||
      label === undefined ||
      vendor === undefined ||
      more.length > 0
    ) {
      return {
        ok: false,
        code: 'rpm_database_unreadable',
        message: `rpm lists what is no package: ${JSON.stringify(line.slice(0, 200))}`,
        what_to_do: whatToDo,
      };
    }
    // Keys that signatures are checked with are kept in the database as packages without files.
    if (name === 'gpg-pubkey') continue;
    const evr = writeEvr(epoch, version, release);
    const stream = moduleOf(label);
    const itself = { name, version: evr };
    const bare = parseSourceRpm(sourceRpm, none, itself);
    if (bare.source_version === `${version}-${release}`) {
      const key = `${bare.source} ${bare.source_version}`;
      const known = epochs.get(key);
      const rank = name === bare.source ? -1 : epoch === none ? 0 : Number(epoch);
      if (known === undefined || rank < known.rank) epochs.set(key, { epoch, rank });
    }
    packages.push(
      withOrigin(
        {
          name,
          arch,
          version: evr,
          ...parseSourceRpm(sourceRpm, epoch, itself),
          ...(stream === null ? {} : { module: stream }),
        },
        originOfRpm(os, vendor),
      ),
    );
  }
  if (packages.length === 0) {
    return {
      ok: false,
      code: 'rpm_database_empty',
      message: 'rpm lists no package',
      what_to_do: whatToDo,
    };
  }
  return { ok: true, packages: packages.map((p) => withEpochOfSource(p, epochs)) };
}

/**
 * SOURCERPM does not tell the source's epoch, and a part may have another (`mod_ssl` of `httpd`) or none (`perl-Errno` of `perl`):
 * then it is that of the package which is named like the source, else the lowest of those with its version, else the part's own.
 */
function withEpochOfSource(
  p: InstalledPackage,
  epochs: ReadonlyMap<string, { readonly epoch: string }>,
): InstalledPackage {
  const bare = p.source_version.replace(/^\d+:/u, '');
  const known = epochs.get(`${p.source} ${bare}`);
  if (known === undefined) return p;
  const counts = known.epoch !== none && Number(known.epoch) !== 0;
  return { ...p, source_version: counts ? `${known.epoch}:${bare}` : bare };
}

/** `1:1.0-1.el9`; `1.0-1.el9` where the epoch is `(none)`, empty or 0. */
export function writeEvr(epoch: string, version: string, release: string): string {
  const counts = epoch !== none && epoch !== '' && Number(epoch) !== 0;
  return counts ? `${epoch}:${version}-${release}` : `${version}-${release}`;
}

/**
 * Name and version of the source from the file name of the source package: `nodejs-18.20.2-1.module_el9+1234.src.rpm`. It does
 * not tell the source's epoch, which is taken to be the binary's. A package without one is its own source.
 */
export function parseSourceRpm(
  sourceRpm: string,
  epoch: string,
  itself: { readonly name: string; readonly version: string },
): { source: string; source_version: string } {
  const parts = /^(.+)-([^-]+)-([^-]+)\.(?:no)?src\.rpm$/u.exec(sourceRpm);
  const [, name, version, release] = parts ?? [];
  if (name === undefined || version === undefined || release === undefined) {
    return { source: itself.name, source_version: itself.version };
  }
  return { source: name, source_version: writeEvr(epoch, version, release) };
}

/** `nodejs:18` of the label `nodejs:18:9040020240423:rhel9`; null for what is in no module. */
export function moduleOf(label: string): string | null {
  if (label === none || label === '') return null;
  const [name, stream] = label.split(':');
  return name && stream ? `${name}:${stream}` : null;
}

/** `name-[epoch:]version-release.arch`, as dnf writes packages into its log and lists; null when it is none. */
export function parseNevra(
  text: string,
): { readonly name: string; readonly version: string; readonly arch: string } | null {
  const parts = /^(.+)-(?:(\d+):)?([^-:]+)-([^-]+)\.([^.-]+)$/u.exec(text.trim());
  const [, name, epoch, version, release, arch] = parts ?? [];
  if (name === undefined || version === undefined || release === undefined || arch === undefined) return null;
  return { name, version: writeEvr(epoch ?? '', version, release), arch };
}
