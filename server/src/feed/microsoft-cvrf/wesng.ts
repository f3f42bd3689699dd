/**
 * For tests: Windows Exploit Suggester NG (`bitsadmin/wesng`, BSD-3-Clause) as a peer. Its definitions are a CSV of its own
 * compilation; its rule is computed here as its README says: take the rows of the product, drop those whose KB is
 * installed, or is superseded by an installed one over any number of steps; what is left is missing. The product does not
 * use this file.
 */
import { createReadStream } from 'node:fs';
import { open } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import { createInflateRaw } from 'node:zlib';

export interface WesngRow {
  readonly cve: string;
  readonly kb: string;
  readonly supersedes: readonly string[];
}

/** Product → rows, for the products of `wanted`. Streams the CSV of 136 MB out of the zip. */
export async function wesngRows(
  zipPath: string,
  wanted: ReadonlySet<string>,
): Promise<Map<string, WesngRow[]>> {
  const rows = new Map<string, WesngRow[]>();
  const inflated = createReadStream(zipPath, { start: await startOfCsv(zipPath) }).pipe(createInflateRaw());
  for await (const line of createInterface({ input: inflated, crlfDelay: Number.POSITIVE_INFINITY })) {
    const fields = csvFields(line);
    const [, cve = '', kb = '', , product = '', , , , supersedes = ''] = fields;
    const name = product.replaceAll(/\s+/gu, ' ');
    if (!wanted.has(name) || !cve.startsWith('CVE-') || !/^\d{6,8}$/u.test(kb)) continue;
    const row: WesngRow = {
      cve,
      kb: `KB${kb}`,
      supersedes: (supersedes.match(/\b\d{6,8}\b/gu) ?? []).map((one) => `KB${one}`),
    };
    const list = rows.get(name);
    if (list === undefined) rows.set(name, [row]);
    else list.push(row);
  }
  return rows;
}

/** Where the deflated data of the first `CVEs_*.csv` begin: behind its local header (PKWARE APPNOTE.TXT, 4.3.7). */
async function startOfCsv(zipPath: string): Promise<number> {
  const file = await open(zipPath);
  try {
    for (let at = 0; ;) {
      const { buffer, bytesRead } = await file.read(Buffer.alloc(30), 0, 30, at);
      if (bytesRead < 30 || buffer.readUInt32LE(0) !== 0x04_03_4b_50)
        throw new Error(`${zipPath}: no CVEs_*.csv`);
      const nameLength = buffer.readUInt16LE(26);
      const name = await file.read(Buffer.alloc(nameLength), 0, nameLength, at + 30);
      const data = at + 30 + nameLength + buffer.readUInt16LE(28);
      if (name.buffer.toString('utf8').startsWith('CVEs_')) return data;
      at = data + buffer.readUInt32LE(18);
    }
  } finally {
    await file.close();
  }
}

function csvFields(line: string): string[] {
  return [...line.matchAll(/(?:^|,)(?:"((?:[^"]|"")*)"|([^,]*))/gu)].map(
    (match) => match[1] ?? match[2] ?? '',
  );
}

/** CVE → KBs that wesng's rule calls missing, and all CVEs that it has for the product. */
export function wesngMissing(
  rows: readonly WesngRow[],
  installed: Iterable<string>,
): { missing: Map<string, Set<string>>; all: Set<string>; dropped: Set<string> } {
  const supersedes = new Map<string, Set<string>>();
  for (const { kb, supersedes: older } of rows) {
    const set = supersedes.get(kb) ?? new Set<string>();
    supersedes.set(kb, set);
    for (const one of older) set.add(one);
  }
  const dropped = new Set<string>();
  const left = [...installed];
  for (let kb = left.pop(); kb !== undefined; kb = left.pop()) {
    if (dropped.has(kb)) continue;
    dropped.add(kb);
    left.push(...(supersedes.get(kb) ?? []));
  }
  const missing = new Map<string, Set<string>>();
  const all = new Set<string>();
  for (const { cve, kb } of rows) {
    all.add(cve);
    if (dropped.has(kb)) continue;
    missing.set(cve, (missing.get(cve) ?? new Set<string>()).add(kb));
  }
  return { missing, all, dropped };
}
