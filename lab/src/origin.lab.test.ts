/**
 * Who built a package, judged by the agent on a real host: with the distribution's indexes, with a vendor's signed repository
 * beside them, and with packages that nobody offers any more.
 */
import { readdir } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Candidate, InstalledPackage } from '@fixpoint/contract/inventory.ts';
import { parseShape } from '@fixpoint/contract/parse.ts';
import { Type, type Static } from '@fixpoint/contract/schema.ts';
import { type Lab, startLab } from './fleet.ts';
import type { Host } from './host.ts';
import type { LabPackage } from './lab-packages.ts';
import { missing, say } from './lab-suite.ts';
import { agentBinary } from './product.ts';
import {
  buildRepository,
  configureRepository,
  updateOnlyLabRepository,
  type LabRepository,
} from './repository.ts';
import { serveFolder, type RepositoryServer } from './repository-server.ts';
import { runOrThrow } from './run-command.ts';

/** A package without content, in two versions. */
function plain(name: string, first: string, second: string): LabPackage {
  const file = `/usr/share/fixpoint-lab/${name}`;
  const version = (text: string) => ({
    version: text,
    files: new Map([[file, { text: `${text}\n`, mode: 0o644 }]]),
    scripts: new Map(),
  });
  return {
    name,
    vulnerableVersion: first,
    fixedVersion: second,
    file,
    story: 'stands for a package of somebody else',
    versions: [version(first), version(second)],
  };
}

/** What is looked at of what `fixpoint-agent inventory` prints. */
const Report = Type.Object({
  packages: Type.Array(InstalledPackage),
  candidates: Type.Array(Candidate),
});
type Report = Static<typeof Report>;

describe.skipIf(missing !== undefined)('who built a package', () => {
  let lab: Lab;
  let host: Host;
  let vendor: LabRepository;
  let server: RepositoryServer;
  /** Debian's own version and maintainer of `hello`, by the host's indexes. */
  let debianHello: { readonly version: string; readonly maintainer: string };

  beforeAll(async () => {
    const binary = await agentBinary(say);
    lab = await startLab({ onProgress: say });
    host = await lab.bootHost({ name: 'origins' });
    await host.copyIn(binary, '/usr/local/bin/fixpoint-agent', 0o755);
    const record = await host.runOrThrow(['apt-cache', 'show', '--no-all-versions', 'hello']);
    const field = (label: string): string => new RegExp(`^${label}: (.*)$`, 'm').exec(record)?.[1] ?? '';
    debianHello = { version: field('Version'), maintainer: field('Maintainer') };
    // Names that Debian has too, and one that nobody else has.
    vendor = await buildRepository(
      `${lab.folder}/vendor`,
      [
        plain('curl', '99.0-1', '99.1-1'),
        plain('jq', '99.0-1', '99.1-1'),
        plain('sl', '99.0-1nodesource1', '99.0-1nodesource2'),
        plain('hello', debianHello.version, `${debianHello.version}acme1`),
        plain('acme-tool', '1.0', '1.1'),
      ],
      { origin: 'Acme Vendor', maintainer: 'Acme <packages@acme.invalid>' },
    );
    server = await serveFolder(vendor.folder, lab.network.address);
  });
  afterAll(async () => {
    await server?.stop();
    await lab?.stop();
  });

  async function look(): Promise<Report> {
    const printed: unknown = JSON.parse(await host.runOrThrow(['fixpoint-agent', 'inventory']));
    const parsed = parseShape(Report, printed);
    if (!parsed.ok) throw new Error(JSON.stringify(parsed.problems));
    return parsed.value;
  }
  const originOf = (report: Report, name: string) => {
    const p = report.packages.find((one) => one.name === name);
    return p === undefined ? 'not installed' : `${p.origin ?? 'distribution'} ${p.vendor ?? ''}`.trimEnd();
  };
  const install = (...names: string[]) =>
    host.runOrThrow(['apt-get', 'install', '--yes', '--quiet', '--allow-downgrades', ...names]);
  /** As somebody would who has the file: no repository knows of it. */
  async function installFile(name: string, version: string): Promise<void> {
    const file = `${name}_${version}_all.deb`;
    await host.copyIn(`${vendor.folder}/pool/main/${file}`, `/root/${file}`);
    await host.runOrThrow(['dpkg', '--install', `/root/${file}`]);
  }

  test('everything that debootstrap and apt installed is Debian’s, old builds that are put back too', async () => {
    const report = await look();
    expect(report.packages.length).toBeGreaterThan(100);
    expect(report.packages.filter((p) => p.origin !== undefined)).toEqual([]);
  });

  test('old builds that no index has any more stay Debian’s', async () => {
    const before = await look();
    const lists = (await host.runOrThrow(['sh', '-c', 'ls /var/lib/apt/lists/*security*']))
      .trim()
      .split('\n');
    await host.runOrThrow(['mkdir', '-p', '/srv/lists']);
    await host.runOrThrow(['mv', ...lists, '/srv/lists/']);
    try {
      const policy = await host.runOrThrow(['apt-cache', 'policy', ...before.packages.map((p) => p.name)]);
      const blocks = policy.split(/\n(?=\S)/u);
      const inNoIndex = blocks.filter((one) => / \*\*\* .*\n +100 \/var\/lib\/dpkg\/status/u.test(one));
      const nameOf = (block: string): string => block.slice(0, block.indexOf(':'));
      // What apt would still replace is an old build; what is newer than everything offered could be anybody's.
      const isNewest = (block: string): boolean =>
        /Installed: (.*)\n/u.exec(block)?.[1] === /Candidate: (.*)\n/u.exec(block)?.[1];
      const old = new Set(inNoIndex.filter((one) => !isNewest(one)).map(nameOf));
      const newest = new Set(inNoIndex.filter(isNewest).map(nameOf));
      // Else the test shows nothing.
      expect(old.size).toBeGreaterThan(0);
      const report = await look();
      const told = report.packages.filter((p) => p.origin !== undefined);
      expect(told.filter((p) => !newest.has(p.name))).toEqual([]);
      expect(told.filter((p) => p.origin !== 'unknown')).toEqual([]);
    } finally {
      await host.runOrThrow(['sh', '-c', 'mv /srv/lists/* /var/lib/apt/lists/']);
    }
  });

  test('a file that somebody installed by hand is of nobody that we know', async () => {
    await installFile('acme-tool', '1.0');
    // Debian's name and Debian's very version, built by somebody else.
    await installFile('hello', debianHello.version);
    const report = await look();
    expect(originOf(report, 'acme-tool')).toBe('unknown');
    expect(originOf(report, 'hello')).toBe('unknown');
    expect(report.packages.filter((p) => p.origin !== undefined).map((p) => p.name)).toEqual([
      'acme-tool',
      'hello',
    ]);
  });

  test('Debian’s package is not offered a vendor’s version as its update', async () => {
    await configureRepository(host, vendor, server.url);
    await host.runOrThrow(updateOnlyLabRepository);
    expect(await host.runOrThrow(['apt-cache', 'policy', 'curl'])).toContain('Candidate: 99.1-1');
    const report = await look();
    expect(originOf(report, 'curl')).toBe('distribution');
    // It is in its past: Debian's own update is.
    expect(report.candidates.find((one) => one.name === 'curl')?.version).toMatch(/^7\.88\.1-10\+deb12u/);
  });

  test('what a vendor’s repository offers is the vendor’s, whatever its name', async () => {
    await install('jq=99.0-1', 'sl=99.0-1nodesource1');
    const report = await look();
    expect(originOf(report, 'jq')).toBe('third_party Acme Vendor');
    expect(originOf(report, 'sl')).toBe('third_party Acme Vendor');
    // The files that were installed by hand before are now known to be the vendor's.
    expect(originOf(report, 'acme-tool')).toBe('third_party Acme Vendor');
    expect(originOf(report, 'hello')).toBe('third_party Acme Vendor');
    // And the vendor's own updates are told.
    expect(report.candidates.find((one) => one.name === 'jq')).toMatchObject({
      version: '99.1-1',
      repository: 'fixpoint-lab/main',
    });
  });

  test('once the repository is gone, only a mark in the version still tells who it was', async () => {
    await host.runOrThrow(['rm', '/etc/apt/sources.list.d/fixpoint-lab.sources']);
    const report = await look();
    expect(originOf(report, 'jq')).toBe('unknown');
    expect(originOf(report, 'sl')).toBe('third_party NodeSource');
  });

  test('Debian’s build in its place is Debian’s again', async () => {
    // The host has no way out; this machine has Debian's repositories.
    await runOrThrow(['apt-get', 'download', `hello=${debianHello.version}`], { workingFolder: lab.folder });
    const file = (await readdir(lab.folder)).find((name) => /^hello_.*\.deb$/.test(name)) ?? '';
    await host.copyIn(`${lab.folder}/${file}`, '/root/hello.deb');
    await host.runOrThrow(['dpkg', '--install', '/root/hello.deb']);
    expect(originOf(await look(), 'hello')).toBe('distribution');
  });

  test('without any list there is only what versions and maintainers say', async () => {
    await host.runOrThrow(['sh', '-c', 'rm -rf /var/lib/apt/lists/* && mkdir -p /var/lib/apt/lists/partial']);
    const report = await look();
    expect(report.packages.filter((p) => p.origin !== undefined).map((p) => p.name)).toEqual(['sl']);
  });
});
