import { lstatSync, readFileSync, readdirSync, readlinkSync, statSync } from 'node:fs';
import { join, posix } from 'node:path';
import { exitCodes } from '../exit-codes.ts';
import { Failure } from '../failure.ts';
import { codeOf } from '../output/stream.ts';

/**
 * Reads files of a root folder as a process inside it would see them: links are followed within the root, so that
 * `/etc/os-release -> /usr/lib/os-release` means the root's own file and not the one of this machine.
 */

/** Refuses a root that is not there or is no folder. */
export function checkRoot(root: string): void {
  try {
    if (statSync(root).isDirectory()) return;
  } catch (error) {
    if (codeOf(error) === 'EACCES') throw unreadable(root, root);
    throw new Failure(
      exitCodes.usage,
      'root_not_found',
      `there is no folder ${root}`,
      'Give --root the folder that holds the etc and var folders of the system to scan.',
    );
  }
  throw new Failure(
    exitCodes.usage,
    'root_not_a_folder',
    `${root} is not a folder`,
    'Unpack an image or mount it first, then give --root the folder.',
  );
}

/** The text of a file of the root; null when it is not there. `path` is as seen from inside, such as `/etc/os-release`. */
export function readInRoot(root: string, path: string): string | null {
  try {
    const real = resolveInRoot(root, path);
    return real === null ? null : readFileSync(real, 'utf8');
  } catch (error) {
    if (codeOf(error) === 'EACCES' || codeOf(error) === 'EPERM') throw unreadable(root, path);
    if (codeOf(error) === 'EISDIR' || codeOf(error) === 'ENOENT') return null;
    throw error;
  }
}

/** The text of os-release(5) of the root; null when it has none. */
export function osReleaseOf(root: string): string | null {
  return readInRoot(root, '/etc/os-release') ?? readInRoot(root, '/usr/lib/os-release');
}

/** Names in a folder of the root, sorted; empty when it is not there. */
export function listInRoot(root: string, path: string): string[] {
  try {
    const real = resolveInRoot(root, path);
    return real === null ? [] : readdirSync(real).sort();
  } catch (error) {
    if (codeOf(error) === 'EACCES' || codeOf(error) === 'EPERM') throw unreadable(root, path);
    if (codeOf(error) === 'ENOENT' || codeOf(error) === 'ENOTDIR') return [];
    throw error;
  }
}

/** Where `path` of the root really is; null when it is nowhere. Links that lead out of the root end at its top, as in chroot(2). */
export function resolveInRoot(root: string, path: string): string | null {
  // The machine's own root needs no care: the kernel resolves it.
  if (root === '/') return path;
  let waiting = path.split('/').filter((part) => part !== '');
  let inside = '/';
  for (let links = 0; waiting.length > 0;) {
    const [part = '', ...rest] = waiting;
    waiting = rest;
    if (part === '.') continue;
    const next = posix.join(inside, part);
    let isLink: boolean;
    try {
      isLink = lstatSync(join(root, next)).isSymbolicLink();
    } catch (error) {
      if (codeOf(error) === 'ENOENT' || codeOf(error) === 'ENOTDIR') return null;
      throw error;
    }
    if (!isLink) {
      inside = next;
      continue;
    }
    if (++links > 40) return null;
    const target = readlinkSync(join(root, next));
    if (target.startsWith('/')) inside = '/';
    waiting = [...target.split('/').filter((p) => p !== ''), ...waiting];
  }
  return join(root, inside);
}

function unreadable(root: string, path: string): Failure {
  return new Failure(
    exitCodes.inputUnusable,
    'root_unreadable',
    `this account may not read ${path} of the root ${root}`,
    'Run the scan as an account that may read it, such as root.',
  );
}
