import { createHash } from 'node:crypto';
import { createServer } from 'node:http';
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { FeedFetchError } from '../feed/feed.ts';
import { withoutSecrets } from '../http-client.ts';
import { digester } from './checksum.ts';
import { download, retryAfter, type Downloaded, type DownloadParts } from './download.ts';
import { feedFiles, KeptFileDamaged, type FeedFiles } from './files.ts';
import { cutAfter, publisher, type Publisher } from './publisher-double.ts';

let folder: string;
let files: FeedFiles;
let from: Publisher;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'fixpoint-download-'));
  files = feedFiles(folder);
  from = await publisher();
});
afterEach(async () => {
  await from.close();
  await rm(folder, { recursive: true });
});

const content = Buffer.from(Array.from({ length: 300_000 }, (_, i) => (i * 7919) % 251));
const sha256 = createHash('sha256').update(content).digest('hex');
const limits = { maximumBytes: 1_000_000, totalSeconds: 20, idleSeconds: 5 };

async function get(
  path: string,
  known: Downloaded | null = null,
  changes: Partial<DownloadParts> = {},
  checksumUrl?: string,
) {
  const parts: DownloadParts = { files, limits, now: () => new Date('2026-03-02T10:00:00Z'), ...changes };
  return await download({ url: `${from.url}${path}`, known, checksumUrl }, parts);
}
async function refusal(path: string, changes: Partial<DownloadParts> = {}, known: Downloaded | null = null) {
  const error: unknown = await get(path, known, changes).then(
    () => null,
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof FeedFetchError)) throw new Error(`not refused: ${String(error)}`);
  expect(error.whatToDo).not.toBe('');
  return error;
}
async function read(hash: string): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of files.read(hash)) chunks.push(chunk);
  return Buffer.concat(chunks);
}
const leftovers = () => readdir(join(folder, 'feeds', 'partial'));

describe('a file that has not changed', () => {
  test('costs nothing the second time, by ETag and by date', async () => {
    from.publish('/tagged', content);
    from.publish('/dated', content, { etag: null });
    for (const path of ['/tagged', '/dated']) {
      const first = await get(path);
      expect(first).toMatchObject({
        notModified: false,
        transferred: 300_000,
        file: { sha256, bytes: 300_000 },
      });
      const before = from.sent();
      expect(await get(path, first.file)).toMatchObject({
        notModified: true,
        transferred: 0,
        file: { sha256 },
      });
      expect(from.sent()).toBe(before);
    }
    expect((await read(sha256)).equals(content)).toBe(true);
    expect(await leftovers()).toEqual([]);
  });
  test('is asked for without condition when it is no longer on disk, and changed on disk it is found out', async () => {
    from.publish('/f', content);
    const { file } = await get('/f');
    const path = join(folder, 'feeds', 'sha256', sha256.slice(0, 2), sha256);
    await rm(path);
    expect(await get('/f', file)).toMatchObject({ notModified: false, transferred: 300_000 });
    await writeFile(path, Buffer.alloc(300_000));
    await expect(read(sha256)).rejects.toBeInstanceOf(KeptFileDamaged);
    expect(await files.has(sha256, 300_000)).toBe(false);
  });
});

describe('a download that is cut', () => {
  const etag = '"v1"';
  test('goes on by itself, and fetches only the rest', async () => {
    from.publish('/f', content, { etag });
    from.behave('/f', (request, response, nth) => {
      if (nth === 1) cutAfter(content, 100_000, { etag })(request, response, nth);
      else {
        from.behave('/f', null);
        expect(request.headers).toMatchObject({ range: 'bytes=100000-', 'if-range': etag });
        const rest = content.subarray(100_000);
        response
          .writeHead(206, { etag, 'content-range': 'bytes 100000-299999/300000', 'content-length': '200000' })
          .end(rest);
      }
    });
    expect(await get('/f')).toMatchObject({ transferred: 300_000, file: { sha256 } });
    expect((await read(sha256)).equals(content)).toBe(true);
  });
  test('and never gets further is refused; another process goes on days later with the rest', async () => {
    from.publish('/f', content, { etag });
    from.behave('/f', (request, response, nth) => {
      if (nth === 1) cutAfter(content, 150_000, { etag })(request, response, nth);
      else response.destroy();
    });
    expect((await refusal('/f')).code).toMatch(/^(download_cut|unreachable)$/);
    from.behave('/f', null);
    files = feedFiles(folder);
    const before = from.sent();
    expect(await get('/f')).toMatchObject({ file: { sha256 } });
    expect(from.sent() - before).toBe(150_000);
  });
  test('begins at the beginning when the publisher has changed the file in between', async () => {
    const newer = Buffer.from(content).fill(7, 0, 1000);
    from.publish('/f', newer, { etag: '"v2"' });
    from.behave('/f', (request, response, nth) => {
      cutAfter(content, 100_000, { etag })(request, response, nth);
      from.behave('/f', null);
    });
    const { file } = await get('/f');
    expect(file).toMatchObject({ etag: '"v2"', sha256: createHash('sha256').update(newer).digest('hex') });
  });
  test('is not glued to a part of another version, even where a server says 206 all the same', async () => {
    from.publish('/f', content, { etag: '"v2"' });
    from.behave('/f', (request, response, nth) => {
      if (nth === 1) cutAfter(Buffer.alloc(300_000), 100_000, { etag })(request, response, nth);
      else {
        from.behave('/f', null);
        const range = { 'content-range': 'bytes 100000-299999/300000', 'content-length': '200000' };
        response.writeHead(206, { etag: '"v2"', ...range }).end(content.subarray(100_000));
      }
    });
    expect(await get('/f')).toMatchObject({ file: { sha256 } });
  });
  test('with nothing that names its version begins at the beginning', async () => {
    from.publish('/f', content, { etag: 'W/"weak"' });
    from.behave('/f', (request, response, nth) => {
      cutAfter(content, 100_000, { etag: 'W/"weak"' })(request, response, nth);
      from.behave('/f', null);
    });
    expect(await get('/f')).toMatchObject({ transferred: 400_000, file: { sha256 } });
    expect(from.asked.at(-1)?.headers.range).toBeUndefined();
  });
  test('a part that is as long as the file is thrown away (416)', async () => {
    from.publish('/f', content.subarray(0, 100_000), { etag });
    from.behave('/f', (request, response, nth) => {
      cutAfter(content, 100_000, { etag })(request, response, nth);
      from.behave('/f', null);
    });
    expect((await get('/f')).file.bytes).toBe(100_000);
  });
  test('a length that is a lie is never taken for a whole file', async () => {
    from.behave('/f', (_request, response) => {
      response.writeHead(200, { 'content-length': '500000', etag });
      response.write(content, () => {
        setTimeout(() => response.destroy(), 20);
      });
    });
    expect((await refusal('/f')).code).toBe('download_cut');
    expect(await files.has(sha256, 300_000)).toBe(false);
  });
});

describe('limits', () => {
  test('of size, announced and not', async () => {
    from.publish('/announced', Buffer.alloc(1_000_001));
    expect((await refusal('/announced')).code).toBe('download_too_large');
    from.behave('/endless', (_request, response) => {
      response.writeHead(200);
      const more = (): void => {
        if (!response.destroyed) response.write(Buffer.alloc(65_536), () => setImmediate(more));
      };
      more();
    });
    expect((await refusal('/endless')).code).toBe('download_too_large');
    expect(await leftovers()).toEqual([]);
  });
  test('of silence: before the answer, and within the body', async () => {
    const impatient = { limits: { ...limits, idleSeconds: 0.2 } };
    from.behave('/mute', () => undefined);
    expect((await refusal('/mute', impatient)).code).toBe('idle_timeout');
    from.behave('/stuck', (_request, response) => {
      response.writeHead(200, { 'content-length': '300000' });
      response.write(content.subarray(0, 1000));
    });
    expect((await refusal('/stuck', impatient)).code).toMatch(/^(idle_timeout|download_cut)$/);
  });
  test('of time, for one that sends a byte now and then', async () => {
    from.behave('/drip', (_request, response) => {
      response.writeHead(200, { 'content-length': '300000' });
      const timer = setInterval(() => response.write('x'), 50);
      response.on('close', () => clearInterval(timer));
    });
    const error = await refusal('/drip', { limits: { ...limits, totalSeconds: 0.5 } });
    expect(error.code).toBe('download_timeout');
  });
  test('whoever ends it is told so, and the part stays', async () => {
    const stop = new AbortController();
    from.behave('/f', (_request, response) => {
      response.writeHead(200, { 'content-length': '300000', etag: '"v1"' });
      response.write(content.subarray(0, 1000), () =>
        setTimeout(() => stop.abort(new Error('stopping')), 50),
      );
    });
    await expect(get('/f', null, { signal: stop.signal })).rejects.toThrow('stopping');
    expect(await leftovers()).toHaveLength(2);
  });
});

describe('an answer that is no file', () => {
  test.each([
    [500, {}, 'publisher_failed', null],
    [503, { 'retry-after': '120' }, 'publisher_failed', 120],
    [429, { 'retry-after': 'Mon, 02 Mar 2026 10:05:00 GMT' }, 'publisher_asks_for_patience', 300],
    [403, {}, 'access_denied', null],
    [404, {}, 'file_not_found', null],
    [304, {}, 'answer_unexpected', null],
    [204, {}, 'answer_unexpected', null],
    [206, { 'content-range': 'bytes 5-9/10' }, 'answer_unexpected', null],
  ] as const)('%i %j is %s', async (status, headers, code, retryAfterSeconds) => {
    from.behave('/f', (_request, response) => response.writeHead(status, headers).end());
    expect(await refusal('/f')).toMatchObject({ code, retryAfterSeconds });
  });
  test('a publisher that is not there', async () => {
    const gone = await publisher();
    await gone.close();
    const parts: DownloadParts = { files, limits, now: () => new Date(0) };
    await expect(download({ url: gone.url, known: null }, parts)).rejects.toMatchObject({
      code: 'unreachable',
    });
    await expect(download({ url: 'file:///etc/passwd', known: null }, parts)).rejects.toMatchObject({
      code: 'address_invalid',
    });
  });
  test('Retry-After in words that mean nothing is none', () => {
    expect(retryAfter('soon', new Date(0))).toBeNull();
    expect(retryAfter('Thu, 01 Jan 1970 00:00:00 GMT', new Date(99_000))).toBe(0);
  });
});

describe('redirects', () => {
  test('are followed, with credentials for their own host only, which no message shows', async () => {
    const other = await publisher();
    try {
      other.publish('/f', content);
      from.behave('/start', (_request, response) => response.writeHead(302, { location: '/next' }).end());
      from.behave('/next', (_request, response) =>
        response.writeHead(307, { location: `${other.url}/f` }).end(),
      );
      const secret = from.url.replace('http://', 'http://user:p%40ss@');
      const parts: DownloadParts = { files, limits, now: () => new Date(0) };
      const { file } = await download({ url: `${secret}/start`, known: null }, parts);
      expect(file.sha256).toBe(sha256);
      const basic = `Basic ${Buffer.from('user:p@ss').toString('base64')}`;
      expect(from.asked.map((one) => one.headers.authorization)).toEqual([basic, basic]);
      expect(other.asked[0]?.headers.authorization).toBeUndefined();
      const failed = await download({ url: `${secret}/gone?token=abc`, known: null }, parts).catch(String);
      expect(failed).toContain('/gone');
      expect(failed).not.toMatch(/p%40ss|p@ss|user|token/);
      expect(withoutSecrets(`${secret}/a?b=c`)).toBe(`${from.url}/a`);
    } finally {
      await other.close();
    }
  });
  test('in circles, to nowhere, and to other schemes are refused', async () => {
    from.behave('/circle', (_request, response) => response.writeHead(301, { location: '/circle' }).end());
    expect((await refusal('/circle')).code).toBe('redirect_loop');
    expect(from.asked).toHaveLength(6);
    for (const location of ['file:///etc/passwd', 'ftp://127.0.0.1/x', 'javascript:alert(1)']) {
      from.behave('/away', (_request, response) => response.writeHead(302, { location }).end());
      expect((await refusal('/away')).code).toBe('redirect_refused');
    }
    from.behave('/none', (_request, response) => response.writeHead(302).end());
    expect((await refusal('/none')).code).toBe('redirect_refused');
  });
});

describe('checksums', () => {
  const md5 = createHash('md5').update(content).digest('base64');
  const crc = digester('crc32c');
  crc.update(content);
  const right = {
    'x-goog-hash': `crc32c=${crc.digest()}`,
    'content-md5': md5,
    digest: `sha-256=${Buffer.from(sha256, 'hex').toString('base64')},unixsum=30637`,
    'repr-digest': `sha-256=:${Buffer.from(sha256, 'hex').toString('base64')}:`,
  };
  test('that are right are passed', async () => {
    for (const [name, value] of Object.entries(right)) {
      from.publish(`/${name}`, content, { headers: { [name]: value } });
      expect((await get(`/${name}`)).file.sha256).toBe(sha256);
    }
  });
  test('that are wrong are refused, and nothing is kept', async () => {
    const wrong = Buffer.from(content).fill(1, 0, 1);
    for (const [name, value] of Object.entries(right)) {
      from.publish(`/${name}`, wrong, { headers: { [name]: value } });
      expect((await refusal(`/${name}`)).code, name).toBe('checksum_wrong');
    }
    expect(await leftovers()).toEqual([]);
  });
  test('MD5 of Google Cloud Storage counts where it is named', async () => {
    const wrong = Buffer.from(content).fill(1, 0, 1);
    const headers = { 'x-goog-hash': `crc32c=AAAAAA==, md5=${md5}` };
    from.publish('/right', content, { headers });
    from.publish('/wrong', wrong, { headers });
    expect((await get('/right')).file.sha256).toBe(sha256);
    expect((await refusal('/wrong')).code).toBe('checksum_wrong');
  });
  test('of what is stored compressed and sent plain say nothing about what is sent', async () => {
    from.publish('/f', content, {
      headers: { 'x-goog-hash': 'md5=AAAAAAAAAAAAAAAAAAAAAA==', 'x-goog-stored-content-encoding': 'gzip' },
    });
    expect((await get('/f')).file.sha256).toBe(sha256);
  });
  test('in a text beside the file', async () => {
    from.publish('/f', content);
    from.publish('/f.sha256', `${sha256.toUpperCase()}  f\n`);
    from.publish('/wrong.sha256', `${'0'.repeat(64)}  f\n`);
    from.publish('/none.sha256', '<html>');
    expect((await get('/f', null, {}, `${from.url}/f.sha256`)).file.sha256).toBe(sha256);
    for (const [name, code] of [
      ['wrong', 'checksum_wrong'],
      ['none', 'checksum_missing'],
    ]) {
      await expect(get('/f', null, {}, `${from.url}/${String(name)}.sha256`)).rejects.toMatchObject({ code });
    }
  });
  test('CRC-32C is that of RFC 3720', () => {
    const of = (bytes: Uint8Array): string => {
      const one = digester('crc32c');
      one.update(bytes);
      return Buffer.from(one.digest(), 'base64').toString('hex');
    };
    expect(of(new Uint8Array(32))).toBe('8a9136aa');
    expect(of(Buffer.from('123456789'))).toBe('e3069283');
  });
  test('of the whole hold over a cut', async () => {
    from.publish('/f', content, { etag: '"v1"', headers: right });
    from.behave('/f', (request, response, nth) => {
      cutAfter(content, 100_000, { etag: '"v1"', ...right })(request, response, nth);
      from.behave('/f', null);
    });
    expect(await get('/f')).toMatchObject({ transferred: 300_000, file: { sha256 } });
  });
});

test('a proxy is asked where one is named', async () => {
  const asked: string[] = [];
  const proxy = createServer((request, response) => {
    asked.push(request.url ?? '');
    response.end('through the proxy');
  });
  await new Promise<void>((resolve) => {
    proxy.listen(0, '127.0.0.1', resolve);
  });
  try {
    const address = proxy.address();
    if (typeof address !== 'object' || address === null) throw new Error('it does not listen');
    const parts: DownloadParts = {
      files,
      limits,
      now: () => new Date(0),
      proxy: { HTTP_PROXY: `http://127.0.0.1:${String(address.port)}`, NO_PROXY: 'direct.invalid' },
    };
    await download({ url: 'http://feeds.invalid/f', known: null }, parts);
    expect(asked).toEqual(['http://feeds.invalid/f']);
    await expect(download({ url: 'http://direct.invalid/f', known: null }, parts)).rejects.toMatchObject({
      code: 'unreachable',
    });
  } finally {
    proxy.close();
  }
});
