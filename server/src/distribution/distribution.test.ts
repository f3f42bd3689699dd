import { createHash } from 'node:crypto';
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { request as httpRequest } from 'node:http';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { serving } from './http-double.ts';
import { afterTest, cleanUp, distributionPoint, upstreamServer } from './point-double.ts';

afterEach(cleanUp);

const content = Buffer.from('a package, as far as HTTP is concerned. '.repeat(50_000));
const pool = 'pool/main/o/openssl/openssl_3.0.22_amd64.deb';
const filesIn = (folder: string): string[] =>
  readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));

describe('who may fetch what', () => {
  test('only enrolled assets, only GET and HEAD, only configured repositories, no tunnels; the API is there as before', async () => {
    const upstream = await upstreamServer();
    upstream.answer = serving(content);
    const point = await distributionPoint(upstream.url);
    const url = `${upstream.url}${pool}`;
    const stranger = await point.get(url, { 'proxy-authorization': 'Basic bm9ib2R5Om5vdGhpbmc=' });
    expect([stranger.status, stranger.headers['proxy-authenticate']]).toEqual([
      407,
      'Basic realm="fixpoint"',
    ]);
    expect((await point.get(url, {}, 'POST')).status).toBe(405);
    for (const elsewhere of [
      'http://169.254.169.254/latest/meta-data/',
      `http://127.0.0.1:${String(point.port)}/api/v1/assets`,
      new URL('/private', upstream.url).href,
      `${upstream.url}../private`,
      `${upstream.url}%2e%2e/private`,
      `${upstream.url}a%2f..%2f..%2fprivate`,
      `${upstream.url.replace('http:', 'https:')}${pool}`,
      `${upstream.url.replace('127.0.0.1', 'user:word@127.0.0.1')}${pool}`,
    ]) {
      const { status, body } = await point.get(elsewhere);
      expect([elsewhere, status]).toEqual([elsewhere, 403]);
      expect(body.toString()).toContain('repository_not_configured');
    }
    expect(upstream.asked).toEqual([]);
    const tunnel = await new Promise<string>((resolve) => {
      const socket = connect(point.port, '127.0.0.1', () =>
        socket.write('CONNECT example.org:443 HTTP/1.1\r\nHost: example.org\r\n\r\n'),
      );
      let text = '';
      socket.on('data', (chunk) => (text += chunk.toString()));
      socket.on('close', () => resolve(text));
    });
    expect(tunnel).toMatch(/^HTTP\/1\.1 405 /u);
    expect((await point.get('/health')).status).not.toBe(403);
    expect((await point.get('/api/v1/distribution', point.fleet.operator)).status).toBe(200);
  });

  test('a redirect is followed to a configured repository and nowhere else', async () => {
    const upstream = await upstreamServer();
    const point = await distributionPoint(upstream.url);
    upstream.answer = (request, response) => {
      if (request.url === `/debian/${pool}`) return serving(content)(request, response);
      const to =
        request.url?.includes('inside') === true ? `/debian/${pool}` : 'http://169.254.169.254/secret.deb';
      response.writeHead(302, { location: to }).end();
    };
    expect((await point.get(`${upstream.url}pool/inside.deb`)).body.equals(content)).toBe(true);
    const outside = await point.get(`${upstream.url}pool/outside.deb`);
    expect([outside.status, outside.body.toString()]).toEqual([
      502,
      expect.stringContaining('redirect_not_allowed'),
    ]);
  });
});

describe('the cache', () => {
  test('concurrent requests for one file fetch it once; equal content is kept once', async () => {
    const upstream = await upstreamServer();
    const point = await distributionPoint(upstream.url);
    upstream.answer = (request, response) => {
      setTimeout(() => serving(content)(request, response), 50);
    };
    const all = await Promise.all(Array.from({ length: 20 }, () => point.get(`${upstream.url}${pool}`)));
    expect(all.every((one) => one.status === 200 && one.body.equals(content))).toBe(true);
    expect(upstream.asked).toHaveLength(1);
    expect((await point.get(`${upstream.url}pool/same.deb`)).body.equals(content)).toBe(true);
    await point.kept(1);
    await point.get(`${upstream.url}${pool}`);
    expect(upstream.asked).toHaveLength(2);
    expect(filesIn(join(point.folder, 'distribution'))).toHaveLength(1);
    const { body } = await point.fleet.call('GET', '/api/v1/distribution');
    expect(body).toMatchObject({ files: 1, bytes: content.length, fetched_bytes: 2 * content.length });
    expect(Number(body.served_bytes)).toBe(22 * content.length);
  });

  test('what arrives is passed on before all of it is here', { timeout: 60_000 }, async () => {
    const upstream = await upstreamServer();
    const point = await distributionPoint(upstream.url);
    let finish = (): void => undefined;
    upstream.answer = (_, response) => {
      response.writeHead(200, { 'content-length': String(content.length) });
      response.write(content.subarray(0, 1000));
      finish = () => response.end(content.subarray(1000));
    };
    const first = await new Promise<Buffer>((resolve, reject) => {
      const asked = httpRequest(
        {
          host: '127.0.0.1',
          port: point.port,
          agent: false,
          path: `${upstream.url}${pool}`,
          headers: { 'proxy-authorization': `Basic ${Buffer.from(point.credentials).toString('base64')}` },
        },
        (response) => {
          response.once('data', resolve).resume();
          response.on('error', () => undefined);
        },
      );
      asked.on('error', reject);
      asked.end();
    });
    expect(first.length).toBeLessThanOrEqual(1000);
    finish();
  });

  test('a partial download never enters the cache, and the asset notices', async () => {
    const upstream = await upstreamServer();
    const point = await distributionPoint(upstream.url);
    upstream.answer = (_, response) => {
      response.writeHead(200, { 'content-length': String(content.length) });
      response.write(content.subarray(0, 70_000), () => response.destroy());
    };
    // either refused, or cut off after the part that came
    const outcome = await point.get(`${upstream.url}${pool}`).then(
      (one) => one.status,
      () => 'cut off',
    );
    expect(outcome).not.toBe(200);
    upstream.answer = serving(content);
    expect((await point.get(`${upstream.url}${pool}`)).body.equals(content)).toBe(true);
    expect(filesIn(join(point.folder, 'distribution'))).toHaveLength(1);
  });

  test('a poisoned file is found out before it is served, and fetched again', async () => {
    const upstream = await upstreamServer();
    upstream.answer = serving(content);
    const point = await distributionPoint(upstream.url);
    await point.get(`${upstream.url}${pool}`);
    await point.kept(1);
    const [file] = filesIn(join(point.folder, 'distribution'));
    if (file === undefined) throw new Error('nothing is kept');
    const { atime, mtime } = statSync(file);
    const poisoned = Buffer.from(content);
    poisoned.write('EVIL', 100);
    chmodSync(file, 0o600);
    writeFileSync(file, poisoned);
    utimesSync(file, atime, mtime);
    const again = await point.get(`${upstream.url}${pool}`);
    expect(again.body.equals(content)).toBe(true);
    expect(upstream.asked).toHaveLength(2);
    expect((await point.fleet.call('GET', '/api/v1/distribution')).body.damaged).toBe(1);
  });

  test('an index is revalidated each time; when the repository is away the kept one is served, with a warning', async () => {
    const upstream = await upstreamServer();
    const point = await distributionPoint(upstream.url);
    const url = `${upstream.url}dists/bookworm/InRelease`;
    upstream.answer = serving(Buffer.from('one'), {
      etag: '"1"',
      'last-modified': 'Mon, 02 Mar 2026 10:00:00 GMT',
    });
    expect((await point.get(url)).body.toString()).toBe('one');
    await point.kept(1);
    expect((await point.get(url)).body.toString()).toBe('one');
    expect(upstream.asked.map((one) => one.headers['if-none-match'])).toEqual([undefined, '"1"']);
    const unchanged = await point.get(url, { 'if-modified-since': 'Mon, 02 Mar 2026 10:00:00 GMT' });
    expect([unchanged.status, unchanged.body.length]).toEqual([304, 0]);
    upstream.answer = serving(Buffer.from('two'), {
      etag: '"2"',
      'last-modified': 'Mon, 02 Mar 2026 11:00:00 GMT',
    });
    expect(
      (await point.get(url, { 'if-modified-since': 'Mon, 02 Mar 2026 10:00:00 GMT' })).body.toString(),
    ).toBe('two');
    await point.kept(1);
    upstream.answer = (_, response) => response.writeHead(503).end();
    const stale = await point.get(url);
    expect([stale.status, stale.headers.warning, stale.body.toString()]).toEqual([
      200,
      '111 fixpoint "Revalidation Failed"',
      'two',
    ]);
    await upstream.stop();
    expect((await point.get(url)).body.toString()).toBe('two');
    const missing = await point.get(`${upstream.url}dists/bookworm/Release.gpg`);
    expect([missing.status, missing.body.toString()]).toEqual([
      504,
      expect.stringContaining('repository_unreachable'),
    ]);
  });

  test('ranges of kept files; 404 is passed on and forgotten; by-hash must be what its name says', async () => {
    const upstream = await upstreamServer();
    const point = await distributionPoint(upstream.url);
    const url = `${upstream.url}${pool}`;
    expect((await point.get(url)).status).toBe(404);
    const modified = 'Mon, 02 Mar 2026 10:00:00 GMT';
    upstream.answer = serving(content, { 'last-modified': modified });
    expect((await point.get(url)).status).toBe(200);
    const rest = await point.get(url, { range: 'bytes=1999000-', 'if-range': modified });
    expect([rest.status, rest.headers['content-range']]).toEqual([206, `bytes 1999000-1999999/2000000`]);
    expect(rest.body.equals(content.subarray(1_999_000))).toBe(true);
    expect(
      (await point.get(url, { range: 'bytes=5-', 'if-range': 'Mon, 02 Mar 2026 09:00:00 GMT' })).status,
    ).toBe(200);
    expect((await point.get(url, { range: 'bytes=2000000-' })).status).toBe(416);
    expect((await point.get(url, {}, 'HEAD')).headers['content-length']).toBe('2000000');

    const right = createHash('sha256').update(content).digest('hex');
    expect((await point.get(`${upstream.url}dists/b/by-hash/SHA256/${right}`)).body.equals(content)).toBe(
      true,
    );
    const wrong = '0'.repeat(64);
    await point.get(`${upstream.url}dists/b/by-hash/SHA256/${wrong}`).catch(() => undefined);
    const before = upstream.asked.length;
    await point.get(`${upstream.url}dists/b/by-hash/SHA256/${wrong}`).catch(() => undefined);
    expect(upstream.asked.length, 'not kept').toBe(before + 1);
  });
});

describe('a folder as repository', () => {
  test('is served as it is, and nothing outside of it', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'fixpoint-repository-'));
    afterTest(() => rmSync(folder, { recursive: true, force: true }));
    mkdirSync(join(folder, 'pool'));
    writeFileSync(join(folder, 'pool/one.deb'), 'one');
    symlinkSync('/etc/passwd', join(folder, 'pool/out.deb'));
    const point = await distributionPoint(`http://lab.example/debian/=file://${folder}`);
    expect((await point.get('http://lab.example/debian/pool/one.deb')).body.toString()).toBe('one');
    writeFileSync(join(folder, 'pool/one.deb'), 'two');
    expect((await point.get('http://lab.example/debian/pool/one.deb')).body.toString()).toBe('two');
    expect((await point.get('http://lab.example/debian/pool/out.deb')).status).toBe(404);
    expect((await point.get('http://lab.example/debian/pool/')).status).toBe(404);
    expect((await point.get('http://lab.example/debian/%2e%2e/%2e%2e/etc/passwd')).status).toBe(403);
  });
});
