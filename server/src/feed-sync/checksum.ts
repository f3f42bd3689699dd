import { createHash } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';

/**
 * Checksums that publishers send along with a file. Read: `Repr-Digest` and `Content-Digest` (RFC 9530), `Digest` (RFC 3230),
 * `Content-MD5` (RFC 1864), and `x-goog-hash` of Google Cloud Storage, where OSV's files are
 * (https://cloud.google.com/storage/docs/xml-api/reference-headers#xgooghash). MD5 and CRC32C find damage, not deceit; that
 * is what https is for.
 */

type Algorithm = 'sha256' | 'sha512' | 'md5' | 'crc32c';

export interface Checksum {
  readonly algorithm: Algorithm;
  /** Base64, as it is sent. */
  readonly value: string;
}

export interface Digester {
  update(data: Uint8Array): unknown;
  /** Base64. */
  digest(): string;
}

const names: Readonly<Record<string, Algorithm>> = { 'sha-256': 'sha256', 'sha-512': 'sha512', md5: 'md5' };

/**
 * The checksums of a whole file that an answer names; those that are not known here are passed over. With status 206, only
 * headers that speak of the whole and not of the part count.
 */
export function checksumsOf(headers: IncomingHttpHeaders, status: number): Checksum[] {
  const found: Checksum[] = [];
  const add = (text: string | undefined, form: RegExp): void => {
    for (const [, name = '', value = ''] of text?.matchAll(form) ?? []) {
      const algorithm = names[name.toLowerCase()];
      if (algorithm !== undefined) found.push({ algorithm, value });
    }
  };
  const one = (name: string): string | undefined => {
    const value = headers[name];
    return Array.isArray(value) ? value.join(', ') : value;
  };
  add(one('repr-digest'), /([\w-]+)=:([A-Za-z0-9+/=]+):/g);
  add(one('digest'), /([\w-]+)=([A-Za-z0-9+/=]+)/g);
  if (status === 200) {
    add(one('content-digest'), /([\w-]+)=:([A-Za-z0-9+/=]+):/g);
    const md5 = one('content-md5');
    if (md5 !== undefined) found.push({ algorithm: 'md5', value: md5.trim() });
  }
  // what is stored compressed and sent plain has the checksum of what is stored
  const stored = one('x-goog-stored-content-encoding') ?? 'identity';
  if (stored === 'identity' || stored === one('content-encoding')) {
    for (const [, name, value = ''] of one('x-goog-hash')?.matchAll(/(md5|crc32c)=([A-Za-z0-9+/=]+)/g) ??
      []) {
      found.push({ algorithm: name === 'md5' ? 'md5' : 'crc32c', value });
    }
  }
  return found;
}

/** One of each algorithm, the last that was named; CRC32C, which is slow here, only where there is no other. */
export function strongest(checksums: readonly Checksum[]): Checksum[] {
  const each = new Map(checksums.map((checksum) => [checksum.algorithm, checksum]));
  if (each.size > 1) each.delete('crc32c');
  return [...each.values()];
}

export function digester(algorithm: Algorithm): Digester {
  if (algorithm === 'crc32c') return crc32c();
  const hash = createHash(algorithm);
  return { update: (data) => hash.update(data), digest: () => hash.digest('base64') };
}

let table: Uint32Array | null = null;

/** CRC-32C (Castagnoli), reflected, polynomial 0x1EDC6F41, as in RFC 3720 appendix B.4. */
function crc32c(): Digester {
  const steps = (table ??= Uint32Array.from({ length: 256 }, (_, n) => {
    let c = n;
    for (let k = 0; k < 8; k++) c = (c & 1) === 1 ? (c >>> 1) ^ 0x82f6_3b78 : c >>> 1;
    return c >>> 0;
  }));
  let crc = 0xffff_ffff;
  return {
    update(data) {
      for (const byte of data) crc = (steps[(crc ^ byte) & 0xff] ?? 0) ^ (crc >>> 8);
    },
    digest() {
      const bytes = Buffer.alloc(4);
      bytes.writeUInt32BE((crc ^ 0xffff_ffff) >>> 0);
      return bytes.toString('base64');
    },
  };
}
