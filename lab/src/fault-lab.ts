/** What the fault tests share: a lab whose hosts have `fixpoint-lab-good`, a server, and looks at what really happened. */
import type { Static } from 'typebox';
import { AuditVerification } from '@fixpoint/contract/audit.ts';
import { FeedImport } from '@fixpoint/contract/feed.ts';
import type { TaskDetail } from '@fixpoint/contract/patch-job.ts';
import { waitFor } from './clock.ts';
import { type Lab, startLab } from './fleet.ts';
import type { Host } from './host.ts';
import { labTrackerJson } from './lab-knowledge.ts';
import { fixedVersion, goodLog, slowFile, vulnerableVersion } from './lab-packages.ts';
import { createJob, findings, newestPatch, preview } from './patching.ts';
import { agentBinary, enrolHosts, startProduct, type Product } from './product.ts';
import { buildRepository, configureRepository, type LabRepository } from './repository.ts';
import { serveFolder, type RepositoryServer } from './repository-server.ts';
import { startTamperingProxy, type TamperingProxy } from './tampering-proxy.ts';

export const good = 'fixpoint-lab-good';

const enrolment = { tags: ['faults'], mode: 'manage' } as const;

export interface FaultLab {
  readonly lab: Lab;
  readonly product: Product;
  readonly binary: string;
  readonly host: (name: string) => Host;
  readonly repository: RepositoryServer;
  /** Lets a host see the repository under a name of its own, which no cache has anything of. */
  readonly renameRepository: (host: Host, name: string) => Promise<void>;
  readonly stop: () => Promise<void>;
}

export interface FaultLabOptions {
  readonly names: readonly string[];
  /** Enrolled at the server itself; default all. The others are the test's to enrol. */
  readonly enrol?: readonly string[];
  readonly say: (line: string) => void;
}

/**
 * Boots the hosts with the vulnerable version. Their only repository is the lab's own: reading the mirrors' lists for each of
 * many runs would take most of the time, and the closed loop shows it already.
 */
export async function startFaultLab(options: FaultLabOptions): Promise<FaultLab> {
  const { names, say } = options;
  const binary = await agentBinary(say);
  const lab = await startLab({ onProgress: say });
  let repository: RepositoryServer | undefined;
  let packages: LabRepository | undefined;
  let product: Product | undefined;
  const stop = async (): Promise<void> => {
    try {
      await product?.stop();
    } finally {
      await repository?.stop();
      await lab.stop();
    }
  };
  try {
    const built = await buildRepository(`${lab.folder}/repository`);
    const served = await serveFolder(built.folder, lab.network.address);
    repository = served;
    packages = built;
    product = await startProduct({ address: lab.network.address, origins: [served.url] });
    await product.api.upload(
      '/api/v1/feeds/debian-tracker/import?name=lab.json',
      labTrackerJson(),
      FeedImport,
    );
    const hosts = await lab.bootHosts(
      names.map((name) => ({
        name,
        prepare: async (off) => {
          await off.runOrThrow(['rm', '/etc/apt/sources.list.d/debian.sources']);
          await configureRepository(off, built, served.url);
          // The unit waits 5 s before each start of the agent, and after a few gives up for a while: here it dies often.
          await off.writeFile(
            '/etc/systemd/system/fixpoint-agent.service.d/fast.conf',
            '[Unit]\nStartLimitIntervalSec=0\n[Service]\nRestartSec=1\n',
          );
        },
      })),
    );
    await Promise.all(hosts.map((host) => installVulnerable(host)));
    const enrol = hosts.filter((host) => options.enrol?.includes(host.name) ?? true);
    if (enrol.length > 0) await enrolHosts(product, binary, enrol, enrolment);
  } catch (error) {
    await stop();
    throw error;
  }
  const [servedAt, shelf] = [repository, packages];
  return {
    lab,
    product,
    binary,
    repository: servedAt,
    async renameRepository(host, name) {
      await configureRepository(host, shelf, `${servedAt.url}/as-${name}`);
    },
    host(name) {
      const found = lab.hosts().find((one) => one.name === name);
      if (found === undefined) throw new Error(`there is no host ${name}`);
      return found;
    },
    stop,
  };
}

/** Enrols a host at a proxy before the server, which it then takes for the server. */
export async function enrolBehindProxy(
  faultLab: FaultLab,
  name: string,
): Promise<{ readonly proxy: TamperingProxy; readonly assetId: string }> {
  const { product, binary, lab } = faultLab;
  const proxy = await startTamperingProxy(lab.network.address, product.url);
  const ids = await enrolHosts({ ...product, url: proxy.url }, binary, [faultLab.host(name)], enrolment);
  const assetId = ids.get(name);
  if (assetId === undefined) throw new Error(`${name} is not enrolled`);
  return { proxy, assetId };
}

/** Puts the package at its vulnerable version, as an operator would, and empties the log of its scripts. */
export async function installVulnerable(host: Host): Promise<void> {
  await host.runOrThrow(['rm', '-f', slowFile]);
  await host.runOrThrow(['apt-get', 'update', '--quiet', '--error-on=any'], { timeoutSeconds: 60 });
  await host.runOrThrow(
    ['apt-get', 'install', '--yes', '--quiet', '--allow-downgrades', `${good}=${vulnerableVersion}`],
    { timeoutSeconds: 120 },
  );
  await host.writeFile(goodLog, '');
}

/** Waits until the server knows that these hosts are vulnerable, and makes a job over them that would patch all. */
export async function jobOver(
  product: Product,
  hostnames: readonly string[],
  options: {
    readonly name: string;
    readonly concurrency?: number;
    readonly expireAfterSeconds?: number;
    readonly more?: Readonly<Record<string, unknown>>;
  },
): Promise<string> {
  await waitFor(
    `${hostnames.join()} to be seen as vulnerable`,
    async () => {
      const open = (await findings(product, `package=${good}`)).filter((one) => one.status === 'open');
      return hostnames.every((name) => open.some((one) => one.hostname === name)) ? true : undefined;
    },
    { timeoutSeconds: 60, everySeconds: 0.5 },
  );
  const job = await createJob(product, {
    ...options,
    patches: [await newestPatch(product, good)],
    assets: hostnames,
  });
  await waitFor(
    `a plan for ${hostnames.join()}`,
    async () => ((await preview(product, job.id)).tasks.length === hostnames.length ? true : undefined),
    { timeoutSeconds: 30, everySeconds: 0.5 },
  );
  return job.id;
}

/** How long a script of the package takes from now on; `null` takes the delay away again. */
export async function slow(
  host: Host,
  script: 'preinst' | 'postinst',
  seconds: number | null,
): Promise<void> {
  if (seconds === null) await host.runOrThrow(['rm', '-f', slowFile]);
  else await host.writeFile(slowFile, `${script}=${String(seconds)}\n`);
}

/** Waits until a slow script of the package is in the middle of its sleep of exactly so many seconds. */
export async function untilInside(host: Host, seconds: number): Promise<void> {
  // One letter in brackets, so that the search does not find itself.
  const text = String(seconds);
  const pattern = `${text.slice(0, -1)}[${text.slice(-1)}]`;
  await waitFor(
    `${host.name} to be inside the script`,
    async () => {
      const script = `grep -lazx '${pattern}' /proc/[0-9]*/cmdline 2>/dev/null | grep -q .`;
      return (await host.run(['sh', '-c', script])).exitCode === 0 ? true : undefined;
    },
    { timeoutSeconds: 90, everySeconds: 0.1 },
  );
}

/** What is on the host, told by dpkg and by the package's own log. */
export async function hostFacts(host: Host): Promise<{
  readonly audit: string;
  readonly state: string;
  readonly log: readonly string[];
}> {
  const audit = (await host.runOrThrow(['dpkg', '--audit'])).trim();
  const state = (
    await host.runOrThrow(['dpkg-query', '-W', '-f', '${Version} ${db:Status-Abbrev}', good])
  ).trim();
  return {
    audit,
    state,
    log: (await host.readFile(goodLog))
      .trim()
      .split('\n')
      .filter((line) => line !== ''),
  };
}

/** A host after exactly one whole installation. */
export const installedOnce = {
  audit: '',
  state: `${fixedVersion} ii`,
  log: [`unpacked ${fixedVersion}`, `configured ${fixedVersion}`],
} as const;
/** A host on which nothing has happened. */
export const untouched = { audit: '', state: `${vulnerableVersion} ii`, log: [] } as const;

/** The states a task went through, in order; each one appears as often as it was entered. */
export function statesOf(detail: Static<typeof TaskDetail>): string[] {
  return detail.events.filter((event) => event.from !== event.to).map((event) => event.to);
}

/** What a task goes through that meets no fault, or one that the server need not know of. */
export const wholeWay = [
  'offered',
  'downloading',
  'staged',
  'installing',
  'installed',
  'verifying',
  'succeeded',
] as const;

/** The journal of a task on its host: its entries, as the agent wrote them. */
export async function journalOf(
  host: Host,
  taskId: string,
  generation = 1,
): Promise<{ step: string; phase: string; event?: { state: string } }[]> {
  const text = await host.readFile(
    `/var/lib/fixpoint-agent/tasks/${taskId}.${String(generation)}/journal.log`,
  );
  return text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line.slice(line.indexOf(' ') + 1)));
}

/** The server's own verification of the trail; also that what it held at an earlier verification is still its beginning. */
export async function auditVerifies(
  product: Product,
  earlier?: Static<typeof AuditVerification>,
): Promise<Static<typeof AuditVerification>> {
  const head =
    earlier === undefined ? '' : `?head_sequence=${earlier.events}&head_hash=${earlier.head ?? ''}`;
  return await product.api.get(`/api/v1/audit/verify${head}`, AuditVerification);
}

/** Runs a part of a test; when it fails, prints what the server and the agents of these hosts said last. */
export async function explained<T>(
  product: Product,
  hosts: readonly Host[],
  body: () => Promise<T>,
): Promise<T> {
  try {
    return await body();
  } catch (error) {
    const said = [`server:\n${product.log().split('\n').slice(-30).join('\n')}`];
    for (const host of hosts) {
      const journal = await host
        .run(['journalctl', '-u', 'fixpoint-agent', '--no-pager', '-n', '50', '-o', 'short-precise'])
        .catch((why: unknown) => ({ stdout: String(why) }));
      said.push(`agent on ${host.name} (${host.state()}):\n${journal.stdout}`);
    }
    process.stderr.write(
      `\n--- evidence of ${String(error).split('\n')[0] ?? ''}\n${said.join('\n')}\n---\n`,
    );
    throw error;
  }
}
