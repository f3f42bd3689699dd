import { readdirSync, rmSync, symlinkSync, utimesSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { barePoint, cleanUp, serving, temporaryFolder, upstreamServer } from './http-double.ts';

afterEach(cleanUp);

const content = Buffer.alloc(3_000_000, 'a package ');
const pool = 'pool/main/o/openssl/openssl_3.0.22_amd64.deb';
const modified = { 'last-modified': 'Mon, 02 Mar 2026 10:00:00 GMT' };
const filesIn = (folder: string): string[] =>
  readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));

describe('a disk without any room', () => {
  test('keeps nobody from what is kept, and nothing from being removed', async () => {
    const upstream = await upstreamServer();
    const folder = temporaryFolder();
    const point = await barePoint(upstream.url, folder);
    upstream.answer = serving(content, modified);
    const url = `${upstream.url}${pool}`;
    await point.get(url);
    await point.distribution.idle();
    const file = join(folder, 'distribution/index.jsonl');
    rmSync(file);
    for (const one of [file, `${file}.new`]) symlinkSync('/dev/full', one);
    expect((await point.get(url)).body.equals(content)).toBe(true);
    expect(await point.distribution.evict(0)).toBe(1);
    expect(filesIn(join(folder, 'distribution/sha256'))).toEqual([]);
    // with room again the file is whole again
    for (const one of [file, `${file}.new`]) rmSync(one, { force: true });
    await point.get(url);
    await point.distribution.idle();
    const again = await barePoint(upstream.url, folder);
    expect(await again.distribution.status()).toMatchObject({ files: 1 });
  });

  test('what nobody goes on with is cleared away while the point runs, too', async () => {
    const upstream = await upstreamServer();
    const folder = temporaryFolder();
    upstream.answer = (_, response) => {
      response.writeHead(200, { 'content-length': String(content.length), ...modified });
      response.write(content.subarray(0, 900_000), () => setTimeout(() => response.destroy(), 50));
    };
    const point = await barePoint(upstream.url, folder, { attempts: 1 });
    await expect(point.get(`${upstream.url}${pool}`)).rejects.toThrow();
    await point.distribution.idle();
    const partials = join(folder, 'distribution/partial');
    await point.distribution.sweep();
    expect(filesIn(partials)).toHaveLength(2);
    for (const one of filesIn(partials)) utimesSync(one, 0, new Date(Date.now() - 8 * 86_400_000));
    await point.distribution.sweep();
    expect(filesIn(partials)).toEqual([]);
  });
});

test('a client that takes nothing any more is let go of', async () => {
  const upstream = await upstreamServer();
  const point = await barePoint(upstream.url, temporaryFolder(), { clientPatienceMilliseconds: 200 });
  const large = Buffer.alloc(40_000_000, 'x');
  upstream.answer = serving(large, modified);
  const url = `${upstream.url}${pool}`;
  expect((await point.get(url)).body.length).toBe(large.length);
  await point.distribution.idle();
  const socket = connect(point.port, '127.0.0.1');
  socket.on('error', () => undefined);
  socket.pause();
  socket.write(`GET ${url} HTTP/1.1\r\nHost: x\r\n\r\n`);
  await vi.waitFor(() => expect(point.distribution.cache.inUse()).toHaveLength(1));
  await vi.waitFor(() => expect(point.distribution.cache.inUse()).toEqual([]), { timeout: 5_000 });
  socket.destroy();
});
