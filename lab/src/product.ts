/**
 * The product under test: a real server process with its own data folder, and real agents on the lab's hosts. It is
 * started, killed and asked over HTTP, as anyone would.
 */
import { existsSync } from 'node:fs';
import { chmod, mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { resolve } from 'node:path';
import { Type } from 'typebox';
import { TokenCreated } from '@fixpoint/contract/access.ts';
import { Tag } from '@fixpoint/contract/tag.ts';
import { List } from '@fixpoint/contract/list.ts';
import { readAptSources } from './apt-sources.ts';
import { waitFor } from './clock.ts';
import type { Host } from './host.ts';
import { apiClient, isHealthy, type Api } from './http-client.ts';
import { cleanEnvironment, runOrThrow, startInBackground, type BackgroundProcess } from './run-command.ts';

const repository = resolve(import.meta.dirname, '../..');
const node = process.execPath;

export interface Product {
  readonly url: string;
  /** Deleted by `stop`. */
  readonly dataFolder: string;
  readonly api: Api;
  /** The last lines that the server printed, for messages. */
  readonly log: () => string;
  /** SIGKILL of the server process; its database survives as it would a crash. */
  readonly kill: () => Promise<void>;
  /** Starts it again on the same data folder and address. */
  readonly start: () => Promise<void>;
  readonly stop: () => Promise<void>;
}

export interface ProductOptions {
  readonly address: string;
  /** Further origins that the distribution point may serve from, beside the mirrors of this machine's apt sources. */
  readonly origins: readonly string[];
  readonly onLine?: (line: string) => void;
}

async function freePort(address: string): Promise<number> {
  return await new Promise((found, failed) => {
    const probe = createServer();
    probe.on('error', failed);
    probe.listen(0, address, () => {
      const at = probe.address();
      const port = typeof at === 'object' && at !== null ? at.port : 0;
      probe.close(() => {
        found(port);
      });
    });
  });
}

/** Where data folders of servers under test are made: the database's own user must be able to reach them. */
const dataFolders = '/var/tmp';
const dataFolderName = /^fixpoint-lab-server-(\d+)-/;

/** A new data folder; those of runs that were killed are taken away. */
async function newDataFolder(): Promise<string> {
  for (const name of await readdir(dataFolders)) {
    const pid = dataFolderName.exec(name)?.[1];
    if (pid !== undefined && !existsSync(`/proc/${pid}`)) {
      await rm(`${dataFolders}/${name}`, { recursive: true, force: true });
    }
  }
  const folder = await mkdtemp(`${dataFolders}/fixpoint-lab-server-${process.pid}-`);
  await chmod(folder, 0o755);
  return folder;
}

/** Starts a server and waits until it answers. */
export async function startProduct(options: ProductOptions): Promise<Product> {
  const dataFolder = await newDataFolder();
  const port = await freePort(options.address);
  const url = `http://${options.address}:${port}`;
  const mirrors = (await readAptSources()).map((source) => source.uri);
  const lines: string[] = [];
  let server: BackgroundProcess | undefined;
  const start = async (): Promise<void> => {
    server = await startInBackground(
      // Told to stop when we die, however we die: it then stops its database too.
      ['setpriv', '--pdeathsig', 'TERM', '--', node, resolve(repository, 'server/src/main.ts')],
      {
        onLine(line) {
          lines.push(line);
          if (lines.length > 400) lines.shift();
          options.onLine?.(line);
        },
        environment: {
          ...cleanEnvironment,
          FIXPOINT_LISTEN: `${options.address}:${port}`,
          FIXPOINT_DATA: dataFolder,
          FIXPOINT_REPOSITORIES: [...new Set([...mirrors, ...options.origins])].join(','),
          FIXPOINT_CHECK_IN_SECONDS: '2',
          FIXPOINT_ACTIVE_CHECK_IN_SECONDS: '0.5',
          FIXPOINT_LOG_LEVEL: 'info',
        },
      },
    );
    await waitFor(
      `the server at ${url}`,
      async () => {
        if (server?.hasExited() === true) throw new Error(`the server ended:\n${lines.join('\n')}`);
        return (await isHealthy(url)) ? true : undefined;
      },
      { timeoutSeconds: 90 },
    );
  };
  const end = async (signal: NodeJS.Signals): Promise<void> => {
    server?.kill(signal);
    await server?.exited;
    server = undefined;
  };
  await start();
  const token = async () => (await readFile(`${dataFolder}/operator-token`, 'utf8')).trim();
  return {
    url,
    dataFolder,
    api: apiClient(() => url, token),
    log: () => lines.join('\n'),
    kill: () => end('SIGKILL'),
    start,
    async stop() {
      // A server that was killed has left its database behind: only a server can stop that in good order.
      if (server === undefined) await start();
      await end('SIGTERM');
      await rm(dataFolder, { recursive: true, force: true });
    },
  };
}

/** Builds the agent as one file, as it is shipped, and answers where it is. */
export async function agentBinary(onLine: (line: string) => void): Promise<string> {
  await runOrThrow([node, resolve(repository, 'agent/build.ts')], {
    timeoutSeconds: 180,
    workingFolder: repository,
    onLine,
  });
  return resolve(repository, 'agent/dist/fixpoint-agent');
}

/** Puts the agent on hosts and enrols them under these tags; answers the asset id of each, by host name. */
export async function enrolHosts(
  product: Product,
  binary: string,
  hosts: readonly Host[],
  options: { tags: readonly string[]; mode: 'assess' | 'manage' },
): Promise<Map<string, string>> {
  for (const name of options.tags) await ensureTag(product, name);
  const { secret } = await product.api.post(
    '/api/v1/enrolment-tokens',
    {
      name: `lab ${hosts.map((host) => host.name).join(' ')}`,
      uses: hosts.length,
      expires_in_minutes: 30,
      tags: options.tags,
    },
    TokenCreated,
  );
  const ids = new Map<string, string>();
  for (const host of hosts) {
    await host.copyIn(binary, '/usr/local/bin/fixpoint-agent', 0o755);
    await host.runOrThrow(
      [
        '/usr/local/bin/fixpoint-agent',
        'enroll',
        '--server',
        product.url,
        '--token',
        secret,
        '--mode',
        options.mode,
        '--install-unit',
      ],
      { timeoutSeconds: 60 },
    );
    const id = await waitFor(
      `${host.name} to report its inventory`,
      async () => (await assetNamed(product, host.name))?.id,
      { timeoutSeconds: 60 },
    );
    ids.set(host.name, id);
  }
  return ids;
}

async function ensureTag(product: Product, name: string): Promise<void> {
  const { items } = await product.api.get('/api/v1/tags', List(Tag));
  if (!items.some((tag) => tag.name === name)) await product.api.post('/api/v1/tags', { name }, Tag);
}

/** As much of an asset as the lab looks at. */
const AssetList = Type.Object({
  items: Type.Array(
    Type.Object({
      id: Type.String(),
      hostname: Type.String(),
      inventory_at: Type.Union([Type.String(), Type.Null()]),
    }),
  ),
});

async function assetNamed(product: Product, hostname: string): Promise<{ id: string } | undefined> {
  const list = await product.api.get(`/api/v1/assets?hostname=${hostname}`, AssetList);
  return list.items.find((asset) => asset.hostname === hostname && asset.inventory_at !== null);
}
