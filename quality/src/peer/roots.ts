import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { runCommand } from '../run-command.ts';

/** A folder in which apt's library finds this dpkg status and nothing else; answers the environment to start a program with. */
export function makeDebRoot(folder: string, status: string): Readonly<Record<string, string>> {
  for (const path of [
    'var/lib/dpkg',
    'var/lib/apt/lists/partial',
    'var/cache/apt/archives/partial',
    'etc/apt/preferences.d',
    'etc/apt/sources.list.d',
  ])
    mkdirSync(join(folder, path), { recursive: true });
  writeFileSync(join(folder, 'var/lib/dpkg/status'), status);
  writeFileSync(join(folder, 'etc/apt/sources.list'), '');
  const config = join(folder, 'apt.conf');
  writeFileSync(
    config,
    `Dir "${folder}/";\nDir::State::status "${folder}/var/lib/dpkg/status";\nDir::Etc::parts "";\n`,
  );
  return { APT_CONFIG: config };
}

const databasePath = '/var/lib/rpm';

export interface RpmToInstall {
  readonly name: string;
  /** `epoch:version-release` */
  readonly version: string;
}

/**
 * A root whose rpm database has these packages: rpmbuild makes them, empty, as parts of one source, and rpm enters them without
 * installing a file.
 */
export function makeRpmRoot(
  folder: string,
  packages: readonly RpmToInstall[],
): Readonly<Record<string, string>> {
  mkdirSync(folder, { recursive: true });
  const parts = packages.map(({ name, version }) => {
    const [, epoch = '0', upstream, release] = /^(?:(\d+):)?([^-]+)-([^-]+)$/u.exec(version) ?? [];
    if (upstream === undefined || release === undefined)
      throw new Error(`${version} is no version of an RPM`);
    return `%package -n ${name}\nSummary: -\nEpoch: ${epoch}\nVersion: ${upstream}\nRelease: ${release}\n%description -n ${name}\n-\n%files -n ${name}\n`;
  });
  const spec = join(folder, 'made-up.spec');
  writeFileSync(
    spec,
    `Name: made-up\nVersion: 1\nRelease: 1\nSummary: -\nLicense: -\nBuildArch: noarch\n%description\n-\n${parts.join('\n')}`,
  );
  const built = runCommand('rpmbuild', ['-bb', '--quiet', '--define', `_topdir ${folder}/build`, spec]);
  if (built.exitCode !== 0) throw new Error(`rpmbuild: ${built.stderr}`);
  const rpms = join(folder, 'build/RPMS/noarch');
  const root = join(folder, 'root');
  mkdirSync(root);
  const files = readdirSync(rpms).map((file) => join(rpms, file));
  // prettier-ignore
  const entered = runCommand('rpm', ['--root', root, '--dbpath', databasePath, '-i', '--justdb', '--nodeps', '--noscripts', '--nosignature', '--ignorearch', ...files]);
  if (entered.exitCode !== 0) throw new Error(`rpm: ${entered.stderr}`);
  // Debian's rpm keeps its database in a home folder and starts a shell to learn which; this home says where it is.
  writeFileSync(join(folder, '.rpmmacros'), `%_dbpath ${databasePath}\n`);
  return { OSCAP_PROBE_ROOT: root, HOME: folder };
}
