import type { InstalledPackage } from '@fixpoint/core/inventory/inventory.ts';
import type { VerdictEvidence } from '@fixpoint/core/match/evidence.ts';
import { sql } from 'kysely';
import type { Transact } from '../context.ts';

/** The only writer of software and of what each is vulnerable to. */

/** A distinct software, with what was worked out from it when it was first seen. */
export interface SoftwareRow extends PackageToIntern {
  readonly id: number;
  /** The package that a patch of it is named by. */
  readonly package: string;
  /** Where statements about its source are found. */
  readonly statement_source: string;
  /** A kernel that can boot. */
  readonly kernel: boolean;
}

/** A package as hosts report it. */
export type PackageToIntern = InstalledPackage;

/** What is worked out from a package before it is stored. */
export interface DerivedSoftware {
  readonly package: string;
  readonly statement_source: string;
  readonly kernel: boolean;
}

interface StoredSoftware {
  id: number;
  name: string;
  version: string;
  arch: string;
  source: string;
  source_version: string;
  origin: '' | 'third_party' | 'unknown';
  vendor: string;
  module: string;
  updates: string;
  package: string;
  statement_source: string;
  kernel: boolean;
}

const columns = [
  'id',
  'name',
  'version',
  'arch',
  'source',
  'source_version',
  'origin',
  'vendor',
  'module',
  'updates',
  'package',
  'statement_source',
  'kernel',
] as const;

/** Empty columns stand for what a package does not have. */
function softwareRow(row: StoredSoftware): SoftwareRow {
  const { origin, vendor, module, updates, ...rest } = row;
  return {
    ...rest,
    ...(origin === '' ? {} : { origin }),
    ...(vendor === '' ? {} : { vendor }),
    ...(module === '' ? {} : { module }),
    ...(updates === '' ? {} : { updates: updates.split(' ') }),
  };
}

/** The other way round. */
function storedPackage(p: PackageToIntern) {
  const { name, version, arch, source, source_version } = p;
  return {
    name,
    version,
    arch,
    source,
    source_version,
    origin: p.origin ?? '',
    vendor: p.vendor ?? '',
    module: p.module ?? '',
    updates: (p.updates ?? []).join(' '),
  };
}

const recordset = sql`x(ordinal integer, name text, version text, arch text, source text, source_version text,
  origin text, vendor text, module text, updates text, package text, statement_source text, kernel boolean)`;

/** Ids parallel to `packages`; null for those that are not there yet. */
export async function findSoftware(
  trx: Transact,
  product: { ecosystem: string; release: string },
  packages: readonly PackageToIntern[],
): Promise<(number | null)[]> {
  const list = JSON.stringify(packages.map((p, ordinal) => ({ ordinal, ...storedPackage(p) })));
  const rows = await sql<{ ordinal: number; id: number }>`
    select x.ordinal, s.id from jsonb_to_recordset(${list}::jsonb) as ${recordset}
    join software s on s.ecosystem = ${product.ecosystem} and s.release = ${product.release} and s.name = x.name
      and s.version = x.version and s.arch = x.arch and s.source = x.source and s.source_version = x.source_version
      and s.origin = x.origin and s.vendor = x.vendor and s.module = x.module and md5(s.updates) = md5(x.updates)
  `.execute(trx);
  const ids: (number | null)[] = packages.map(() => null);
  for (const row of rows.rows) ids[row.ordinal] = row.id;
  return ids;
}

/** Adds what is missing; another transaction may add the same at once, so the caller looks up again afterwards. */
export async function addSoftware(
  trx: Transact,
  product: { ecosystem: string; release: string },
  packages: readonly (PackageToIntern & DerivedSoftware)[],
  at: Date,
): Promise<SoftwareRow[]> {
  // One order for everybody: two hosts with the same new packages would otherwise wait for each other's rows crosswise.
  const sorted = packages.toSorted((a, b) => (keyOf(a) < keyOf(b) ? -1 : 1));
  const list = JSON.stringify(
    sorted.map((p, ordinal) => ({
      ordinal,
      ...storedPackage(p),
      package: p.package,
      statement_source: p.statement_source,
      kernel: p.kernel,
    })),
  );
  const rows = await sql<StoredSoftware>`
    insert into software (ecosystem, release, name, version, arch, source, source_version, origin, vendor, module, updates,
      package, statement_source, kernel, first_seen_at)
    select ${product.ecosystem}, ${product.release}, x.name, x.version, x.arch, x.source, x.source_version, x.origin,
      x.vendor, x.module, x.updates, x.package, x.statement_source, x.kernel, ${at}
    from jsonb_to_recordset(${list}::jsonb) as ${recordset} order by x.ordinal
    on conflict do nothing
    returning id, name, version, arch, source, source_version, origin, vendor, module, updates, package, statement_source,
      kernel
  `.execute(trx);
  return rows.rows.map(softwareRow);
}

function keyOf(p: PackageToIntern): string {
  return Object.values(storedPackage(p)).join('\t');
}

/** All software that statements about these names could be about: of a source, or itself so called. */
export async function softwareNamed(
  trx: Transact,
  product: { ecosystem: string; release: string },
  names: readonly string[],
): Promise<SoftwareRow[]> {
  const rows = await trx
    .selectFrom('software')
    .select(columns)
    .where('ecosystem', '=', product.ecosystem)
    .where('release', '=', product.release)
    .where((eb) =>
      eb.or([
        eb('statement_source', '=', sql<string>`any(${names})`),
        eb('name', '=', sql<string>`any(${names})`),
      ]),
    )
    .orderBy('id')
    .execute();
  return rows.map(softwareRow);
}

export async function softwareByIds(
  trx: Transact,
  ids: readonly number[],
): Promise<(SoftwareRow & { ecosystem: string; release: string })[]> {
  const rows = await trx
    .selectFrom('software')
    .select([...columns, 'ecosystem', 'release'])
    .where('id', '=', sql<number>`any(${ids})`)
    .execute();
  return rows.map(({ ecosystem, release, ...row }) => ({ ...softwareRow(row), ecosystem, release }));
}

/** Source version that an earlier version of a package is known to have been built from, if that is known and one. */
export async function knownSourceVersion(
  trx: Transact,
  product: { ecosystem: string; release: string },
  p: { name: string; arch: string; version: string },
): Promise<{ source: string; source_version: string } | null> {
  const rows = await trx
    .selectFrom('software')
    .select(['source', 'source_version'])
    .distinct()
    .where('ecosystem', '=', product.ecosystem)
    .where('release', '=', product.release)
    .where('name', '=', p.name)
    .where('arch', '=', p.arch)
    .where('version', '=', p.version)
    .limit(2)
    .execute();
  return rows.length === 1 ? (rows[0] ?? null) : null;
}

export interface VerdictRow {
  readonly software_id: number;
  readonly vulnerability: string;
  readonly verdict: 'vulnerable' | 'undetermined';
  readonly fix_state: string;
  readonly fixed_version: string | null;
  readonly evidence: VerdictEvidence;
}

export async function verdictsOf(
  trx: Transact,
  software: readonly number[],
  /** Only of these vulnerabilities; null: of all. */
  vulnerabilities: readonly string[] | null = null,
): Promise<(VerdictRow & { since: Date })[]> {
  if (software.length === 0) return [];
  return trx
    .selectFrom('software_verdict')
    .selectAll()
    .where('software_id', '=', sql<number>`any(${software})`)
    .$if(vulnerabilities !== null, (query) =>
      query.where('vulnerability', '=', sql<string>`any(${vulnerabilities})`),
    )
    .execute();
}

/** Adds or replaces verdicts; `since` of one that was there already stays. */
export async function saveVerdicts(trx: Transact, verdicts: readonly VerdictRow[], at: Date): Promise<void> {
  for (let i = 0; i < verdicts.length; i += 5000) {
    const list = JSON.stringify(verdicts.slice(i, i + 5000));
    await sql`insert into software_verdict
      (software_id, vulnerability, verdict, fix_state, fixed_version, evidence, since)
      select x.software_id, x.vulnerability, x.verdict, x.fix_state, x.fixed_version, x.evidence, ${at}
      from jsonb_to_recordset(${list}::jsonb)
        as x(software_id integer, vulnerability text, verdict text, fix_state text, fixed_version text, evidence jsonb)
      on conflict (software_id, vulnerability) do update set verdict = excluded.verdict,
        fix_state = excluded.fix_state, fixed_version = excluded.fixed_version, evidence = excluded.evidence`.execute(
      trx,
    );
  }
}

export async function removeVerdicts(
  trx: Transact,
  verdicts: readonly { software_id: number; vulnerability: string }[],
): Promise<void> {
  if (verdicts.length === 0) return;
  await sql`delete from software_verdict v using jsonb_to_recordset(${JSON.stringify(verdicts)}::jsonb)
    as x(software_id integer, vulnerability text)
    where v.software_id = x.software_id and v.vulnerability = x.vulnerability`.execute(trx);
}
