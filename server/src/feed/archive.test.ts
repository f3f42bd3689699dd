import { readFileSync } from 'node:fs';
import { gzipSync } from 'node:zlib';
import { zipSync, strToU8 } from 'fflate';
import { describe, expect, test } from 'vitest';
import { isTar, isZip, tarEntries, zipEntries, type ArchiveEntry } from './archive.ts';
import { debianOsv } from './debian-osv/debian-osv.ts';
import type { FeedRejection } from './feed.ts';
import { openInput } from './input.ts';
import { madeUpFile, readFeed } from './recorded.ts';

const sampleZip = readFileSync(new URL('debian-osv/sample/all.zip', import.meta.url));

async function entriesOf(content: Uint8Array): Promise<(ArchiveEntry | FeedRejection)[]> {
  const input = await openInput(madeUpFile(content));
  expect(isZip(input.head) || isTar(input.head)).toBe(true);
  const entries: (ArchiveEntry | FeedRejection)[] = [];
  const read = isZip(input.head) ? zipEntries : tarEntries;
  for await (const entry of read(input, (name) => name.endsWith('.json'))) entries.push(entry);
  return entries;
}

/** A ustar archive made by hand, so that no tool has to be installed. */
function tar(files: Readonly<Record<string, string>>): Buffer {
  const blocks = Object.entries(files).flatMap(([name, content]) => {
    const header = Buffer.alloc(512);
    header.write(name, 0);
    header.write('0000644\0', 100);
    header.write(`${Buffer.byteLength(content).toString(8).padStart(11, '0')}\0`, 124);
    header.write('0', 156);
    header.write('ustar\0', 257);
    const body = Buffer.alloc(Math.ceil(Buffer.byteLength(content) / 512) * 512);
    body.write(content);
    return [header, body];
  });
  return Buffer.concat([...blocks, Buffer.alloc(1024)]);
}

describe('zip', () => {
  test('stored and deflated entries, in order; other files passed over', async () => {
    const zip = zipSync({
      'a/1.json': [strToU8('{"a":1}'), { level: 0 }],
      'README.md': strToU8('no'),
      '2.json': [strToU8('{"b":2}'.repeat(100)), { level: 9 }],
    });
    const entries = await entriesOf(zip);
    expect(
      entries.map((entry) => (entry.outcome === 'entry' ? [entry.name, entry.bytes.length] : entry)),
    ).toEqual([
      ['a/1.json', 7],
      ['2.json', 700],
    ]);
  });

  test('an entry that unpacks to more than it says is not unpacked further', async () => {
    const zip = Buffer.from(zipSync({ '1.json': [new Uint8Array(8 * 1024 * 1024), { level: 9 }] }));
    zip.writeUInt32LE(10, zip.lastIndexOf(Buffer.from([0x50, 0x4b, 1, 2])) + 24);
    expect(await entriesOf(zip)).toMatchObject([
      { code: 'entry_damaged', message: expect.stringContaining('cannot be decompressed') },
    ]);
  });

  test('entries that overlap are refused: such a zip can be made to decompress to any size', async () => {
    const zip = Buffer.from(zipSync({ '1.json': [new Uint8Array(5000), { level: 0 }] }));
    const directory = zip.lastIndexOf(Buffer.from([0x50, 0x4b, 1, 2]));
    const end = zip.lastIndexOf(Buffer.from([0x50, 0x4b, 5, 6]));
    const entry = zip.subarray(directory, end);
    const tail = Buffer.from(zip.subarray(end));
    tail.writeUInt16LE(3, 10);
    const bomb = Buffer.concat([zip.subarray(0, directory), entry, entry, entry, tail]);
    await expect(entriesOf(bomb)).rejects.toMatchObject({ code: 'zip_damaged' });
  });

  test('a damaged entry is a rejection, the others are read', async () => {
    const zip = Buffer.from(
      zipSync({ '1.json': [strToU8('{"a":1}'), { level: 0 }], '2.json': strToU8('{}') }),
    );
    zip[zip.indexOf('{"a":1}') + 5] = 0x39;
    const entries = await entriesOf(zip);
    expect(entries).toMatchObject([
      { outcome: 'rejection', code: 'entry_damaged', position: 'entry 1.json' },
      { outcome: 'entry', name: '2.json' },
    ]);
  });

  test.each([1, 100, 3000])('a zip that lacks its last %i bytes is refused', async (missing) => {
    const cut = sampleZip.subarray(0, sampleZip.length - missing);
    await expect(entriesOf(cut)).rejects.toMatchObject({ code: 'file_truncated' });
  });

  test('a damaged directory is refused', async () => {
    const zip = Buffer.from(sampleZip);
    zip.fill(0, zip.length - 300, zip.length - 200);
    await expect(entriesOf(zip)).rejects.toMatchObject({ code: 'zip_damaged' });
  });
});

describe('tar', () => {
  const record = '{"id":"CVE-2023-5363","modified":"2025-01-14T08:05:45Z"}';

  test('is read as a feed, plain or gzip', async () => {
    const archive = tar({ 'CVE/1.json': record, 'README.md': 'no', [`${'d'.repeat(80)}/2.json`]: '{' });
    for (const content of [archive, gzipSync(archive)]) {
      const { records, rejections } = await readFeed(debianOsv, madeUpFile(content));
      expect(records.map(({ id }) => id)).toEqual(['CVE-2023-5363']);
      expect(rejections).toMatchObject([
        { code: 'json_invalid', position: `entry ${'d'.repeat(80)}/2.json` },
      ]);
    }
  });

  test.each([300, 600, 1100])('a tar cut at byte %i is refused', async (length) => {
    const cut = tar({ '1.json': record, '2.json': record }).subarray(0, length);
    await expect(entriesOf(cut)).rejects.toMatchObject({ code: 'file_truncated' });
  });

  test('a gzip cut after the end mark of its tar is refused', async () => {
    const cut = gzipSync(tar({ '1.json': record })).subarray(0, -4);
    await expect(readFeed(debianOsv, madeUpFile(cut))).rejects.toMatchObject({ code: 'file_truncated' });
  });
});
