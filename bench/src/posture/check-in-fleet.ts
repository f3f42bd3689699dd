/** A fleet for measuring check-ins: assets that are copies of images, of software of which some is vulnerable. */
import { sql, type Kysely } from 'kysely';
import { digestJson, packagesDigest } from '@fixpoint/core/inventory/digest.ts';
import type { HostFacts, InstalledPackage, InventoryDigests } from '@fixpoint/core/inventory/inventory.ts';
import type { Database } from '@fixpoint/server/database/tables.ts';

export interface FleetSize {
  readonly assets: number;
  readonly packages: number;
  readonly packagesPerAsset: number;
  readonly images: number;
}

/** Versions of each package; a host that is patched goes from one to the next. */
export const versionsPerPackage = 6;

export interface CheckInFleet {
  readonly size: FleetSize;
  /** Parallel: id and uid of each asset. */
  readonly ids: readonly number[];
  readonly uids: readonly string[];
  readonly packagesOf: (asset: number) => InstalledPackage[];
  readonly digestsOf: (asset: number) => InventoryDigests;
}

export const benchHost: HostFacts = {
  hostname: 'host',
  os: 'debian',
  os_release: '12',
  os_title: 'Debian GNU/Linux 12 (bookworm)',
  arch: 'amd64',
  addresses: ['192.0.2.1', '2001:db8::1'],
  boot_id: '5c3a7c7e-0c2b-4b7e-9d8f-3f1f9b7c2d10',
  booted_at: '2026-11-01T00:00:00.000Z',
  running_kernel: '6.1.0-25-amd64',
  kernels: [],
  machine: 'container',
  reboot_required: false,
  reboot_required_by: [],
  held: [],
  units: Array.from({ length: 40 }, (_, i) => ({ name: `unit-${String(i)}.service`, state: 'active' })),
};

const candidatesPerAsset = 20;
export const packageAt = (number: number, version: number): InstalledPackage => ({
  name: `package-${String(number)}`,
  arch: 'amd64',
  version: `1.${String(version)}.0-1+deb12u1`,
  source: `package-${String(number)}`,
  source_version: `1.${String(version)}.0-1+deb12u1`,
});

/** Which packages an image has, the same in every run: some are everywhere, most on few. */
function imagePackages(image: number, size: FleetSize): number[] {
  const chosen = new Set<number>();
  for (let i = 0; chosen.size < size.packagesPerAsset; i++) {
    const spread = ((image * 7919 + i * 104_729) % 100_003) / 100_003;
    chosen.add(Math.floor(spread ** 3 * size.packages));
  }
  return [...chosen].sort((a, b) => a - b);
}

const imageVersion = (image: number, number: number): number => (image + number) % (versionsPerPackage - 1);

/** Writes the fleet straight into the tables. The software ids follow from package and version. */
export async function makeFleet(db: Kysely<Database>, size: FleetSize): Promise<CheckInFleet> {
  await sql`insert into software (ecosystem, release, name, version, arch, source, source_version, package, statement_source,
      kernel, first_seen_at)
    select 'debian', '12', 'package-' || p, '1.' || v || '.0-1+deb12u1', 'amd64', 'package-' || p, '1.' || v || '.0-1+deb12u1',
      'package-' || p, 'package-' || p, false, '2026-01-01'
    from generate_series(0, ${size.packages - 1}::int) p cross join generate_series(0, ${versionsPerPackage - 1}::int) v
    order by p, v`.execute(db);
  // Older versions of one package in six are vulnerable, to two or three each; the newest is not.
  await sql`insert into software_verdict (software_id, vulnerability, verdict, fix_state, fixed_version, evidence, since)
    select s.id, 'CVE-2026-' || (100000 + (split_part(s.name, '-', 2)::int * 3 + n)), 'vulnerable', 'released', '1.5.0-1+deb12u1',
      '{"sentence": "bench", "disagreements": []}', '2026-01-01'
    from software s cross join generate_series(0, 2) n
    where split_part(s.name, '-', 2)::int % 6 = 0 and split_part(s.version, '.', 2)::int + n < 5`.execute(db);
  const { rows: known } = await sql<{ id: number; number: number; version: number }>`
    select id, split_part(name, '-', 2)::int as number, split_part(version, '.', 2)::int as version from software`.execute(
    db,
  );
  const idOf = new Map(known.map((row) => [row.number * versionsPerPackage + row.version, row.id]));
  const images = Array.from({ length: size.images }, (_, image) => {
    const packages = imagePackages(image, size).map((number) =>
      packageAt(number, imageVersion(image, number)),
    );
    const ids = imagePackages(image, size).map(
      (number) => idOf.get(number * versionsPerPackage + imageVersion(image, number)) ?? 0,
    );
    const candidates = packages.slice(0, candidatesPerAsset).map((one) => ({
      ...one,
      version: '1.5.0-1+deb12u1',
      source_version: '1.5.0-1+deb12u1',
      repository: 'bookworm-security/main',
      download_bytes: 100_000,
    }));
    const digests: InventoryDigests = {
      packages: packagesDigest(packages),
      candidates: digestJson(candidates),
      host: digestJson(benchHost),
      residue: digestJson([]),
    };
    return { packages, digests, candidates: JSON.stringify(candidates), ids: ids.toSorted((a, b) => a - b) };
  });
  const list = JSON.stringify(
    images.map(({ ids, digests, candidates }) => ({ ids, digests, candidates: JSON.parse(candidates) })),
  );
  const { rows } = await sql<{ id: number; uid: string }>`
    with image as materialized (
      select ordinal - 1 as image, array(select jsonb_array_elements_text(value -> 'ids')::int) as ids, value -> 'digests' as digests,
        value -> 'candidates' as candidates
      from jsonb_array_elements(${list}::jsonb) with ordinality as x(value, ordinal)
    )
    insert into asset (uid, hostname, mode, os, os_release, arch, public_key, agent_version, enrolled_at, enrolled_by, software,
      since, digests, inventory_at, host, candidates)
    select gen_random_uuid(), 'host', 'assess', 'debian', '12', 'amd64', 'key-' || n, '0.1.0', now(), 'bench', image.ids,
      array_fill(0, array[cardinality(image.ids)]), image.digests, now(), ${JSON.stringify(benchHost)}::jsonb, image.candidates
    from generate_series(0, ${size.assets - 1}::int) n join image on image.image = n % ${size.images}::int
    order by n returning id, uid`.execute(db);
  rows.sort((a, b) => a.id - b.id);
  await sql`insert into asset_exposure (asset_id, inert, stale_software, stale_since, stale_kind, stale_reason, undetermined)
    select id, '{}', '{}', '{}', '{}', '{}', '[]' from asset`.execute(db);
  await sql`vacuum analyze`.execute(db);
  const image = (asset: number) => {
    const found = images[asset % size.images];
    if (found === undefined) throw new Error('there is no such image');
    return found;
  };
  return {
    size,
    ids: rows.map((row) => row.id),
    uids: rows.map((row) => row.uid),
    packagesOf: (asset) => image(asset).packages,
    digestsOf: (asset) => image(asset).digests,
  };
}
