import type { InstalledPackage } from './inventory.ts';

/**
 * Reads apk's database of installed packages, /lib/apk/db/installed: stanzas of one-letter fields, as apk-tools' database.c
 * writes them (wiki.alpinelinux.org/wiki/Apk_spec). All or nothing, as with dpkg.
 *
 * `P` name · `V` version · `A` architecture · `o` origin, the source package · `m` maintainer · `F` folder, then `R` file in it
 * and `Z` its digest (`Q1` and SHA-1 in base64).
 */
export interface ApkInstalled {
  readonly packages: InstalledPackage[];
  /** `name:arch` → absolute path → SHA-1 in hex; empty for files without a digest (links, and files that were there before). */
  readonly files: ReadonlyMap<string, ReadonlyMap<string, string>>;
}

export type ApkInstalledParse =
  | { readonly ok: true; readonly installed: ApkInstalled }
  | {
      readonly ok: false;
      readonly code: 'apk_database_empty' | 'apk_database_corrupt';
      readonly message: string;
      readonly what_to_do: string;
    };

const whatToDo = 'Run `apk audit` and `apk fix` on the host.';

export function parseApkInstalled(text: string): ApkInstalledParse {
  const packages: InstalledPackage[] = [];
  const files = new Map<string, Map<string, string>>();
  if (text !== '' && !text.endsWith('\n')) return corrupt('it ends in the middle of a line');
  for (const stanza of text.split(/\n\n+/u)) {
    if (stanza.trim() === '') continue;
    const fields = new Map<string, string>();
    const own = new Map<string, string>();
    let folder = '';
    let file = '';
    for (const line of stanza.split('\n')) {
      if (line === '') continue;
      if (!/^[A-Za-z]:/u.test(line))
        return corrupt(`a line is no field: ${JSON.stringify(line.slice(0, 80))}`);
      const key = line.charAt(0);
      const value = line.slice(2);
      if (key === 'F') folder = value === '' ? '' : `/${value}`;
      else if (key === 'R') {
        file = `${folder}/${value}`;
        own.set(file, '');
      } else if (key === 'Z') own.set(file, parseChecksum(value) ?? '');
      else if (key === 'P' && fields.has('P')) return corrupt(`${value} begins inside another package`);
      else if (!fields.has(key)) fields.set(key, value);
    }
    const name = fields.get('P') ?? '';
    const version = fields.get('V') ?? '';
    const arch = fields.get('A') ?? '';
    if (name === '' || version === '' || arch === '') {
      return corrupt(
        `a package has no ${name === '' ? 'name' : version === '' ? 'version' : 'architecture'}`,
      );
    }
    const key = `${name}:${arch}`;
    if (files.has(key)) return corrupt(`${key} is there twice`);
    const source = fields.get('o') ?? '';
    files.set(key, own);
    // All packages of one source are built together and have its version.
    packages.push({ name, arch, version, source: source === '' ? name : source, source_version: version });
  }
  if (packages.length === 0) {
    return {
      ok: false,
      code: 'apk_database_empty',
      message: "apk's database holds no package",
      what_to_do: whatToDo,
    };
  }
  return { ok: true, installed: { packages, files } };
}

function corrupt(problem: string): ApkInstalledParse {
  return {
    ok: false,
    code: 'apk_database_corrupt',
    message: `apk's database cannot be read: ${problem}`,
    what_to_do: whatToDo,
  };
}

const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';

/** Hex of apk's `Q1` and base64 of a SHA-1; null for what is none. */
export function parseChecksum(text: string): string | null {
  const base64 = /^Q1([A-Za-z0-9+/]{27})=$/u.exec(text)?.[1];
  if (base64 === undefined) return null;
  let hex = '';
  let bits = 0;
  let value = 0;
  for (const letter of base64) {
    value = (value << 6) | alphabet.indexOf(letter);
    bits += 6;
    while (bits >= 4) {
      bits -= 4;
      hex += ((value >> bits) & 15).toString(16);
      value &= (1 << bits) - 1;
    }
  }
  return hex.slice(0, 40);
}
