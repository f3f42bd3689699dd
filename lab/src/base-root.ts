/**
 * The base root: a Debian 12 of its past, made once by debootstrap and then only ever the lower layer of hosts.
 * Kept outside the repository under a digest of its recipe, so that a changed recipe makes a new one.
 */
import { createHash } from 'node:crypto';
import { cp, mkdir, readFile, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { type AptSource, formatDeb822Sources, readAptSources } from './apt-sources.ts';
import { monotonicSeconds } from './clock.ts';
import { errorCode } from './error-code.ts';
import { cacheFolder } from './lab-run.ts';
import {
  type CommandOptions,
  cleanEnvironment,
  runCommand,
  runOrThrow,
  startInBackground,
} from './run-command.ts';

export interface PastVersion {
  readonly name: string;
  /** What the recipe asks for. */
  readonly wanted: string;
  /** What is there: `wanted`, or what stood in for it because no archive holds that version any more. */
  readonly installed: string;
  /** What apt would install today: the fix. Equal to `installed` when there is no older version left at all. */
  readonly candidate: string;
}

export interface BaseRoot {
  /** The root folder. Never write to it: running hosts are layers on top of it. */
  readonly folder: string;
  readonly digest: string;
  /** Packages put back into their past. */
  readonly past: readonly PastVersion[];
  /** 0 when it was there already. */
  readonly buildSeconds: number;
}

/** Packages put back together, since they depend on each other in exactly their version. */
const putBack: readonly { names: readonly string[]; version: string }[] = [
  { names: ['openssl', 'libssl3'], version: '3.0.17-1~deb12u2' },
  { names: ['curl', 'libcurl4'], version: '7.88.1-10+deb12u5' },
];

const recipe = {
  // Raise this when the steps below change in a way that their data does not show.
  revision: 1,
  suite: 'bookworm',
  suites: ['bookworm', 'bookworm-updates', 'bookworm-security'],
  // What a small server has. An agent is one file with a systemd unit and needs nothing more than the C library.
  packages: ['systemd', 'systemd-sysv', 'dbus', 'iproute2', 'nginx'],
  putBack,
  // Nothing may take the package manager's lock at a time of its own choosing, or wait for a network that is not there.
  masked: [
    'apt-daily.timer',
    'apt-daily-upgrade.timer',
    'console-getty.service',
    'systemd-networkd-wait-online.service',
  ],
} as const;

/**
 * The version to put a package back to: `wanted` if an archive still holds it, otherwise the lowest that is lower than
 * the candidate, otherwise the candidate. `versions` in any order; `isLowerThan` is dpkg's own order.
 */
export async function chooseVersion(
  wanted: string,
  versions: readonly string[],
  candidate: string,
  isLowerThan: (a: string, b: string) => Promise<boolean>,
): Promise<string> {
  if (versions.includes(wanted)) return wanted;
  let lowest = candidate;
  for (const version of versions) if (await isLowerThan(version, lowest)) lowest = version;
  return lowest;
}

/** Versions from `apt-cache madison`: lines of `package | version | source`. */
export function parseMadison(output: string): string[] {
  return output
    .split('\n')
    .map((line) => line.split('|')[1]?.trim() ?? '')
    .filter((version) => version !== '');
}

async function isLower(a: string, b: string): Promise<boolean> {
  return (await runCommand(['dpkg', '--compare-versions', a, 'lt', b])).exitCode === 0;
}

/** The proxy that the machine's apt uses, for debootstrap (which reads only the environment). */
async function proxyEnvironment(): Promise<Record<string, string>> {
  const found: Record<string, string> = {};
  for (const name of ['http_proxy', 'https_proxy', 'no_proxy']) {
    const value = process.env[name] ?? process.env[name.toUpperCase()];
    if (value !== undefined) found[name] = value;
  }
  const shown = await runCommand(['apt-config', 'shell', 'HTTP', 'Acquire::http::Proxy']);
  const proxy = /^HTTP='(.+)'$/m.exec(shown.stdout)?.[1];
  if (proxy !== undefined && proxy !== 'DIRECT') found['http_proxy'] = proxy;
  return found;
}

/** The machine's sources for the three suites; throws with what to do when even `bookworm` is missing. */
async function lookUpSources(onProgress: (line: string) => void): Promise<AptSource[]> {
  const configured = await readAptSources();
  const chosen: AptSource[] = [];
  for (const suite of recipe.suites) {
    const source = configured.find((each) => each.suite === suite && each.components.includes('main'));
    if (source === undefined)
      onProgress(`this machine has no apt source for ${suite}: hosts have none either`);
    else chosen.push({ ...source, components: ['main'] });
  }
  if (!chosen.some(({ suite }) => suite === recipe.suite)) {
    throw new Error(
      `no apt source of this machine names ${recipe.suite}: add one to /etc/apt/sources.list.d`,
    );
  }
  return chosen;
}

/** Holds the lock until `body` has ended. The lock falls with this process, however it ends. */
async function withLock<T>(file: string, body: () => Promise<T>): Promise<T> {
  const held = Promise.withResolvers<'held'>();
  // `cat` ends when our end of its input is closed, by us or by the kernel.
  const lock = await startInBackground(
    ['flock', '--exclusive', '--timeout', '1800', file, 'sh', '-c', 'echo held; cat'],
    { onLine: (line) => line === 'held' && held.resolve('held'), withInput: true },
  );
  const first = await Promise.race([held.promise, lock.exited.then(() => 'refused' as const)]);
  if (first === 'refused') throw new Error(`${file} was locked by another run for 30 minutes`);
  try {
    return await body();
  } finally {
    lock.endInput();
    await lock.exited;
  }
}

/** Returns the base root, building it first if this machine has none of this recipe (about two minutes). */
export async function baseRoot(options: { onProgress: (line: string) => void }): Promise<BaseRoot> {
  const sources = await lookUpSources(options.onProgress);
  const architecture = (await runOrThrow(['dpkg', '--print-architecture'])).stdout.trim();
  const digest = createHash('sha256')
    .update(JSON.stringify({ recipe, sources, architecture }))
    .digest('hex')
    .slice(0, 16);
  const parent = cacheFolder();
  const folder = `${parent}/base-${digest}`;
  const existing = await readBase(folder, digest);
  if (existing !== undefined) return existing;

  await mkdir(parent, { recursive: true });
  return await withLock(`${parent}/base.lock`, async () => {
    const builtByOther = await readBase(folder, digest);
    if (builtByOther !== undefined) return builtByOther;
    // We hold the lock: what is half built here has been given up by its builder.
    for (const name of await readdir(parent)) {
      if (name.startsWith('building-')) await rm(`${parent}/${name}`, { recursive: true, force: true });
    }
    const building = `${parent}/building-${digest}`;
    const started = monotonicSeconds();
    try {
      // Only for root: old set-user-ID programs must not lie where anybody on this machine could run them.
      await mkdir(building, { mode: 0o700 });
      const past = await build(`${building}/root`, sources, options.onProgress);
      await writeFile(`${building}/past.json`, `${JSON.stringify(past, null, 2)}\n`);
      await rename(building, folder);
      const buildSeconds = monotonicSeconds() - started;
      options.onProgress(`base root ${digest} built in ${buildSeconds.toFixed(0)} s`);
      return { folder: `${folder}/root`, digest, past, buildSeconds };
    } catch (error) {
      await rm(building, { recursive: true, force: true });
      throw error;
    }
  });
}

function isPastVersion(value: unknown): value is PastVersion {
  if (typeof value !== 'object' || value === null) return false;
  const fields = new Map<string, unknown>(Object.entries(value));
  return ['name', 'wanted', 'installed', 'candidate'].every((field) => typeof fields.get(field) === 'string');
}

async function readBase(folder: string, digest: string): Promise<BaseRoot | undefined> {
  let text: string;
  try {
    text = await readFile(`${folder}/past.json`, 'utf8');
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return undefined;
    throw error;
  }
  const read: unknown = JSON.parse(text);
  if (!Array.isArray(read) || !read.every(isPastVersion)) {
    throw new Error(`${folder}/past.json is not what this lab writes: delete ${folder} to build it again`);
  }
  return { folder: `${folder}/root`, digest, past: read, buildSeconds: 0 };
}

/**
 * Runs a command in the root with namespaces of its own: what it mounts and what it leaves running ends with it, so a
 * build given up half-way leaves only a folder.
 */
async function inRoot(root: string, argv: readonly string[], options: CommandOptions): Promise<string> {
  const script =
    'root=$1; shift; mount -t proc proc "$root/proc" && mount -t sysfs -o ro sysfs "$root/sys" && exec chroot "$root" "$@"';
  const result = await runOrThrow([...apart, 'sh', '-c', script, 'sh', root, ...argv], options);
  return result.stdout;
}

const apart = [
  'setpriv --pdeathsig KILL --',
  'unshare --mount --propagation private --pid --fork --kill-child --',
].flatMap((command) => command.split(' '));

async function build(
  root: string,
  sources: readonly AptSource[],
  onProgress: (line: string) => void,
): Promise<PastVersion[]> {
  const main = sources.find(({ suite }) => suite === recipe.suite);
  if (main === undefined) throw new Error('a source for the base suite was looked up before');
  const environment = {
    ...cleanEnvironment,
    ...(await proxyEnvironment()),
    DEBIAN_FRONTEND: 'noninteractive',
    DEBCONF_NONINTERACTIVE_SEEN: 'true',
  };
  const options: CommandOptions = { environment, timeoutSeconds: 900 };

  onProgress(`building the base root with debootstrap (${recipe.suite}), about two minutes`);
  await runOrThrow(
    [
      ...apart,
      'debootstrap',
      '--variant=minbase',
      ...(main.signedBy === undefined ? [] : [`--keyring=${main.signedBy}`]),
      recipe.suite,
      root,
      main.uri,
    ],
    {
      ...options,
      onLine: (line) =>
        /^(I: (Retrieving InRelease|Base system installed)|[EW]:)/.test(line) && onProgress(line),
    },
  );

  // Only for the time of the build: names resolve as on this machine, and no service starts.
  await cp('/etc/resolv.conf', `${root}/etc/resolv.conf`, { dereference: true });
  await cp('/etc/hosts', `${root}/etc/hosts`, { dereference: true });
  await writeFile(`${root}/usr/sbin/policy-rc.d`, '#!/bin/sh\nexit 101\n', { mode: 0o755 });

  await rm(`${root}/etc/apt/sources.list`, { force: true });
  await writeFile(`${root}/etc/apt/sources.list.d/debian.sources`, formatDeb822Sources(sources));
  for (const keyring of new Set(sources.flatMap(({ signedBy }) => signedBy ?? []))) {
    await mkdir(`${root}${keyring.slice(0, keyring.lastIndexOf('/'))}`, { recursive: true });
    await cp(keyring, `${root}${keyring}`, { dereference: true });
  }
  // Hosts have little use for descriptions in other languages, and their lists stay small.
  await writeFile(`${root}/etc/apt/apt.conf.d/90fixpoint-lab`, 'Acquire::Languages "none";\n');

  onProgress('reading the package lists');
  await inRoot(root, ['apt-get', 'update', '--quiet', '--error-on=any'], options);
  const past: PastVersion[] = [];
  for (const { names, version } of recipe.putBack) {
    const [first = ''] = names;
    const versions = parseMadison(await inRoot(root, ['apt-cache', 'madison', first], options));
    const policy = await inRoot(root, ['apt-cache', 'policy', first], options);
    const candidate = /Candidate: (\S+)/.exec(policy)?.[1];
    if (candidate === undefined) throw new Error(`no archive holds ${first}`);
    const installed = await chooseVersion(version, versions, candidate, isLower);
    if (installed !== version)
      onProgress(`${first} ${version} is in no archive any more: taking ${installed}`);
    for (const name of names) past.push({ name, wanted: version, installed, candidate });
  }
  const wanted = [...recipe.packages, ...past.map(({ name, installed }) => `${name}=${installed}`)];
  onProgress(`installing ${wanted.join(' ')}`);
  await inRoot(
    root,
    ['apt-get', 'install', '--yes', '--quiet', '--no-install-recommends', '--allow-downgrades', ...wanted],
    options,
  );
  await inRoot(root, ['apt-get', 'clean'], options);
  await inRoot(root, ['systemctl', 'enable', 'systemd-networkd.service', 'nginx.service'], options);
  await inRoot(root, ['systemctl', 'mask', ...recipe.masked], options);
  const state = await inRoot(root, ['dpkg', '--audit'], options);
  if (state.trim() !== '') throw new Error(`the base root is not consistent:\n${state}`);

  for (const path of ['usr/sbin/policy-rc.d', 'etc/resolv.conf', 'etc/hosts', 'etc/hostname']) {
    await rm(`${root}/${path}`, { force: true });
  }
  // Each host makes its own: the machine id is what agents are told apart by.
  await rm(`${root}/etc/machine-id`, { force: true });
  await rm(`${root}/var/lib/dbus/machine-id`, { force: true });
  return past;
}
