import { execFile } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, describe, expect, test } from 'vitest';
import { afterTest, cleanUp, distributionPoint } from './point-double.ts';
import { aptRepositories } from './repositories.ts';

afterEach(cleanUp);

const run = promisify(execFile);
const http = aptRepositories('/etc/apt');

describe.skipIf(!existsSync('/usr/bin/apt-get') || http.length === 0)(
  'the real apt-get, in a root of its own',
  () => {
    test(
      'updates and downloads through the proxy, again without the repository, and is refused without credentials',
      { timeout: 280_000 },
      async () => {
        const point = await distributionPoint('apt');
        const root = mkdtempSync(join(tmpdir(), 'fixpoint-apt-root-'));
        afterTest(() => rmSync(root, { recursive: true, force: true }));
        for (const folder of [
          'etc/apt.conf.d',
          'etc/preferences.d',
          'etc/auth.conf.d',
          'state/lists/partial',
          'cache/archives/partial',
          'download',
        ]) {
          mkdirSync(join(root, folder), { recursive: true });
        }
        cpSync('/etc/apt/trusted.gpg.d', join(root, 'etc/trusted.gpg.d'), { recursive: true });
        writeFileSync(join(root, 'status'), '');
        writeFileSync(join(root, 'etc/sources.list'), sourcesOfThisMachine());
        const configure = (credentials: string) => {
          const [user = '', word = ''] = credentials.split(':');
          writeFileSync(
            join(root, 'apt.conf'),
            `Dir::Etc "${root}/etc";\nDir::State "${root}/state";\nDir::State::status "${root}/status";\nDir::Cache "${root}/cache";\n` +
              `#clear Acquire::http::Proxy;\nAcquire::http::Proxy "http://${encodeURIComponent(user)}:${encodeURIComponent(word)}@127.0.0.1:${String(point.port)}";\n` +
              'Acquire::Retries "0";\nAPT::Sandbox::User "root";\nAPT::Update::Error-Mode "any";\nAcquire::Languages "none";\n',
          );
        };
        const apt = async (...parameters: string[]) =>
          run('apt-get', parameters, {
            cwd: join(root, 'download'),
            env: { PATH: process.env.PATH ?? '', APT_CONFIG: join(root, 'apt.conf'), LC_ALL: 'C' },
            timeout: 200_000,
          });
        configure('nobody:nothing');
        await expect(apt('update')).rejects.toThrow(/407/u);
        configure(point.credentials);
        await apt('update');
        await apt('download', 'hostname');
        const [deb] = readdirSync(join(root, 'download'));
        if (deb === undefined) throw new Error('nothing was downloaded');
        const first = readFileSync(join(root, 'download', deb));
        expect(first.subarray(0, 7).toString()).toBe('!<arch>');

        await point.kept(2);
        const before = (await point.fleet.call('GET', '/api/v1/distribution')).body;
        rmSync(join(root, 'download', deb));
        rmSync(join(root, 'state/lists'), { recursive: true });
        mkdirSync(join(root, 'state/lists/partial'), { recursive: true });
        await apt('update');
        await apt('download', 'hostname');
        expect(readFileSync(join(root, 'download', deb)).equals(first)).toBe(true);
        const after = (await point.fleet.call('GET', '/api/v1/distribution')).body;
        // a mirror need not say by what an InRelease file could be recognised again; all the rest came from the cache
        const again = Number(after.fetched_bytes) - Number(before.fetched_bytes);
        expect(again).toBeLessThan(0.1 * Number(before.fetched_bytes));
        expect(Number(after.served_bytes)).toBeGreaterThan(Number(before.served_bytes));
      },
    );
  },
);

/** The Debian sources of this machine, one line each, with their keyrings. */
function sourcesOfThisMachine(): string {
  const lines: string[] = [];
  const read = (file: string) => (existsSync(file) ? readFileSync(file, 'utf8') : '');
  for (const name of existsSync('/etc/apt/sources.list.d') ? readdirSync('/etc/apt/sources.list.d') : []) {
    if (!name.endsWith('.sources')) continue;
    for (const stanza of read(join('/etc/apt/sources.list.d', name)).split(/\n\s*\n/u)) {
      const field = (key: string) => new RegExp(`^${key}:\\s*(.*)$`, 'imu').exec(stanza)?.[1]?.trim() ?? '';
      const uri = field('URIs');
      if (!uri.startsWith('http://')) continue;
      const signed = field('Signed-By');
      for (const suite of field('Suites').split(/\s+/u)) {
        lines.push(`deb ${signed.startsWith('/') ? `[signed-by=${signed}] ` : ''}${uri} ${suite} main`);
      }
    }
  }
  for (const line of read('/etc/apt/sources.list').split('\n')) {
    if (/^deb\s.*http:\/\//u.test(line)) lines.push(line);
  }
  return `${lines.join('\n')}\n`;
}
