/**
 * A made-up fleet for measuring the posture, the same in every run: software of which some is vulnerable, popular after Zipf;
 * images that assets are copies of, each with a little drift of its own; tags by rule, list and range. It is written straight into the
 * tables by COPY, as what the server would have written for as many inventories.
 */
import { once } from 'node:events';
import { finished } from 'node:stream/promises';
import type { Pool, PoolClient } from 'pg';
import { from as copyFrom } from 'pg-copy-streams';
import { assetSet, serialise } from '@fixpoint/core/posture/asset-set.ts';

export interface FleetSize {
  readonly assets: number;
  /** Distinct versions of packages. */
  readonly software: number;
  readonly vulnerableSoftware: number;
  readonly vulnerablePerAsset: number;
  /** What an asset has beside that: nothing is known against it. */
  readonly cleanPerAsset: number;
  readonly tags: number;
  readonly images: number;
}

export const largeFleet: FleetSize = {
  assets: 1_000_000,
  software: 60_000,
  vulnerableSoftware: 9_000,
  vulnerablePerAsset: 40,
  cleanPerAsset: 60,
  tags: 300,
  images: 2_000,
};

export const quickFleet: FleetSize = { ...largeFleet, assets: 50_000, images: 500 };

/** Versions of a package, and binary packages that one source makes. */
const versions = 5;
const binaries = 2;
const driftShare = 0.05;
const teams = 100;
const sinceSeconds = 180_000_000;

/** Numbers from 0 to 1 that look random and are the same every time: a linear congruential generator modulo 2^32. */
export function numbers(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 4_294_967_296;
  };
}

/** Picks from 0 to n − 1, the first most often: the r-th in proportion to 1/r. */
export function zipf(n: number): (random: number) => number {
  const sums = new Float64Array(n);
  let sum = 0;
  for (let rank = 0; rank < n; rank++) sums[rank] = sum += 1 / (rank + 1);
  return (random) => {
    let [low, high] = [0, n - 1];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((sums[middle] ?? 0) < random * sum) low = middle + 1;
      else high = middle;
    }
    return low;
  };
}

/** Software is numbered by source, then version, then binary; ids are numbers + 1. The first are vulnerable. */
const softwareOf = (source: number, version: number, binary: number): number =>
  (source * versions + version) * binaries + binary + 1;

export async function writeFleet(pool: Pool, size: FleetSize): Promise<void> {
  const client = await pool.connect();
  try {
    await client.query("set maintenance_work_mem = '1GB'");
    await client.query('drop index asset_software');
    await writeSoftware(client, size);
    await writeAssets(client, size);
    await client.query(
      'insert into asset_contact (asset_id, last_seen_at, next_check_in_seconds) select id, now(), 60 from asset',
    );
    await client.query('create index asset_software on asset using gin (software)');
    await writeTags(client, size);
    await client.query('analyze');
  } finally {
    client.release();
  }
}

async function copy(client: PoolClient, target: string, lines: Iterable<string>): Promise<void> {
  const stream = client.query(copyFrom(`copy ${target} from stdin`));
  let text = '';
  for (const line of lines) {
    text += `${line}\n`;
    if (text.length < 1 << 18) continue;
    if (!stream.write(text)) await once(stream, 'drain');
    text = '';
  }
  stream.end(text);
  await finished(stream);
}

async function writeSoftware(client: PoolClient, size: FleetSize): Promise<void> {
  const sources = Math.ceil(size.software / versions / binaries);
  await copy(
    client,
    `software (ecosystem, release, name, version, arch, source, source_version, package, statement_source, kernel, first_seen_at)`,
    (function* () {
      for (let source = 0; source < sources; source++)
        for (let version = 0; version < versions; version++)
          for (let binary = 0; binary < binaries; binary++)
            yield [
              'debian\t12',
              `bin${binary}-${source}`,
              `1.${version}`,
              'amd64',
              `src-${source}`,
              `1.${version}`,
              `src-${source}`,
              `src-${source}`,
              'f\t2026-01-01',
            ].join('\t');
    })(),
  );
  const vulnerableSources = size.vulnerableSoftware / versions / binaries;
  const random = numbers(7);
  const cves: string[] = [];
  await copy(
    client,
    'software_verdict (software_id, vulnerability, verdict, fix_state, fixed_version, evidence, since)',
    (function* () {
      for (let source = 0; source < vulnerableSources; source++) {
        // From 1 to 12 vulnerabilities in a source; an older version has all that a newer one has.
        const count = 1 + Math.floor(random() ** 3 * 12);
        for (let n = 0; n < count; n++) {
          const cve = `CVE-2026-${100_000 + source * 20 + n}`;
          cves.push(cve);
          const affected = Math.max(1, versions - Math.floor((n * versions) / count));
          for (let version = 0; version < versions; version++) {
            if (version > 0 && version >= affected && n > 0) continue;
            for (let binary = 0; binary < binaries; binary++)
              yield [
                softwareOf(source, version, binary),
                cve,
                'vulnerable\tavailable',
                `1.${version + 1}`,
                '{"rule": "older_than_fixed_version", "sentence": "bench", "disagreements": []}',
                '2026-02-01',
              ].join('\t');
          }
        }
      }
    })(),
  );
  await client.query("insert into feed (id) values ('nvd'), ('epss') on conflict do nothing");
  await client.query(
    "insert into feed_record (feed, record, digest, raw, imported_at) values ('nvd', 'bench', '', '', now()), ('epss', 'bench', '', '', now())",
  );
  const vector = (i: number): string =>
    `CVSS:3.1/AV:N/AC:L/PR:${i % 2 === 0 ? 'N' : 'L'}/UI:N/S:U/C:${i % 3 === 0 ? 'H' : 'L'}/I:${i % 5 === 0 ? 'H' : 'N'}/A:L`;
  await copy(
    client,
    'cvss (feed, record, vulnerability, scorer, version, vector, base_score)',
    cves.map((cve, i) =>
      ['nvd', 'bench', cve, 'nvd', '3.1', vector(i), (3 + ((i * 13) % 70) / 10).toFixed(1)].join('\t'),
    ),
  );
  await copy(
    client,
    'threat (feed, record, vulnerability, threat, probability, percentile, asserted_on)',
    cves.map((cve) =>
      ['epss', 'bench', cve, 'exploit_probability', (random() ** 6).toFixed(5), '0.5', '2026-11-01'].join(
        '\t',
      ),
    ),
  );
}

interface Popularity {
  readonly from: number;
  readonly sources: number;
  readonly popular: (random: number) => number;
}

/** Software of so many sources, in one version each with both of its binaries. */
function picked(random: () => number, { from, sources, popular }: Popularity, count: number): number[] {
  const chosen = new Map<number, number>();
  while (chosen.size * binaries < count) {
    // By Zipf alone every image would have the same few: half is spread more evenly.
    const source = from + (random() < 0.5 ? popular(random()) : Math.floor(random() ** 2 * sources));
    if (!chosen.has(source)) chosen.set(source, Math.floor(random() * versions));
  }
  return [...chosen].flatMap(([source, version]) => [
    softwareOf(source, version, 0),
    softwareOf(source, version, 1),
  ]);
}

/** What each image has. */
function imagesOf(size: FleetSize): number[][] {
  const vulnerableSources = size.vulnerableSoftware / versions / binaries;
  const sources = Math.ceil(size.software / versions / binaries) - vulnerableSources;
  const vulnerable = { from: 0, sources: vulnerableSources, popular: zipf(vulnerableSources) };
  const clean = { from: vulnerableSources, sources, popular: zipf(sources) };
  return Array.from({ length: size.images }, (_, image) => {
    const random = numbers(image * 2 + 1);
    return [
      ...picked(random, vulnerable, size.vulnerablePerAsset),
      ...picked(random, clean, size.cleanPerAsset),
    ];
  });
}

async function writeAssets(client: PoolClient, size: FleetSize): Promise<void> {
  const images = imagesOf(size);
  const popularImage = zipf(size.images);
  const random = numbers(99);
  const host = (i: number): string =>
    JSON.stringify({
      hostname: `host-${i}`,
      os: 'debian',
      os_release: '12',
      os_title: 'Debian GNU/Linux 12 (bookworm)',
      arch: 'amd64',
      addresses: [`10.${(i >> 16) & 255}.${(i >> 8) & 255}.${i & 255}`],
      boot_id: `boot-${i}`,
      booted_at: '2026-11-01T00:00:00Z',
      running_kernel: '6.1.0-25-amd64',
      kernels: [],
      machine: 'physical_or_virtual',
      reboot_required: i % 50 === 0,
      reboot_required_by: [],
      held: [],
      units: [
        { name: 'ssh.service', state: 'active' },
        { name: `app-${i % 40}.service`, state: i % 97 === 0 ? 'failed' : 'active' },
      ],
    });
  await copy(
    client,
    `asset (uid, hostname, mode, os, os_release, arch, public_key, agent_version, enrolled_at, enrolled_by,
      attributes, software, since, digests, inventory_at, host)`,
    (function* () {
      for (let i = 1; i <= size.assets; i++) {
        const image = images[popularImage(random())] ?? [];
        const drifted = image.map((id) => {
          if (random() >= driftShare) return id;
          // Another version of the same binary.
          const source = Math.floor((id - 1) / binaries / versions);
          return softwareOf(source, Math.floor(random() * versions), (id - 1) % binaries);
        });
        const software = drifted.sort((a, b) => a - b);
        const at = sinceSeconds + Math.floor(random() * 20_000_000);
        yield [
          `00000000-0000-4000-8000-${i.toString(16).padStart(12, '0')}`,
          `${['web', 'db', 'app', 'cache'][i % 4]}-${i}`,
          'manage\tdebian\t12\tamd64',
          `key-${i}`,
          '0.1.0\t2026-01-01\tbench',
          JSON.stringify({
            team: `team-${Math.floor(random() ** 2 * teams)}`,
            stage: i % 5 === 0 ? 'production' : 'test',
          }),
          `{${software.join()}}`,
          `{${software.map((_, n) => (n % 9 === 0 ? at : sinceSeconds)).join()}}`,
          '{"packages": "", "candidates": "", "host": "", "residue": ""}',
          '2026-11-20',
          host(i),
        ].join('\t');
      }
    })(),
  );
}

/** One tag for everything, others by team, stage, name, address, package and risk; every tenth is a list. */
async function writeTags(client: PoolClient, size: FleetSize): Promise<void> {
  const empty = Buffer.from(serialise(assetSet()));
  const random = numbers(5);
  for (let n = 0; n < size.tags; n++) {
    const rules = [
      `attribute.team = team-${n % teams}`,
      `attribute.team = team-${n % teams} and attribute.stage = production`,
      `hostname = ${['web', 'db', 'app', 'cache'][n % 4]}-${1 + (n % 9)}*`,
      `package.name = bin0-${n}`,
      `unit = app-${n % 40}.service`,
      `has package (name = bin1-${n} and version < 1.3)`,
      `reboot_required and attribute.team = team-${n % teams}`,
      `open_findings > ${n % 200}`,
    ];
    const isList = n % 10 === 9;
    const isRange = n % 10 === 8;
    const rule = n === 0 ? 'os = debian' : n === 1 ? 'attribute.stage = production' : rules[n % rules.length];
    const share = 1 / (n + 1);
    const members = isList
      ? Buffer.from(
          serialise(
            assetSet(
              Array.from(
                { length: Math.ceil(size.assets * share) },
                () => 1 + Math.floor(random() * size.assets),
              ),
            ),
          ),
        )
      : empty;
    await client.query(
      `insert into tag (id, name, kind, rule, ranges, members, members_at, created_by, created_at, updated_at)
       values (gen_random_uuid(), $1, $2, $3, $4, $5, now(), 'bench', now(), now())`,
      [
        `tag-${n}`,
        isList ? 'list' : isRange ? 'ranges' : 'rule',
        isList || isRange ? null : rule,
        isRange ? [`10.${n % 16}.0.0/16`] : null,
        members,
      ],
    );
  }
}
