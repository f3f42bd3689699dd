import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { readTextIfThere } from '../state-dir.ts';
import { withoutUsr } from './maps.ts';

/** Which package a file belongs to, and what a package's files must be: /var/lib/dpkg/info, dpkg-divert(1). */

const infoDir = '/var/lib/dpkg/info';

/** dpkg names the files of a package `NAME.list`, or `NAME:ARCH.list` where several architectures may be installed. */
function infoFile(p: { readonly name: string; readonly arch: string }, suffix: string): string | null {
  return (
    readTextIfThere(join(infoDir, `${p.name}:${p.arch}.${suffix}`)) ??
    readTextIfThere(join(infoDir, `${p.name}.${suffix}`))
  );
}

/** Absolute paths that dpkg says the package owns, folders included. */
export function readFileList(p: { readonly name: string; readonly arch: string }): string[] {
  return (infoFile(p, 'list') ?? '').split('\n').filter((line) => line.startsWith('/'));
}

/** Absolute path → MD5 (hex) of a `.md5sums` file's text: `DIGEST  relative/path`. */
export function parseMd5sums(text: string): Map<string, string> {
  const sums = new Map<string, string>();
  for (const line of text.split('\n')) {
    const match = /^([0-9a-f]{32}) [ *](.+)$/u.exec(line);
    if (match?.[1] !== undefined && match[2] !== undefined)
      sums.set(`/${match[2].replace(/^\.?\//u, '')}`, match[1]);
  }
  return sums;
}

/** What the installed version says its files are; empty when the package ships no digests. */
export function readMd5sums(p: { readonly name: string; readonly arch: string }): Map<string, string> {
  return parseMd5sums(infoFile(p, 'md5sums') ?? '');
}

/** Files that the administrator may change, as the package names them. */
export function readConffiles(p: { readonly name: string; readonly arch: string }): string[] {
  return (infoFile(p, 'conffiles') ?? '').split('\n').filter((line) => line.startsWith('/'));
}

export interface Diversion {
  readonly to: string;
  /** Null for one made by the administrator (`--local`). */
  readonly by: string | null;
}

/** Parses `dpkg-divert --list` (LC_ALL=C): `[local ]diversion of FROM to TO[ by PACKAGE]`. */
export function parseDiversions(text: string): Map<string, Diversion> {
  const diversions = new Map<string, Diversion>();
  for (const line of text.split('\n')) {
    const local = /^local diversion of (\/.+) to (\/.+)$/u.exec(line);
    const owned = /^diversion of (\/.+) to (\/.+) by (\S+)$/u.exec(line);
    const [, from, to, by] = local ?? owned ?? [];
    if (from !== undefined && to !== undefined) diversions.set(from, { to, by: by ?? null });
  }
  return diversions;
}

/** Answers which package owns a path; reads dpkg's lists again only when dpkg has changed something. */
export interface FileOwners {
  /** `name` or `name:arch` as dpkg's list is named; null when no package owns it. */
  ownersOf(paths: readonly string[]): ReadonlyMap<string, string | null>;
}

export function createFileOwners(): FileOwners {
  let stamp = '';
  /** By path without /usr. */
  const known = new Map<string, string | null>();
  return {
    ownersOf(paths) {
      const now = statusStamp();
      if (now !== stamp) {
        known.clear();
        stamp = now;
      }
      const wanted = new Set(paths.map(withoutUsr).filter((path) => !known.has(path)));
      if (wanted.size > 0) {
        for (const path of wanted) known.set(path, null);
        for (const file of readdirSync(infoDir)) {
          if (!file.endsWith('.list')) continue;
          for (const line of readFileSync(join(infoDir, file), 'utf8').split('\n')) {
            const path = withoutUsr(line);
            if (wanted.has(path)) known.set(path, file.slice(0, -'.list'.length));
          }
        }
      }
      return new Map(paths.map((path) => [path, known.get(withoutUsr(path)) ?? null]));
    },
  };
}

/** Changes whenever dpkg has written its database. */
export function statusStamp(): string {
  try {
    const { mtimeMs, ino, size } = statSync('/var/lib/dpkg/status');
    return `${String(mtimeMs)} ${String(ino)} ${String(size)}`;
  } catch {
    return 'missing';
  }
}
