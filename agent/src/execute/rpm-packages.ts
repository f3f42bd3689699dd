import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { parseRpmQuery, rpmQueryFormat, writeEvr } from '@fixpoint/core/inventory/rpm-query.ts';
import type { InstalledPackage } from '@fixpoint/core/inventory/inventory.ts';
import type { OrderedPackage } from '@fixpoint/contract/order.ts';
import { readOsRelease } from '../collect/host.ts';
import { parseRpmFiles } from '../collect/rpm-files.ts';
import { newestOfEach } from '../collect/rpm.ts';
import { AgentFailure, codeOf } from '../failure.ts';
import { runCommand } from '../run-command.ts';
import type {
  ExecutorCommand,
  InstalledFiles,
  OrderedChanges,
  PackageState,
  ShippedFiles,
} from './executor.ts';
import type { PackageId } from './keeping.ts';

/** What dnf, yum and zypper have in common: rpm's database, files of packages, and what rpm itself repairs and puts back. */

/** Every installed version of every package, as the collector writes them. Throws AgentFailure when it cannot be read whole. */
export async function readInstalledRpms(): Promise<InstalledPackage[]> {
  const answer = await runCommand(['rpm', '-qa', '--queryformat', rpmQueryFormat], { timeoutSeconds: 120 });
  if (!answer.ok) {
    throw new AgentFailure(
      'rpm_database_unreadable',
      `rpm's database cannot be read: ${answer.message}`,
      'Run `rpm -qa` on the host; `rpm --rebuilddb` repairs a damaged database.',
    );
  }
  const parsed = parseRpmQuery(answer.stdout, readOsRelease('/').os);
  if (!parsed.ok) throw new AgentFailure(parsed.code, parsed.message, parsed.what_to_do);
  return parsed.packages;
}

/**
 * A transaction of rpm first installs and later erases what that replaces: where it broke off, a package is there in two
 * versions. Kernels, and what else is marked so, may be.
 */
export async function readRpmState(): Promise<PackageState> {
  const packages = await readInstalledRpms();
  const counts = new Map<string, number>();
  for (const p of packages) counts.set(keyOf(p), (counts.get(keyOf(p)) ?? 0) + 1);
  const twice = [...counts].flatMap(([key, count]) => (count > 1 ? [key] : []));
  const beside = twice.length === 0 ? new Set<string>() : await readInstallOnly(twice);
  return {
    versions: new Map(newestOfEach(packages, keyOf).map((p) => [keyOf(p), p.version])),
    unfinished: new Set(twice.filter((key) => !beside.has(key))),
  };
}

function keyOf(p: { readonly name: string; readonly arch: string }): string {
  return `${p.name}:${p.arch}`;
}

/** Of these, the packages that are installed beside their earlier versions. */
async function readInstallOnly(keys: readonly string[]): Promise<ReadonlySet<string>> {
  const names = new Set(keys.map((key) => key.slice(0, key.lastIndexOf(':'))));
  const answer = await runCommand(
    ['rpm', '-q', '--queryformat', String.raw`[%{=NAME}:%{=ARCH}\t%{PROVIDENAME}\n]`, ...names],
    { timeoutSeconds: 60 },
  );
  return parseInstallOnly(answer.stdout);
}

/** dnf.conf(5) installonlypkgs, and `multiversion` of zypp.conf, as distributions have them. */
const installOnly = /^(?:installonlypkg\(.*\)|multiversion\(.*\)|kernel|kernel-PAE)$/u;

/** Reads lines of `NAME:ARCH PROVIDED`, with a tab between. Pure. */
export function parseInstallOnly(text: string): ReadonlySet<string> {
  return new Set(
    text.split('\n').flatMap((line) => {
      const [key, provided] = line.split('\t');
      return key !== undefined && provided !== undefined && installOnly.test(provided) ? [key] : [];
    }),
  );
}

/** Package files below a folder. */
export function rpmFilesBelow(dir: string): string[] {
  try {
    return readdirSync(dir, { recursive: true, encoding: 'utf8' })
      .filter((name) => name.endsWith('.rpm'))
      .map((name) => join(dir, name))
      .toSorted();
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return [];
    throw error;
  }
}

/** Links to one file count once. */
export function bytesOfRpms(dir: string): number {
  const sizes = new Map(
    rpmFilesBelow(dir).map((file) => {
      const { ino, size } = statSync(file);
      return [ino, size] as const;
    }),
  );
  return [...sizes.values()].reduce((sum, size) => sum + size, 0);
}

/** What a package file says it is; null when it is none that can be read. */
export async function identifyRpm(path: string): Promise<PackageId | null> {
  const answer = await runCommand(
    [
      'rpm',
      '-qp',
      '--nosignature',
      '--queryformat',
      String.raw`%{NAME}\t%{ARCH}\t%{EPOCH}\t%{VERSION}\t%{RELEASE}\n`,
      path,
    ],
    { timeoutSeconds: 60 },
  );
  const [name, arch, epoch, version, release] = answer.ok ? answer.stdout.trim().split('\t') : [];
  if (!name || !arch || epoch === undefined || !version || !release) return null;
  return { name, arch, version: writeEvr(epoch, version, release) };
}

/** The packages of a folder by what they say they are, `NAME:ARCH:VERSION`. */
async function identifyAll(dir: string): Promise<ReadonlyMap<string, string>> {
  const files = new Map<string, string>();
  for (const file of rpmFilesBelow(dir)) {
    const p = await identifyRpm(file);
    if (p !== null) files.set(`${keyOf(p)}:${p.version}`, file);
  }
  return files;
}

export async function shippedByRpms(
  dir: string,
  packages: readonly OrderedPackage[],
): Promise<ShippedFiles[]> {
  const files = await identifyAll(dir);
  const shipped: ShippedFiles[] = [];
  for (const p of packages) {
    const file = files.get(`${keyOf(p)}:${p.to}`);
    if (file === undefined) continue;
    const answer = await runCommand(
      [
        'rpm',
        '-qp',
        '--nosignature',
        '--queryformat',
        String.raw`[%{FILENAMES}\t%{FILEDIGESTS}\t%{FILEFLAGS}\n]`,
        file,
      ],
      { timeoutSeconds: 60 },
    );
    if (answer.ok) shipped.push({ name: p.name, arch: p.arch, sums: parseRpmFiles(answer.stdout).sums });
  }
  return shipped;
}

export async function readInstalledFiles(packages: readonly OrderedPackage[]): Promise<InstalledFiles[]> {
  const wanted = new Set(packages.map(keyOf));
  const installed = newestOfEach(
    (await readInstalledRpms()).filter((p) => wanted.has(keyOf(p))),
    keyOf,
  );
  const all: InstalledFiles[] = [];
  for (const p of installed) {
    const { name, arch, version, source, source_version } = p;
    const answer = await runCommand(
      [
        'rpm',
        '-q',
        '--queryformat',
        String.raw`[%{FILENAMES}\t%{FILEDIGESTS}\t%{FILEFLAGS}\n]`,
        nameToRpm(p),
      ],
      { timeoutSeconds: 60 },
    );
    if (!answer.ok) throw new Error(`the files of ${name} cannot be read: ${answer.message}`);
    const { sums } = parseRpmFiles(answer.stdout);
    const files = answer.stdout
      .split('\n')
      .flatMap((line) => line.split('\t', 1).filter((path) => path !== ''));
    all.push({ name, arch, version, source, source_version, files, sums });
  }
  return all;
}

/** `name arch epoch:version-release`, the epoch written even when it is 0. */
function written(p: PackageId): string {
  return `${p.name} ${p.arch} ${/^\d+:/u.test(p.version) ? p.version : `0:${p.version}`}`;
}

/**
 * Takes a transaction that broke off to its end with rpm alone, from the packages that were downloaded and checked for it: a
 * package that is there in its new version is installed once more, which erases the earlier one and runs the scripts that
 * may not have run. `begun`: only packages that are there; `all`: also what the transaction had not come to.
 */
const repairScript = `
which=$1; dir=$2; shift 2
IFS='
'
rpmdb --verifydb || rpmdb --rebuilddb
upgrade=''; beside=''
for file in $(find "$dir" -name '*.rpm' ! -path "$dir/earlier/*" ! -path "$dir/cache/*"); do
  what=$(rpm -qp --nosignature --queryformat '%{NAME} %{ARCH} %|EPOCH?{%{EPOCH}}:{0}|:%{VERSION}-%{RELEASE}' "$file" 2>/dev/null)
  asked=no
  for one in "$@"; do [ "$one" = "$what" ] && asked=yes; done
  [ $asked = yes ] || continue
  if [ $which = begun ]; then
    rpm -q --queryformat '%{NAME} %{ARCH} %|EPOCH?{%{EPOCH}}:{0}|:%{VERSION}-%{RELEASE}\\n' "\${what%% *}" | grep -qxF "$what" || continue
  fi
  if rpm -qp --nosignature --provides "$file" 2>/dev/null | grep -Eq '^(installonlypkg|multiversion)\\(|^kernel(-PAE)?( |$)'
  then beside="$beside$file
"
  else upgrade="$upgrade$file
"
  fi
done
[ -z "$upgrade" ] || rpm -U --replacepkgs $upgrade || exit $?
[ -z "$beside" ] || rpm -i --replacepkgs $beside
`;

export function repairCommand(
  which: 'begun' | 'all',
  dir: string,
  { packages, added }: OrderedChanges,
): ExecutorCommand {
  const wanted = [...packages.map((p) => ({ ...p, version: p.to })), ...added].map(written);
  return { argv: ['/bin/sh', '-c', repairScript, 'fixpoint-repair', which, dir, ...wanted], env: {} };
}

/**
 * `back FILE PACKAGE`: to the version of the file, from that package; `again FILE`: installed again; `away PACKAGE`. By rpm
 * alone, since the repositories need not offer these versions any more: it does exactly this, or refuses for those that
 * need something else. A kernel goes away, and the earlier one is still there beside it.
 */
const rollBackScript = `
try=$1; shift
IFS='
'
provides() { rpm -qp --nosignature --provides "$1" 2>/dev/null | grep -Eq '^(installonlypkg|multiversion)\\(|^kernel(-PAE)?( |$)'; }
upgrade=''; beside=''; away=''
while [ $# -gt 0 ]; do
  case $1 in
    back)
      [ -r "$2" ] || { echo "error: $2 is not kept"; exit 1; }
      if provides "$2"; then
        beside="$beside$2
"; away="$away$3
"
      else upgrade="$upgrade$2
"
      fi
      shift 3 ;;
    again)
      [ -r "$2" ] || { echo "error: $2 is not kept"; exit 1; }
      upgrade="$upgrade$2
"; shift 2 ;;
    away) away="$away$2
"; shift 2 ;;
  esac
done
there() { for one in $1; do rpm -q --quiet "$one" && echo "$one"; done; true; }
if [ $try = try ]; then
  [ -z "$upgrade" ] || rpm -U --test --oldpackage --replacepkgs $upgrade
  exit $?
fi
if [ -n "$upgrade" ] && ! rpm -U --test --oldpackage --replacepkgs $upgrade > /dev/null 2>&1; then
  # What came newly may stand in the way of what went for it. That this is all that does is tried on a copy of the
  # database first: else it would be taken away by force, for nothing, from what needs it.
  gone=$(there "$away")
  if [ -n "$gone" ]; then
    copy=$(mktemp -d) || exit 1
    cp -a "$(rpm --eval '%{_dbpath}')/." "$copy" &&
      rpm --dbpath "$copy" -e --justdb --noscripts --notriggers --nodeps $gone &&
      rpm --dbpath "$copy" -U --test --oldpackage --replacepkgs $upgrade
    code=$?
    rm -rf "$copy"
    [ $code -eq 0 ] || exit $code
    rpm -e --nodeps $gone || exit $?
  fi
fi
[ -z "$upgrade" ] || rpm -U --oldpackage --replacepkgs $upgrade || exit $?
for file in $beside; do
  name=$(rpm -qp --nosignature --queryformat '%{NAME}-%{VERSION}-%{RELEASE}.%{ARCH}' "$file" 2>/dev/null)
  rpm -q --quiet "$name" || rpm -i --oldpackage "$file" || exit $?
done
gone=$(there "$away"); [ -z "$gone" ] || rpm -e $gone
`;

/** @param fileOf where the file of a package is kept */
export function rollBackCommand(
  mode: 'try' | 'do',
  { packages, added, removed }: OrderedChanges,
  fileOf: (p: PackageId) => string,
): ExecutorCommand {
  const steps = [
    ...packages.flatMap((p) => [
      'back',
      fileOf({ ...p, version: p.from }),
      nameToRpm({ ...p, version: p.to }),
    ]),
    ...removed.flatMap((p) => ['again', fileOf(p)]),
    ...added.flatMap((p) => ['away', nameToRpm(p)]),
  ];
  return { argv: ['/bin/sh', '-c', rollBackScript, 'fixpoint-roll-back', mode, ...steps], env: {} };
}

/** As every rpm takes it for one that is installed: without the epoch. */
function nameToRpm(p: PackageId): string {
  return `${p.name}-${p.version.replace(/^\d+:/u, '')}.${p.arch}`;
}
