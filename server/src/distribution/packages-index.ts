import { readFile } from 'node:fs/promises';
import { promisify } from 'node:util';
import { gunzip, zstdDecompress } from 'node:zlib';
import { runCommand } from '../run-command.ts';

/** Which file a package is, by the indexes of apt repositories that came through the point (wiki.debian.org/DebianRepository/Format). */

export interface WantedPackage {
  readonly name: string;
  readonly arch: string;
  readonly version: string;
}

export interface PackageFile {
  readonly url: string;
  /** Hex, as the index says; null when it says none. */
  readonly sha256: string | null;
}

export const keyOf = (wanted: WantedPackage): string => `${wanted.name} ${wanted.version} ${wanted.arch}`;

/**
 * The base of the repository, with its slash, when the address is one of a list of packages: `…/binary-amd64/Packages.xz`, or
 * `…/binary-amd64/by-hash/SHA256/…`. Else null.
 */
export function repositoryOfIndex(url: string): string | null {
  return (
    /^(http:\/\/.+?\/)dists\/.+\/binary-[^/]+\/(?:Packages(?:\.[a-z]+)?|by-hash\/SHA256\/[0-9a-f]{64})$/u.exec(
      url,
    )?.[1] ?? null
  );
}

/** Finds packages in the text of a list; what stands in no stanza is not in the answer. */
export function findPackages(
  text: string,
  repository: string,
  wanted: ReadonlySet<string>,
): Map<string, PackageFile> {
  const found = new Map<string, PackageFile>();
  const names = new Set([...wanted].map((key) => key.slice(0, key.indexOf(' '))));
  let position = 0;
  while (position < text.length) {
    const next = text.indexOf('\n\n', position);
    const end = next < 0 ? text.length : next;
    const stanza = text.slice(position, end);
    position = end + 2;
    // tens of thousands of stanzas: nearly all are passed over by their first line
    const [, first] = /^Package:[ \t]*(\S+)[ \t]*(?:\n|$)/u.exec(stanza) ?? [];
    if (first !== undefined && !names.has(first)) continue;
    const field = (name: string): string | null =>
      new RegExp(`^${name}:[ \\t]*(.*)$`, 'mu').exec(stanza)?.[1]?.trim() ?? null;
    const [name, version, arch] = [field('Package'), field('Version'), field('Architecture')];
    if (name === null || version === null || arch === null) continue;
    const key = keyOf({ name, version, arch });
    const file = wanted.has(key) ? field('Filename') : null;
    // the address stays within the repository, whatever the index says: findFile holds it to that
    if (file === null || !URL.canParse(file, repository)) continue;
    const sha256 = field('SHA256');
    found.set(key, {
      url: new URL(file, repository).href,
      sha256: sha256 !== null && /^[0-9a-f]{64}$/u.test(sha256) ? sha256 : null,
    });
  }
  return found;
}

const indexBytesMaximum = 512 * 1024 * 1024;

/** The text of a file that may be compressed, as its first bytes say; null when it cannot be read. */
export async function readIndex(path: string): Promise<string | null> {
  try {
    const bytes = await readFile(path);
    const limit = { maxOutputLength: indexBytesMaximum };
    if (bytes[0] === 0x1f && bytes[1] === 0x8b) {
      return (await promisify(gunzip)(bytes, limit)).toString('utf8');
    }
    if (bytes.subarray(0, 4).equals(Buffer.from([0x28, 0xb5, 0x2f, 0xfd]))) {
      return (await promisify(zstdDecompress)(bytes, limit)).toString('utf8');
    }
    if (bytes.subarray(0, 6).equals(Buffer.from([0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00]))) {
      // Node has no xz
      const { exitCode, output } = await runCommand('xz', ['--decompress', '--stdout', '--', path], {
        environment: { PATH: process.env.PATH ?? '/usr/bin:/bin' },
        timeoutSeconds: 60,
      });
      return exitCode === 0 ? output : null;
    }
    return bytes.toString('utf8');
  } catch {
    return null;
  }
}
