import { parseApkInstalled } from '@fixpoint/core/inventory/apk-installed.ts';
import { parseDpkgStatus, type DpkgStatus } from '@fixpoint/core/inventory/dpkg-status.ts';
import type { InstalledPackage } from '@fixpoint/core/inventory/inventory.ts';
import { originOfApk, withOrigin } from '@fixpoint/core/inventory/origin.ts';
import { parseRpmQuery, rpmQueryFormat } from '@fixpoint/core/inventory/rpm-query.ts';
import { parseCodename, type OsRelease } from '@fixpoint/core/inventory/os-release.ts';
import { ecosystems, isEcosystem, productOf, productTitle } from '@fixpoint/core/knowledge/ecosystem.ts';
import { exitCodes } from '../exit-codes.ts';
import { Failure } from '../failure.ts';
import { debOrigins, type ReadLists } from './apt-lists.ts';
import { listInRoot, osReleaseOf, readInRoot, resolveInRoot } from './root.ts';

/** What a root has installed, by the database of its own package manager. */
export interface RootPackages {
  readonly packages: readonly InstalledPackage[];
  /** The database as seen from inside, such as `/var/lib/dpkg/status`. */
  readonly database: string;
}

/**
 * Reads the database that belongs to the root's system: a Debian with `rpm` installed has an RPM database too, and the other way
 * round. Null for a system that no feed knows.
 *
 * @throws Failure exit code 7 when it is missing, damaged or cannot be read
 */
export async function readPackages(
  root: string,
  os: OsRelease,
  readLists: ReadLists,
): Promise<RootPackages | null> {
  const product = productOf(os.os, os.os_release);
  if (!isEcosystem(product.ecosystem)) return null;
  switch (ecosystems[product.ecosystem].family) {
    case 'deb':
      return readDpkg(root, os.os, readLists);
    case 'rpm':
      return readRpm(root, os.os, productTitle(product));
    case 'apk':
      return readApk(root, os);
    case 'windows':
      throw new Failure(
        exitCodes.inputUnusable,
        'system_not_scannable',
        `${productTitle(product)} cannot be scanned from a folder`,
        'Enrol the host with an agent instead: it reports its build and updates.',
      );
  }
}

function refused(
  root: string,
  path: string,
  refusal: { readonly code: string; readonly message: string; readonly what_to_do: string },
): Failure {
  return new Failure(
    exitCodes.inputUnusable,
    refusal.code,
    `${refusal.message}, in ${root === '/' ? '' : root}${path}; nothing was judged by a list that may be partial`,
    refusal.what_to_do,
  );
}

const dpkgDatabase = '/var/lib/dpkg/status';

function readDpkg(root: string, os: string, readLists: ReadLists): RootPackages {
  const whole = readInRoot(root, dpkgDatabase);
  const text = whole ?? readStatusFolder(root);
  const database = whole === null ? `${dpkgDatabase}.d` : dpkgDatabase;
  if (text === null) {
    throw new Failure(
      exitCodes.inputUnusable,
      'dpkg_status_missing',
      `${root} has no var/lib/dpkg/status`,
      'Give --root the folder that holds the var folder of the system.',
    );
  }
  const parsed = parseDpkgStatus(text);
  if (!parsed.ok) throw refused(root, database, parsed);
  return { packages: withOrigins(root, os, parsed.status, text, readLists), database };
}

/** Distroless images have one file for each package, without a Status field since no dpkg put it there. */
function readStatusFolder(root: string): string | null {
  const names = listInRoot(root, `${dpkgDatabase}.d`).filter((name) => !name.endsWith('.md5sums'));
  if (names.length === 0) return null;
  return names
    .flatMap((name) => (readInRoot(root, `${dpkgDatabase}.d/${name}`) ?? '').split(/\n\n+/u))
    .filter((stanza) => stanza.trim() !== '')
    .map(
      (stanza) =>
        `${/^Status:/mu.test(stanza) ? '' : 'Status: install ok installed\n'}${stanza.trimEnd()}\n\n`,
    )
    .join('');
}

function withOrigins(
  root: string,
  os: string,
  status: DpkgStatus,
  text: string,
  readLists: ReadLists,
): InstalledPackage[] {
  const { packages } = status;
  const system = { os, codename: parseCodename(osReleaseOf(root) ?? '') };
  const origins = debOrigins(root, system, status, text, readLists);
  return packages.map((p, i) => {
    const built = origins[i];
    return built === undefined || built.origin === 'distribution' ? p : withOrigin(p, built);
  });
}

/** Where the database is and was: `rpm --eval %_dbpath` of the distributions. */
const rpmFolders = ['/usr/lib/sysimage/rpm', '/var/lib/rpm'];
/** Of each of rpm's back ends: sqlite, ndb, Berkeley DB. */
const rpmFiles: ReadonlySet<string> = new Set(['rpmdb.sqlite', 'Packages.db', 'Packages']);

/** By the machine's own `rpm`, which reads the databases of all its back ends. */
async function readRpm(root: string, os: string, title: string): Promise<RootPackages> {
  const folder = rpmFolders.find((path) => listInRoot(root, path).some((name) => rpmFiles.has(name)));
  const real = folder === undefined ? null : resolveInRoot(root, folder);
  if (folder === undefined || real === null) {
    throw new Failure(
      exitCodes.inputUnusable,
      'rpm_database_missing',
      `${root} is ${title} and has no RPM database in ${rpmFolders.map((path) => path.slice(1)).join(' or ')}`,
      'Give --root the folder that holds the usr and var folders of the system.',
    );
  }
  const { runTool } = await import('../run-command.ts');
  // By the folder and not by --root, so that links inside the root do not lead to the database of this machine.
  const answer = runTool('rpm', ['--dbpath', real, '-qa', '--queryformat', rpmQueryFormat], 120);
  if (answer.failure === 'ENOENT') {
    throw new Failure(
      exitCodes.inputUnusable,
      'rpm_missing',
      `${root} has an RPM database, and this machine has no rpm to read it with`,
      'Install the package rpm here (`apt install rpm`, `apk add rpm`), or give an SBOM of the system with --sbom.',
    );
  }
  if (answer.failure !== null || answer.exitCode !== 0) {
    const said = answer.stderr.trim().split('\n')[0] ?? '';
    throw refused(root, folder, {
      code: 'rpm_database_unreadable',
      message: `rpm cannot read the database (${answer.failure ?? (said === '' ? `exit code ${String(answer.exitCode)}` : said)})`,
      what_to_do: `Run \`rpm --dbpath ${real} -qa\` here: an rpm older than the database's cannot read it. \`rpm --rebuilddb\` on the system itself repairs a damaged one.`,
    });
  }
  const parsed = parseRpmQuery(answer.stdout, os);
  if (!parsed.ok) throw refused(root, folder, parsed);
  return { packages: parsed.packages, database: folder };
}

const apkDatabases = ['/lib/apk/db/installed', '/usr/lib/apk/db/installed'];

function readApk(root: string, os: OsRelease): RootPackages {
  for (const database of apkDatabases) {
    const text = readInRoot(root, database);
    if (text === null) continue;
    const parsed = parseApkInstalled(text);
    if (!parsed.ok) throw refused(root, database, parsed);
    const world = (readInRoot(root, '/etc/apk/world') ?? '').split(/\s+/u);
    const pinned = new Set(world.flatMap((entry) => /^([^@<>=~]+)><Q1/u.exec(entry)?.[1] ?? []));
    const { packages } = parsed.installed;
    const asked = taggedRepositories(world, readInRoot(root, '/etc/apk/repositories') ?? '');
    // What was built along with it came along with it: `libcrypto3` with `openssl@edge`.
    const builds = new Map(
      packages.flatMap((p) => {
        const repositories = asked.get(p.name);
        return repositories === undefined ? [] : [[buildOf(p), repositories] as const];
      }),
    );
    return {
      // The root's indexes are not read, so the only signs against the distribution are a package put there as a file, and
      // one that the administrator asked for from another repository.
      packages: packages.map((p) => {
        const evidence = {
          offeredBy: builds.get(buildOf(p)) ?? [],
          isNameOfDistribution: true,
          isPinnedToFile: pinned.has(p.name),
        };
        const built = originOfApk(os.os, evidence, os.os_release);
        // Repositories without a tag are considered too, so a tag only tells where it may be from.
        return withOrigin(p, built.origin === 'third_party' ? { ...built, origin: 'unknown' } : built);
      }),
      database,
    };
  }
  throw new Failure(
    exitCodes.inputUnusable,
    'apk_database_missing',
    `${root} has no lib/apk/db/installed`,
    'Give --root the folder that holds the lib folder of the system.',
  );
}

const buildOf = (p: InstalledPackage): string => `${p.source} ${p.source_version}`;

/**
 * Package → the repositories that it was asked for from: `openssl@edge` of /etc/apk/world, where a line of
 * /etc/apk/repositories begins with `@edge` (apk-world(5), apk-repositories(5)).
 */
function taggedRepositories(world: readonly string[], repositories: string): Map<string, string[]> {
  const byTag = new Map<string, string[]>();
  for (const line of repositories.split('\n')) {
    const [, tag, repository] = /^\s*@(\S+)\s+(\S+)/u.exec(line) ?? [];
    if (tag !== undefined && repository !== undefined)
      byTag.set(tag, [...(byTag.get(tag) ?? []), repository]);
  }
  return new Map(
    world.flatMap((entry) => {
      const [, name, tag] = /^([^@<>=~!]+)@([^<>=~]+)/u.exec(entry) ?? [];
      const tagged = byTag.get(tag ?? '');
      return name === undefined || tagged === undefined ? [] : [[name, tagged] as const];
    }),
  );
}
