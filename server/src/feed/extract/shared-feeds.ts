/**
 * The public snapshots that tests, benchmarks and build.ts read when they lie beside the repository (`../shared/feeds`);
 * the product does not. A mirror's own layout is turned into the published one here, so that importers know only that.
 */
import { execFileSync } from 'node:child_process';
import { createReadStream, existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { Readable } from 'node:stream';
import { createZstdDecompress } from 'node:zlib';
import { tarEntries } from '../archive.ts';
import { FeedFormatError, type FeedFile } from '../feed.ts';
import { linesOf, openInput } from '../input.ts';

const folder = resolve(import.meta.dirname, '../../../../../shared/feeds');

/** Why tests of full data are skipped, or null when the data is there. */
export const sharedFeedsMissing: string | null = existsSync(folder)
  ? null
  : 'SKIPPED: the public snapshots are not at ../shared/feeds beside the repository';

export function sharedPath(path: string): string {
  return resolve(folder, path);
}

/** A file as it lies there, plain or gzip. */
export function sharedFile(path: string): FeedFile {
  return { name: path, bytes: createReadStream(sharedPath(path)) };
}

export function zstdFile(path: string): FeedFile {
  const bytes = createReadStream(sharedPath(path)).pipe(createZstdDecompress());
  return { name: path, bytes };
}

export function debianOsvFiles(): FeedFile[] {
  return [
    zstdFile('debian-osv/dsa-dla.tar.zst'),
    zstdFile('debian-osv/cve-debian12-open-or-fixed-in-12.tar.zst'),
  ];
}

export function changelogFile(): FeedFile {
  // Node has no xz; the file is 2 MB once decompressed.
  const path = sharedPath('debian12-changelogs/bookworm-changelog-entries.txt.xz');
  const text = execFileSync('xz', ['-dc', path], { maxBuffer: 64 * 1024 * 1024 });
  return { name: 'bookworm-changelog-entries.txt', bytes: Readable.from([text]) };
}

/** The mirror's files by year (`CVE;epss;percentile`) as FIRST publishes them. `day` is the day of the snapshot. */
export function epssFile(day: string): FeedFile {
  async function* published(): AsyncGenerator<Uint8Array> {
    yield Buffer.from(`#model_version:v2025.03.14,score_date:${day}T00:00:00+0000\ncve,epss,percentile\n`);
    const input = await openInput(zstdFile(`epss/epss-${day}.tar.zst`));
    for await (const entry of tarEntries(input, (name) => name.endsWith('_EPSS.csv'))) {
      if (entry.outcome === 'rejection')
        throw new FeedFormatError(entry.code, entry.message, 'Check the snapshot.');
      const text = Buffer.from(entry.bytes).toString('latin1');
      yield Buffer.from(`${text.trimEnd().replaceAll(';', ',')}\n`);
    }
  }
  return { name: `epss_scores-${day}.csv`, bytes: published() };
}

const exploitColumns =
  'id,file,description,date_published,author,type,platform,port,date_added,date_updated,verified,codes,tags,aliases,screenshot_url,application_url,source_url';

/** The mirror's JSON lines as the table that Exploit-DB publishes. */
export function exploitDbFile(): FeedFile {
  async function* published(): AsyncGenerator<Uint8Array> {
    yield Buffer.from(`${exploitColumns}\n`);
    const input = await openInput(zstdFile('exploit-maturity/exploitdb-exploits.jsonl.zst'));
    for await (const { text } of linesOf(input)) {
      const row: Readonly<Record<string, string>> = JSON.parse(text);
      const values = exploitColumns.split(',').map((column) => {
        const value = row[column] ?? '';
        return /[",\r\n]/u.test(value) ? `"${value.replaceAll('"', '""')}"` : value;
      });
      yield Buffer.from(`${values.join(',')}\n`);
    }
  }
  return { name: 'files_exploits.csv', bytes: published() };
}

/** As `vulsio/msfdb-list` writes a module, once for each CVE that it names. */
interface MirroredModule {
  readonly Title: string;
  readonly CveIDs: readonly string[];
  readonly References: readonly string[];
}

/**
 * The mirror's files by CVE as Rapid7's list of modules. It leaves out the days: `disclosure_date` is null, and `mod_time`
 * is the day of the snapshot.
 */
export function metasploitFile(): FeedFile {
  const prefix = 'https://github.com/rapid7/metasploit-framework/blob/master';
  async function* published(): AsyncGenerator<Uint8Array> {
    const modules: Record<string, object> = {};
    const input = await openInput(zstdFile('exploit-maturity/metasploit-by-cve.tar.zst'));
    for await (const entry of tarEntries(input, (name) => name.endsWith('.json'))) {
      if (entry.outcome === 'rejection')
        throw new FeedFormatError(entry.code, entry.message, 'Check the snapshot.');
      const mirrored: MirroredModule[] = JSON.parse(Buffer.from(entry.bytes).toString('utf8'));
      for (const { Title, CveIDs, References } of mirrored) {
        const path = References.findLast((url) => url.startsWith(`${prefix}/modules/`))?.slice(prefix.length);
        if (path === undefined) throw new Error(`${Title} has no path`);
        const [, kind = '', rest = ''] = /^\/modules\/([a-z]+)\/(.+)\.[a-z]+$/u.exec(path) ?? [];
        const type = kind.replace(/s$/u, '');
        modules[`${type}_${rest}`] = {
          name: Title,
          fullname: `${type}/${rest}`,
          disclosure_date: null,
          type,
          references: CveIDs,
          mod_time: '2026-08-07 00:00:00 +0000',
          path,
        };
      }
    }
    yield Buffer.from(JSON.stringify(modules, null, 2));
  }
  return { name: 'modules_metadata_base.json', bytes: published() };
}
