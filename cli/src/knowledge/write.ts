import { crc32 } from 'node:zlib';
import type { Decision } from '@fixpoint/core/knowledge/decision.ts';
import { compareDpkg, parseDpkg, type DpkgVersion } from '@fixpoint/core/version/dpkg.ts';
import {
  decisionLine,
  knowledgeFormat,
  knowledgeMagic,
  placeLine,
  unknownDanger,
  type Danger,
  type KnowledgeHeader,
  type KnowledgeSource,
} from './format.ts';

/** The bytes of one release's knowledge file; see format.ts. All decisions must be of that release. */
export function knowledgeFile(
  product: { readonly ecosystem: string; readonly release: string },
  decisions: Iterable<Decision>,
  dangers: ReadonlyMap<string, Danger>,
  feeds: readonly KnowledgeSource[],
): Uint8Array {
  const bySource = Map.groupBy(decisions, (decision) => decision.package);
  let count = 0;
  let index = '';
  let offset = 0;
  const blocks: Buffer[] = [];
  for (const source of [...bySource.keys()].sort()) {
    const ordered: { readonly version: DpkgVersion; readonly line: string }[] = [];
    const others: string[] = [];
    for (const decision of bySource.get(source) ?? []) {
      const line = `${decisionLine(decision, dangers.get(decision.vulnerability) ?? unknownDanger)}\n`;
      const parsed = decision.status === 'fixed' ? parseDpkg(decision.fixedVersion ?? '') : null;
      if (parsed?.ok === true) ordered.push({ version: parsed.version, line });
      else others.push(line);
      count++;
    }
    ordered.sort((a, b) => compareDpkg(a.version, b.version) || (a.line < b.line ? -1 : 1));
    const orderedBlock = Buffer.from(ordered.map(({ line }) => line).join(''), 'utf8');
    const otherBlock = Buffer.from(others.sort().join(''), 'utf8');
    const place = {
      offset,
      orderedBytes: orderedBlock.length,
      otherBytes: otherBlock.length,
      newest: ordered.at(-1)?.version.text ?? null,
    };
    index += `${placeLine(source, place)}\n`;
    offset += orderedBlock.length + otherBlock.length;
    blocks.push(orderedBlock, otherBlock);
  }
  const indexBytes = Buffer.from(index, 'utf8');
  const rest = Buffer.concat([indexBytes, ...blocks]);
  const header: KnowledgeHeader = {
    format: knowledgeFormat,
    ecosystem: product.ecosystem,
    release: product.release,
    packages: bySource.size,
    decisions: count,
    index_bytes: indexBytes.length,
    body_bytes: offset,
    crc32: crc32(rest),
    feeds,
  };
  const headerBytes = Buffer.from(`${JSON.stringify(header)}\n`, 'utf8');
  const first = `${knowledgeMagic} ${String(knowledgeFormat)} ${String(headerBytes.length).padStart(8, '0')}\n`;
  return Buffer.concat([Buffer.from(first, 'latin1'), headerBytes, rest]);
}
