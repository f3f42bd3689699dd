import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/**
 * Which repositories agents may fetch through the server. Nothing else: a distribution point must not be a way into the
 * server's network.
 */
export interface Repository {
  /** `http://HOST[:PORT]/path/`, normalised, ending in a slash. */
  readonly prefix: string;
  /** Folder that answers in the repository's place; null: the address itself is asked. */
  readonly folder: string | null;
}

export type RepositoryList =
  | { readonly ok: true; readonly repositories: readonly Repository[] }
  | { readonly ok: false; readonly problems: readonly string[] };

/**
 * Reads a list of repositories, separated by blanks or commas: `http://HOST/path/`, `http://NAME/path/=file:///folder` for a folder of
 * this machine under an address of its own, `apt` for the repositories of this machine's own apt sources, and `rpm` for those of
 * its dnf, yum and zypper.
 */
export function readRepositories(
  text: string,
  aptFolder = '/etc/apt',
  rpmFolders: readonly string[] = ['/etc/yum.repos.d', '/etc/zypp/repos.d'],
): RepositoryList {
  const repositories = new Map<string, Repository>();
  const problems: string[] = [];
  for (const entry of text.split(/[\s,]+/u).filter((word) => word !== '')) {
    if (entry === 'apt') {
      for (const one of aptRepositories(aptFolder)) repositories.set(one.prefix, one);
      continue;
    }
    if (entry === 'rpm') {
      for (const one of rpmFolders.flatMap(rpmRepositories)) repositories.set(one.prefix, one);
      continue;
    }
    const equals = entry.indexOf('=');
    const address = equals < 0 ? entry : entry.slice(0, equals);
    const prefix = prefixOf(address);
    const folder = equals < 0 ? null : folderOf(entry.slice(equals + 1));
    if (prefix === null) {
      problems.push(`${entry}: not an address that begins with http:// and has no query`);
    } else if (folder === undefined) {
      problems.push(`${entry}: what stands after = is not a file:/// address`);
    } else {
      repositories.set(prefix, { prefix, folder });
    }
  }
  return problems.length > 0
    ? { ok: false, problems }
    : { ok: true, repositories: [...repositories.values()] };
}

function prefixOf(address: string): string | null {
  if (!URL.canParse(address)) return null;
  const url = new URL(address);
  if (url.protocol !== 'http:' || url.search !== '' || url.hash !== '' || url.username !== '') return null;
  return url.href.endsWith('/') ? url.href : `${url.href}/`;
}

/** Undefined when it is not one. */
function folderOf(address: string): string | undefined {
  if (!URL.canParse(address)) return undefined;
  const url = new URL(address);
  return url.protocol === 'file:' && url.host === '' ? fileURLToPath(url) : undefined;
}

/** The http repositories of apt's sources (sources.list(5), both formats). A file that cannot be read is left out. */
export function aptRepositories(aptFolder: string): Repository[] {
  const prefixes = new Set<string>();
  for (const file of ['sources.list', ...filesOf(join(aptFolder, 'sources.list.d'), 'sources.list.d')]) {
    for (const line of textOf(join(aptFolder, file)).split('\n')) {
      const words = file.endsWith('.sources')
        ? (/^\s*(?:URIs:)?\s*(.*)$/iu.exec(line)?.[1] ?? '')
        : (/^\s*deb\s+(?:\[[^\]]*\]\s+)?(\S+)/u.exec(line)?.[1] ?? '');
      if (line.trimStart().startsWith('#')) continue;
      for (const word of words.split(/\s+/u)) {
        const prefix = word.startsWith('http://') ? prefixOf(word) : null;
        if (prefix !== null) prefixes.add(prefix);
      }
    }
  }
  return [...prefixes].map((prefix) => ({ prefix, folder: null }));
}

/**
 * The http repositories in `.repo` files (dnf.conf(5), `baseurl`). Up to the first variable, since `$releasever` is another on each
 * host. What stands in a mirror list is not known here: name those mirrors one by one.
 */
export function rpmRepositories(folder: string): Repository[] {
  const prefixes = new Set<string>();
  for (const file of filesOf(folder, '', ['.repo'])) {
    let within = false;
    for (const line of textOf(join(folder, file)).split('\n')) {
      const [, given] = /^\s*baseurl\s*=\s*(.*)$/iu.exec(line) ?? [];
      // further addresses stand below it, moved in
      within = given !== undefined || (within && /^\s+\S/u.test(line));
      if (!within) continue;
      for (const word of (given ?? line).split(/[\s,]+/u)) {
        const constant = word.split('$', 1)[0] ?? '';
        const folderOfIt = constant === word ? word : constant.slice(0, constant.lastIndexOf('/') + 1);
        // not a whole host: `http://$mirror/`
        const prefix = /^http:\/\/[^/]+\//u.test(folderOfIt) ? prefixOf(folderOfIt) : null;
        if (prefix !== null) prefixes.add(prefix);
      }
    }
  }
  return [...prefixes].map((prefix) => ({ prefix, folder: null }));
}

function filesOf(folder: string, as: string, endings: readonly string[] = ['.list', '.sources']): string[] {
  try {
    return readdirSync(folder)
      .filter((name) => endings.some((ending) => name.endsWith(ending)))
      .sort()
      .map((name) => join(as, name));
  } catch {
    return [];
  }
}

function textOf(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}

export interface RepositoryFile {
  readonly repository: Repository;
  /** Normalised address, the name of the file in the cache. */
  readonly url: URL;
  /** Below the repository, decoded: `pool/main/o/openssl/openssl_3.0.22.deb`. */
  readonly path: string;
  /** True for what never changes under its name: packages, and indexes named by their hash. */
  readonly immutable: boolean;
  /** SHA-256 (hex) that the name promises: `by-hash` files of apt, `repodata/HASH-primary.xml.gz` of RPM repositories. */
  readonly sha256: string | null;
}

/** The file that an absolute address means, or null when it is not in one of the repositories. */
export function findFile(repositories: readonly Repository[], address: string): RepositoryFile | null {
  if (address.length > 4096 || !URL.canParse(address)) return null;
  const url = new URL(address);
  if (url.protocol !== 'http:' || url.username !== '' || url.password !== '' || url.hash !== '') return null;
  if (url.search !== '') return null;
  const repository = repositories.find((one) => url.href.startsWith(one.prefix));
  if (repository === undefined) return null;
  const path = decoded(url.href.slice(repository.prefix.length));
  // URL has resolved plain dots already; what is left of them was hidden in an encoding
  if (path === null || path.split('/').some((part) => part === '..' || part === '.') || path.includes('\0'))
    return null;
  const sha256 =
    /(?:^|\/)by-hash\/SHA256\/([0-9a-f]{64})$/u.exec(path)?.[1] ??
    /(?:^|\/)repodata\/([0-9a-f]{64})-[^/]+$/u.exec(path)?.[1] ??
    null;
  const immutable =
    /(?:^|\/)pool\/.*\.(?:deb|udeb|ddeb)$/u.test(path) ||
    /\.d?rpm$/u.test(path) ||
    path.includes('/by-hash/') ||
    sha256 !== null;
  return { repository, url, path, immutable, sha256 };
}

function decoded(text: string): string | null {
  try {
    return decodeURIComponent(text);
  } catch {
    return null;
  }
}
