import { Type } from 'typebox';
import { Compile } from 'typebox/compile';
import type { Ecosystem } from '@fixpoint/core/knowledge/ecosystem.ts';
import { plainStatement, type Fact } from '@fixpoint/core/knowledge/facts.ts';
import type { FeedFile, FeedRecord, FeedRejection } from '../feed.ts';
import { notThisFormat, openInput, parseJsonFile, wholeText } from '../input.ts';
import { rejection, requireRecords, schemaComplaint } from '../record.ts';

/**
 * The format of Alpine's secdb, which Wolfi publishes too: package → version → what that version fixes. It is made from the
 * `secfixes` comments in APKBUILD files (alpine/infra/secdb), which people write by hand; so the entries are texts.
 */

const Database = Type.Object({
  reponame: Type.String({ minLength: 1 }),
  /** `v3.18`, `edge`; Wolfi, which has no releases, leaves it out. */
  distroversion: Type.Optional(Type.String()),
  packages: Type.Union([Type.Array(Type.Unknown()), Type.Null()]),
});
const Package = Type.Object({
  pkg: Type.Object({
    name: Type.String({ minLength: 1 }),
    secfixes: Type.Record(Type.String(), Type.Array(Type.String())),
  }),
});
const validDatabase = Compile(Database);
const validPackage = Compile(Package);

export interface SecdbHeader {
  readonly repository: string;
  readonly version: string | null;
}

export interface SecdbOptions {
  readonly ecosystem: Ecosystem;
  /** The release that a file is of, or null when its header names none that this ecosystem has. */
  readonly releaseOf: (header: SecdbHeader) => string | null;
  /** Whether a file without a package is whole: a repository of an old release, such as 3.3/community, can have no fix. */
  readonly mayBeEmpty: boolean;
}

/** A record is a package of a repository of a release: `3.18/main/openssl`, on systems without releases `os/openssl`. */
export async function* readSecdb(
  file: FeedFile,
  options: SecdbOptions,
): AsyncGenerator<FeedRecord | FeedRejection> {
  const input = await openInput(file);
  const database = parseJsonFile(file.name, await wholeText(input));
  if (!validDatabase.Check(database)) {
    throw notThisFormat(file.name, 'a secdb', schemaComplaint(validDatabase.Errors(database)));
  }
  const header = { repository: database.reponame, version: database.distroversion ?? null };
  const release = options.releaseOf(header);
  if (release === null) {
    throw notThisFormat(
      file.name,
      `a secdb of ${options.ecosystem}`,
      `its distroversion is ${header.version ?? 'missing'}`,
    );
  }
  const prefix = release === '' ? header.repository : `${release}/${header.repository}`;
  const packages = database.packages ?? [];
  if (packages.length === 0 && options.mayBeEmpty) return;
  yield* requireRecords(file, readPackages(packages, prefix, release, options.ecosystem));
}

async function* readPackages(
  packages: readonly unknown[],
  prefix: string,
  release: string,
  ecosystem: Ecosystem,
): AsyncGenerator<FeedRecord | FeedRejection> {
  for (const [index, entry] of packages.entries()) {
    const raw = JSON.stringify(entry);
    if (!validPackage.Check(entry)) {
      const message = schemaComplaint(validPackage.Errors(entry));
      const name = nameOf(entry);
      const record = name === null ? null : `${prefix}/${name}`;
      yield rejection(`packages[${String(index)}]`, 'record_not_secdb', message, raw, record);
      continue;
    }
    const { name, secfixes } = entry.pkg;
    const id = `${prefix}/${name}`;
    const facts: Fact[] = [];
    for (const [version, texts] of Object.entries(secfixes)) {
      for (const text of texts) {
        const fix = readEntry(text);
        if (fix === null) {
          const message = `no id of a vulnerability in ${JSON.stringify(text)}`;
          yield rejection(`${id} ${version}`, 'id_unknown', message, raw, id);
          continue;
        }
        for (const vulnerability of fix.vulnerabilities) {
          const aliases = fix.vulnerabilities.length === 1 ? fix.aliases : [];
          if (aliases.length > 0 || !vulnerability.startsWith('CVE-')) {
            facts.push(vulnerabilityOf(vulnerability, aliases));
          }
          facts.push({
            ...plainStatement,
            vulnerability,
            ecosystem,
            release,
            package: name,
            // Version 0 is how a package says that none of its versions here has ever had the flaw.
            ...(version === '0' || fix.notAffected
              ? { status: 'not_affected', fixState: 'available' }
              : { status: 'fixed', fixedVersion: version, fixState: 'available' }),
            note: fix.note,
          });
        }
      }
    }
    yield { outcome: 'record', id, raw, facts };
  }
}

function nameOf(entry: unknown): string | null {
  if (typeof entry !== 'object' || entry === null || !('pkg' in entry)) return null;
  const { pkg } = entry;
  return typeof pkg === 'object' && pkg !== null && 'name' in pkg && typeof pkg.name === 'string'
    ? pkg.name
    : null;
}

function vulnerabilityOf(id: string, aliases: readonly string[]): Fact {
  return {
    kind: 'vulnerability',
    id,
    aliases,
    title: null,
    description: null,
    publishedAt: null,
    withdrawnAt: null,
  };
}

export interface SecdbEntry {
  readonly vulnerabilities: readonly string[];
  /** Other ids of the one vulnerability. */
  readonly aliases: readonly string[];
  readonly notAffected: boolean;
  /** Everything else that the text says, verbatim. */
  readonly note: string | null;
}

/** Also `CVE_2019-2426`, `CVE-2017-17434-1` (the first of two patches) and `CVE-2021-35940.patch`, as the real data has them. */
const cve = /CVE[-_]([0-9]{4})-([0-9]{4,19})(?:-[0-9]+(?![0-9-])|\.patch)?/gu;
const ghsa = /GHSA(?:-[23456789cfghjmpqrvwx]{4}){3}/gu;
/** Ids of projects and researchers, which are used where there is no CVE (yet): `XSA-207`, `ZBX-11023`, `wnpa-sec-2017-18`. */
const other =
  /(?<![A-Za-z0-9-])(?!CVE\b)(?:[A-Z]{2,}(?:-[A-Z]+)*|wnpa-sec)-?[0-9]{3,}(?:-[0-9]+)*(?![A-Za-z0-9-])/gu;

/**
 * Reads one text of a version's list. One text can name several CVEs (`CVE-2020-11740 CVE-2020-11741 XSA-313`). A GHSA beside
 * a single CVE is the same flaw; another id is not taken for one, since an advisory such as XSA-297 is about several CVEs.
 * Null when the text names nothing that is an id.
 */
export function readEntry(text: string): SecdbEntry | null {
  const cves = [
    ...new Set([...text.matchAll(cve)].map((match) => `CVE-${match[1] ?? ''}-${match[2] ?? ''}`)),
  ];
  const ghsas = [...new Set(text.match(ghsa))];
  const others = [...new Set(text.match(other))];
  const [vulnerabilities, aliases] =
    cves.length > 0 ? [cves, ghsas] : ghsas.length > 0 ? [ghsas, []] : [others, []];
  if (vulnerabilities.length === 0) return null;
  const rest = text.replaceAll(cve, '').replaceAll(ghsa, '').replaceAll(/\s+/gu, ' ').trim();
  return {
    vulnerabilities,
    aliases,
    notAffected: /\(not\b[^)]*\b(?:affected|applicable)\b/iu.test(text),
    note: rest === '' || vulnerabilities.includes(rest) ? null : rest,
  };
}
