import { execFileSync } from 'node:child_process';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { newVersion } from '../deployment/fleet-double.ts';
import { getThrough, serving, temporaryFolder } from './http-double.ts';
import { basic, nearPoint, often, pointIn, ticketOf, until } from './near-double.ts';
import { findPackages, keyOf, readIndex, repositoryOfIndex } from './packages-index.ts';
import { cleanUp, distributionPoint, upstreamServer } from './point-double.ts';

afterEach(cleanUp);

const stanza = (name: string, version: string, arch = 'amd64'): string =>
  `Package: ${name}\nVersion: ${version}\nInstalled-Size: 10\nArchitecture: ${arch}\n` +
  `Filename: pool/main/o/openssl/${name}_${version}_${arch}.deb\nSize: 1000\nSHA256: ${'a'.repeat(64)}\n` +
  `Description: Package: nothing\n Version: 1\n`;
const list = [
  stanza('bash', '5.2'),
  stanza('libssl3', newVersion),
  stanza('libssl3', '9.9'),
  stanza('tzdata', '2026a', 'all'),
].join('\n');

describe('lists of packages', () => {
  test('are known by their address', () => {
    const base = 'http://m.example/debian/';
    expect(repositoryOfIndex(`${base}dists/bookworm/main/binary-amd64/Packages.xz`)).toBe(base);
    expect(
      repositoryOfIndex(
        `${base}dists/bookworm-security/updates/main/binary-all/by-hash/SHA256/${'0'.repeat(64)}`,
      ),
    ).toBe(base);
    expect(repositoryOfIndex(`${base}dists/bookworm/main/source/Sources.xz`)).toBeNull();
    expect(repositoryOfIndex(`${base}dists/bookworm/main/binary-amd64/Release`)).toBeNull();
  });

  test('say which file exactly that version is, and nothing about others', () => {
    const keys = new Set([
      keyOf({ name: 'libssl3', version: newVersion, arch: 'amd64' }),
      keyOf({ name: 'tzdata', version: '2026a', arch: 'all' }),
      keyOf({ name: 'bash', version: '5.1', arch: 'amd64' }),
    ]);
    const found = findPackages(list, 'http://m.example/debian/', keys);
    expect([...found.values()].map((file) => file.url)).toEqual([
      `http://m.example/debian/pool/main/o/openssl/libssl3_${newVersion}_amd64.deb`,
      'http://m.example/debian/pool/main/o/openssl/tzdata_2026a_all.deb',
    ]);
  });

  test('are read however they are compressed', async () => {
    const folder = temporaryFolder();
    const plain = join(folder, 'plain');
    writeFileSync(plain, list);
    const all = {
      plain: list,
      gz: gzipSync(list),
      zst: zstdCompressSync(list),
      xz: execFileSync('xz', ['--compress', '--stdout', plain]),
    };
    for (const [name, bytes] of Object.entries(all)) {
      writeFileSync(join(folder, name), bytes);
      expect([name, await readIndex(join(folder, name))]).toEqual([name, list]);
    }
    expect(await readIndex(join(folder, 'none'))).toBeNull();
  });
});

test('what a deployment needs is there before any host asks, at the server and at the point near them', async () => {
  const upstream = await upstreamServer();
  const compressed = gzipSync(list);
  const deb = Buffer.from('the package '.repeat(10_000));
  upstream.answer = (request, response) =>
    request.url?.endsWith('.deb') === true
      ? serving(deb, { etag: '"deb"' })(request, response)
      : serving(compressed, { etag: '"list"' })(request, response);
  const server = await distributionPoint(upstream.url, often);
  const { fleet } = server;
  const agent = await fleet.enrol('a-1');
  const near = await nearPoint(server);
  await server.get(`${upstream.url}dists/bookworm/main/binary-amd64/Packages.gz`);
  const deployment = await fleet.start();
  const prestaged = async () => Object((await fleet.call('GET', '/api/v1/distribution')).body.prestage);
  // openssl itself stands in no list
  await until('the server to have it', async () => (await prestaged()).ready === 1);
  expect(await prestaged()).toEqual({ wanted: 1, ready: 1, failed: 0, unresolved: 1 });
  await until(
    'the point to have it',
    async () => (await pointIn(server, near.id)).status?.prestage.ready === 1,
  );
  expect((await pointIn(server, near.id)).status?.prestage).toEqual({
    wanted: 1,
    ready: 1,
    failed: 0,
    unresolved: 1,
  });
  const asked = upstream.asked.length;
  const url = `${upstream.url}pool/main/o/openssl/libssl3_${newVersion}_amd64.deb`;
  const got = await getThrough(near.running.port, url, basic(agent.uid, await ticketOf(agent)));
  expect(got.body.equals(deb)).toBe(true);
  expect(upstream.asked).toHaveLength(asked);

  await fleet.call('POST', `/api/v1/deployments/${deployment}/actions`, { action: 'halt', reason: 'enough' });
  await until('nothing to be wanted any more', async () => (await prestaged()).wanted === 0);
});
