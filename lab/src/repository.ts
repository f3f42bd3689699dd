/**
 * A signed apt repository of the lab's own packages, built with dpkg-deb as a folder that any static HTTP server can
 * serve. Format of Packages and Release: Debian's repository format (wiki.debian.org/DebianRepository/Format).
 */
import { createHash } from 'node:crypto';
import { chmod, mkdir, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { tmpdir } from 'node:os';
import { now } from './clock.ts';
import type { Host } from './host.ts';
import { type LabPackage, type LabPackageVersion, labPackages } from './lab-packages.ts';
import { cleanEnvironment, runOrThrow } from './run-command.ts';

export interface LabRepository {
  /** What to serve over HTTP: holds `dists/` and `pool/`. */
  readonly folder: string;
  readonly suite: string;
  readonly component: string;
  /** The ASCII-armoured public key, for Signed-By. */
  readonly publicKey: string;
  /** The stanza for a host's `/etc/apt/sources.list.d/`. `keyPath` is where the host keeps `publicKey`. */
  readonly sourcesStanza: (baseUrl: string, keyPath: string) => string;
}

const suite = 'fixpoint-lab';
const component = 'main';

/** Who the repository says it is of, and who maintains its packages. */
export interface RepositoryIdentity {
  /** Origin of the Release file. */
  readonly origin: string;
  /** Maintainer of every package. */
  readonly maintainer: string;
}

/**
 * The lab plays the distribution: its packages have statements in its own Debian tracker file (`lab-knowledge.ts`), which
 * speaks of nothing that somebody else built.
 */
export const labIdentity: RepositoryIdentity = {
  origin: 'Debian',
  maintainer: 'Fixpoint lab <lab@fixpoint.invalid>',
};

function digest(algorithm: 'md5' | 'sha256', content: Uint8Array | string): string {
  return createHash(algorithm).update(content).digest('hex');
}

function control(
  labPackage: LabPackage,
  version: LabPackageVersion,
  installedKibibytes: number,
  maintainer: string,
): string {
  const more = Object.entries(version.fields ?? {}).map(([field, value]) => `${field}: ${value}\n`);
  return `Package: ${labPackage.name}
Version: ${version.version}
${more.join('')}Architecture: all
Maintainer: ${maintainer}
Installed-Size: ${installedKibibytes}
Section: misc
Priority: optional
Description: package of the Fixpoint lab
 ${labPackage.story}
`;
}

/** Builds one .deb; returns its stanza of Packages. */
async function buildPackage(
  labPackage: LabPackage,
  version: LabPackageVersion,
  folders: { work: string; repository: string },
  maintainer: string,
): Promise<string> {
  const tree = `${folders.work}/${labPackage.name}_${version.version}`;
  await mkdir(`${tree}/DEBIAN`, { recursive: true });
  const sums: string[] = [];
  const conffiles: string[] = [];
  let bytes = 0;
  for (const [path, { text, mode }] of version.files) {
    await mkdir(dirname(`${tree}${path}`), { recursive: true });
    await writeFile(`${tree}${path}`, text);
    await chmod(`${tree}${path}`, mode);
    bytes += text.length;
    // As debhelper does it: what is in /etc may be changed by the administrator, and has no digest in the list.
    if (path.startsWith('/etc/')) conffiles.push(`${path}\n`);
    else sums.push(`${digest('md5', text)}  ${path.slice(1)}\n`);
  }
  if (conffiles.length > 0) await writeFile(`${tree}/DEBIAN/conffiles`, conffiles.join(''));
  await writeFile(`${tree}/DEBIAN/md5sums`, sums.sort().join(''));
  for (const [script, body] of version.scripts) {
    await writeFile(`${tree}/DEBIAN/${script}`, `#!/bin/sh\nset -e\n${body}\n`);
    await chmod(`${tree}/DEBIAN/${script}`, 0o755);
  }
  const text = control(labPackage, version, Math.ceil(bytes / 1024), maintainer);
  await writeFile(`${tree}/DEBIAN/control`, text);

  const fileName = `pool/${component}/${labPackage.name}_${version.version}_all.deb`;
  await runOrThrow(['dpkg-deb', '--root-owner-group', '--build', tree, `${folders.repository}/${fileName}`]);
  const deb = await readFile(`${folders.repository}/${fileName}`);
  const where = [
    `Filename: ${fileName}`,
    `Size: ${deb.length}`,
    `MD5sum: ${digest('md5', deb)}`,
    `SHA256: ${digest('sha256', deb)}`,
  ];
  return text.replace('Description:', `${where.join('\n')}\nDescription:`);
}

/** Signs `dists/SUITE/Release` (InRelease and Release.gpg) with a key made for this and thrown away; returns the key. */
async function sign(release: string): Promise<string> {
  // Short path: gpg's agent puts a socket in it.
  const home = await mkdtemp(`${tmpdir()}/fixpoint-lab-key-`);
  const options = { environment: { ...cleanEnvironment, GNUPGHOME: home } };
  const gpg = ['gpg', '--batch', '--yes', '--quiet', '--pinentry-mode', 'loopback', '--passphrase', ''];
  try {
    await runOrThrow(
      [...gpg, '--quick-generate-key', 'Fixpoint lab <lab@fixpoint.invalid>', 'rsa3072', 'sign', 'never'],
      options,
    );
    await runOrThrow([...gpg, '--clearsign', '--output', `${dirname(release)}/InRelease`, release], options);
    await runOrThrow(
      [...gpg, '--armor', '--detach-sign', '--output', `${dirname(release)}/Release.gpg`, release],
      options,
    );
    return (await runOrThrow([...gpg, '--armor', '--export'], options)).stdout;
  } finally {
    await runOrThrow(['gpgconf', '--kill', 'all'], options);
    await rm(home, { recursive: true, force: true });
  }
}

/** Builds all packages, both versions, and the signed lists into `folder`, which is made and must not exist yet. */
export async function buildRepository(
  folder: string,
  packages: readonly LabPackage[] = labPackages,
  identity: RepositoryIdentity = labIdentity,
): Promise<LabRepository> {
  await mkdir(`${folder}/pool/${component}`, { recursive: true });
  const architecture = (await runOrThrow(['dpkg', '--print-architecture'])).stdout.trim();
  const work = await mkdtemp(`${tmpdir()}/fixpoint-lab-build-`);
  const stanzas: string[] = [];
  try {
    for (const labPackage of packages) {
      for (const version of labPackage.versions) {
        stanzas.push(
          await buildPackage(labPackage, version, { work, repository: folder }, identity.maintainer),
        );
      }
    }
  } finally {
    await rm(work, { recursive: true, force: true });
  }

  const dists = `${folder}/dists/${suite}`;
  const list = `${component}/binary-${architecture}/Packages`;
  await mkdir(dirname(`${dists}/${list}`), { recursive: true });
  await writeFile(`${dists}/${list}`, stanzas.join('\n'));
  const content = await readFile(`${dists}/${list}`);
  const release = `Origin: ${identity.origin}
Label: ${identity.origin}
Suite: ${suite}
Codename: ${suite}
Date: ${now().toUTCString()}
Architectures: ${architecture} all
Components: ${component}
Description: packages that go wrong on purpose
SHA256:
 ${digest('sha256', content)} ${(await stat(`${dists}/${list}`)).size} ${list}
`;
  await writeFile(`${dists}/Release`, release);
  const publicKey = await sign(`${dists}/Release`);
  await writeFile(`${folder}/key.asc`, publicKey);
  return {
    folder,
    suite,
    component,
    publicKey,
    sourcesStanza: (baseUrl, keyPath) =>
      `Types: deb\nURIs: ${baseUrl}\nSuites: ${suite}\nComponents: ${component}\nSigned-By: ${keyPath}\n`,
  };
}

/** Configures the repository on a host. It works while the host is off too, so it fits into `prepare`. */
export async function configureRepository(
  host: Host,
  repository: LabRepository,
  baseUrl: string,
): Promise<void> {
  const keyPath = '/etc/apt/keyrings/fixpoint-lab.asc';
  await host.writeFile(keyPath, repository.publicKey);
  await host.writeFile(
    '/etc/apt/sources.list.d/fixpoint-lab.sources',
    repository.sourcesStanza(baseUrl, keyPath),
  );
}

/** Arguments for `apt-get update` that fetch this repository's lists only, and leave all others as they are. */
export const updateOnlyLabRepository: readonly string[] = [
  'apt-get update --quiet --error-on=any',
  '-o Dir::Etc::sourcelist=/etc/apt/sources.list.d/fixpoint-lab.sources',
  '-o Dir::Etc::sourceparts=- -o APT::Get::List-Cleanup=0',
].flatMap((part) => part.split(' '));
