import { Type, type Static } from 'typebox';
import { Compile } from 'typebox/compile';
import { parseInstant, schemaComplaint } from '../record.ts';
import { releaseOfUbuntu } from './ubuntu-release.ts';

/**
 * The two forms in which Ubuntu publishes a notice: that of its web API (canonical/ubuntu-com-security-api,
 * `webapp/schemas.py`, NoticeAPIDetailedSchema) and that of the security team's database (canonical/ubuntu-security-notices,
 * folder `usn`; the older database.json is many of these).
 */

/** A notice in either form. */
export interface Notice {
  /** `USN-6859-1` */
  readonly id: string;
  readonly title: string;
  readonly publishedAt: string | null;
  /** What it refers to: CVE ids, and pages of bugs among them. */
  readonly references: readonly string[];
  readonly isHidden: boolean;
  readonly releases: readonly NoticeRelease[];
}

export interface NoticeRelease {
  readonly codename: string;
  /** `22.04`; null for a code name that neither the notice nor we know the number of. */
  readonly release: string | null;
  readonly sources: readonly {
    readonly name: string;
    readonly version: string;
    readonly pockets: readonly string[];
  }[];
}

export type NoticeReading =
  | { readonly ok: true; readonly notice: Notice }
  | { readonly ok: false; readonly message: string; readonly id: string | null };

const text = Type.String();
const nullable = Type.Optional(Type.Union([text, Type.Null()]));

const ApiPackage = Type.Object({
  name: text,
  version: text,
  is_source: Type.Boolean(),
  pocket: nullable,
  source_link: nullable,
  version_link: nullable,
  /** `deb`; also `python`, `golang` and others for what is not installed by apt. */
  package_type: nullable,
});
const ApiNotice = Type.Object({
  id: text,
  title: text,
  published: text,
  is_hidden: Type.Optional(Type.Boolean()),
  cves_ids: Type.Optional(Type.Array(text)),
  releases: Type.Optional(Type.Array(Type.Object({ codename: text, version: text }))),
  release_packages: Type.Record(text, Type.Array(ApiPackage)),
});
const TeamNotice = Type.Object({
  id: text,
  title: text,
  /** Seconds since 1970, with fractions. */
  timestamp: Type.Number(),
  cves: Type.Optional(Type.Array(text)),
  releases: Type.Record(
    text,
    Type.Object({
      sources: Type.Optional(Type.Record(text, Type.Object({ version: text }))),
      allbinaries: Type.Optional(Type.Record(text, Type.Object({ pocket: nullable, source: nullable }))),
    }),
  ),
});
const validApiNotice = Compile(ApiNotice);
const validTeamNotice = Compile(TeamNotice);

const idForm = /^(?:(USN|LSN|SSN)-)?([0-9]+-[0-9]+)$/u;

/** The id with its kind; the security team's older files have only the number. */
function idOf(id: unknown): string | null {
  const form = typeof id === 'string' ? idForm.exec(id) : null;
  return form === null ? null : `${form[1] ?? 'USN'}-${form[2] ?? ''}`;
}

/** Reads a notice of either form. */
export function readNotice(value: unknown): NoticeReading {
  const given: unknown = typeof value === 'object' && value !== null ? Reflect.get(value, 'id') : undefined;
  const id = idOf(given);
  if (id === null) return { ok: false, message: `${String(given)} is not the id of a notice`, id: null };
  const isApi = typeof value === 'object' && value !== null && 'release_packages' in value;
  if (isApi) {
    return validApiNotice.Check(value)
      ? { ok: true, notice: ofApi(id, value) }
      : { ok: false, message: schemaComplaint(validApiNotice.Errors(value)), id };
  }
  return validTeamNotice.Check(value)
    ? { ok: true, notice: ofTeam(id, value) }
    : { ok: false, message: schemaComplaint(validTeamNotice.Errors(value)), id };
}

function ofApi(id: string, notice: Static<typeof ApiNotice>): Notice {
  const versions = new Map((notice.releases ?? []).map(({ codename, version }) => [codename, version]));
  return {
    id,
    title: notice.title,
    publishedAt: parseInstant(notice.published),
    references: notice.cves_ids ?? [],
    isHidden: notice.is_hidden ?? false,
    releases: Object.entries(notice.release_packages).map(([codename, packages]) => ({
      codename,
      release: versions.get(codename) ?? releaseOfUbuntu(codename),
      sources: sourcesOfApi(packages),
    })),
  };
}

/** Sources are listed themselves; where they are not, each binary links to its own (`…/+source/openssl/3.0.2-0ubuntu1.10`). */
function sourcesOfApi(packages: readonly Static<typeof ApiPackage>[]): NoticeRelease['sources'] {
  const sources = new Map<string, { name: string; version: string; pockets: Set<string> }>();
  const debs = packages.filter(({ package_type }) => (package_type ?? 'deb') === 'deb');
  for (const { name, version } of debs.filter(({ is_source }) => is_source)) {
    sources.set(`${name}\t${version}`, { name, version, pockets: new Set() });
  }
  const listed = sources.size > 0;
  for (const { is_source, source_link, version_link, version, pocket } of debs) {
    if (is_source) continue;
    const link = /\/\+source\/([^/]+)(?:\/([^/]+))?$/u.exec(version_link ?? source_link ?? '');
    const name = link?.[1];
    if (name === undefined) continue;
    const key = `${name}\t${link?.[2] ?? version}`;
    if (!listed && !sources.has(key)) {
      sources.set(key, { name, version: link?.[2] ?? version, pockets: new Set() });
    }
    // Binaries can have a version of their own, so that the source is found by its name alone.
    for (const source of sources.values()) {
      if (source.name === name && pocket !== null && pocket !== undefined) source.pockets.add(pocket);
    }
  }
  return [...sources.values()].map(({ name, version, pockets }) => ({
    name,
    version,
    pockets: [...pockets],
  }));
}

function ofTeam(id: string, notice: Static<typeof TeamNotice>): Notice {
  return {
    id,
    title: notice.title,
    publishedAt: parseInstant(new Date(notice.timestamp * 1000).toISOString()),
    references: notice.cves ?? [],
    isHidden: false,
    releases: Object.entries(notice.releases).map(([codename, { sources, allbinaries }]) => ({
      codename,
      release: releaseOfUbuntu(codename),
      sources: Object.entries(sources ?? {}).map(([name, { version }]) => ({
        name,
        version,
        pockets: [
          ...new Set(
            Object.values(allbinaries ?? {}).flatMap(({ pocket, source }) =>
              source === name && typeof pocket === 'string' ? [pocket] : [],
            ),
          ),
        ],
      })),
    })),
  };
}
