/**
 * A system of rpm on this machine: its own root as a layer over this one's, in which os-release, rpm's database and the
 * repositories are another distribution's. rpm, dnf, zypper and rpmbuild are Debian's builds of the real programs. Everything
 * happens in a mount namespace of one script, and is gone with it.
 */
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { runCommand, runOrThrow, type CommandResult } from './run-command.ts';

/** Debian packages that this needs, besides those of the lab. */
export const rpmPackages = ['rpm', 'dnf', 'zypper', 'createrepo-c'] as const;

export async function hasRpmTools(): Promise<boolean> {
  const found = await runCommand([
    'sh',
    '-c',
    'command -v rpmbuild && command -v dnf && command -v zypper && command -v createrepo_c',
  ]);
  return found.exitCode === 0;
}

export interface RpmPackage {
  readonly name: string;
  readonly version: string;
  readonly release: string;
  readonly epoch?: string;
  readonly vendor?: string;
  /** `name:stream:version:context` */
  readonly module?: string;
  /** Path → text; `program`: a program of its own that sleeps. */
  readonly files: Readonly<Record<string, string | { readonly program: true }>>;
  /** Of the files, those that the administrator may change. */
  readonly configuration?: readonly string[];
  /** Further lines of the spec's head. */
  readonly head?: readonly string[];
  /** Scripts of the package: `%post`, and what follows it. */
  readonly scripts?: readonly string[];
}

function spec(p: RpmPackage): string {
  const install = Object.entries(p.files).map(([path, content]) => {
    const to = `%{buildroot}${path}`;
    const make =
      typeof content === 'string'
        ? `printf '%s' '${content}' > ${to}`
        : // Other bytes in each version, and still the same program.
          `cp /bin/sleep ${to} && echo ${p.version} >> ${to}`;
    return `mkdir -p "$(dirname ${to})" && ${make}`;
  });
  const list = Object.keys(p.files).map((path) =>
    p.configuration?.includes(path) === true ? `%config(noreplace) ${path}` : path,
  );
  return [
    `Name: ${p.name}`,
    `Version: ${p.version}`,
    `Release: ${p.release}`,
    ...(p.epoch === undefined ? [] : [`Epoch: ${p.epoch}`]),
    ...(p.vendor === undefined ? [] : [`Vendor: ${p.vendor}`]),
    ...(p.module === undefined ? [] : [`ModularityLabel: ${p.module}`]),
    'Summary: package of the Fixpoint lab',
    'License: none',
    'AutoReqProv: no',
    ...(p.head ?? []),
    '%description',
    'package of the Fixpoint lab',
    '%install',
    ...install,
    ...(p.scripts ?? []),
    '%files',
    ...list,
    '',
  ].join('\n');
}

export interface RpmScript {
  /** Path inside → text. */
  readonly files: Readonly<Record<string, string>>;
  /** Built into the repository at /srv/repository before the script runs. */
  readonly packages: readonly RpmPackage[];
  /** Local files to copy to a path inside, with mode 0755. */
  readonly programs: Readonly<Record<string, string>>;
  /** For `sh -e`, inside. What it writes to /srv/out is given back. */
  readonly script: string;
  /** Folders of this machine that must be there inside under the same path. */
  readonly mounts?: readonly string[];
  /** How long it may take; 300 unless given. */
  readonly timeoutSeconds?: number;
}

const setUp = `
set -e
cd "$1"
mkdir layer
mount -t tmpfs none layer
mkdir layer/upper layer/work layer/root
mount -t overlay overlay -o lowerdir=/,upperdir=layer/upper,workdir=layer/work layer/root
mount --rbind /dev layer/root/dev
mount -t proc proc layer/root/proc
mkdir -p layer/root/srv
cp -r inside/. layer/root/
# Tools of another family may be there, as on any host; what else this machine knows of rpm is not this system's.
rm -rf layer/root/root/.rpmdb layer/root/var/lib/rpm layer/root/root/rpmbuild
mkdir -p layer/root/etc/rpm layer/root/srv/out layer/root/srv/repository
echo '%_dbpath /var/lib/rpm' > layer/root/etc/rpm/macros
shift
for folder in "$@"; do
  # As a rule it shows through the layer; on a file system of its own it does not.
  [ -n "$(ls -A "layer/root$folder" 2>/dev/null)" ] && continue
  mkdir -p "layer/root$folder"
  mount --bind "$folder" "layer/root$folder"
done
chroot layer/root sh -e /srv/build.sh > build.log 2>&1 || { cat build.log >&2; exit 1; }
status=0
chroot layer/root sh -e /srv/script.sh || status=$?
cp -r layer/root/srv/out/. out/
exit $status
`;

const build = `
for one in /srv/specs/*.spec; do
  rpmbuild --quiet -bb --target x86_64 --define 'debug_package %{nil}' --define '_build_id_links none' \
    --define '__os_install_post %{nil}' "$one"
done
find ~/rpmbuild/RPMS -name '*.rpm' -exec cp {} /srv/repository/ ';'
createrepo_c --quiet /srv/repository
`;

/** Runs a script in such a system; answers what it wrote to /srv/out, by file name. */
export async function runInRpmRoot(
  given: RpmScript,
): Promise<{ readonly result: CommandResult; readonly out: ReadonlyMap<string, string> }> {
  const folder = await mkdtemp(`${tmpdir()}/fixpoint-lab-rpm-`);
  try {
    await mkdir(`${folder}/out`);
    const put = async (path: string, text: string): Promise<void> => {
      const at = `${folder}/inside${path}`;
      await mkdir(at.slice(0, at.lastIndexOf('/')), { recursive: true });
      await writeFile(at, text);
    };
    for (const [path, text] of Object.entries(given.files)) await put(path, text);
    for (const [i, p] of given.packages.entries()) await put(`/srv/specs/${i}.spec`, spec(p));
    await put('/srv/build.sh', build);
    await put('/srv/script.sh', given.script);
    for (const [path, local] of Object.entries(given.programs)) {
      await put(path, '');
      await runOrThrow(['cp', local, `${folder}/inside${path}`]);
      await runOrThrow(['chmod', '0755', `${folder}/inside${path}`]);
    }
    const result = await runCommand(
      // What the script leaves running ends with its process namespace, and its mounts with theirs.
      [
        'unshare',
        '--mount',
        '--propagation',
        'private',
        '--pid',
        '--fork',
        '--kill-child',
        'sh',
        '-c',
        setUp,
        'sh',
        folder,
        ...(given.mounts ?? []),
      ],
      { timeoutSeconds: given.timeoutSeconds ?? 300 },
    );
    const out = new Map<string, string>();
    for (const name of await readdir(`${folder}/out`)) {
      out.set(name, await readFile(`${folder}/out/${name}`, 'utf8'));
    }
    return { result, out };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
