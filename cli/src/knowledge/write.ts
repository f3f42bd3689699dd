import { crc32 } from 'node:zlib';
import type { Decision } from '@fixpoint/core/knowledge/decision.ts';
import {
  decisionLine,
  knowledgeFormat,
  knowledgeMagic,
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
  const bySource = new Map<string, string[]>();
  let count = 0;
  for (const decision of decisions) {
    const line = `${decisionLine(decision, dangers.get(decision.vulnerability) ?? unknownDanger)}\n`;
    const lines = bySource.get(decision.package);
    if (lines === undefined) bySource.set(decision.package, [line]);
    else lines.push(line);
    count++;
  }
  let index = '';
  let offset = 0;
  const blocks: Buffer[] = [];
  for (const source of [...bySource.keys()].sort()) {
    const block = Buffer.from((bySource.get(source) ?? []).sort().join(''), 'utf8');
    index += `${source}\t${String(offset)}\t${String(block.length)}\n`;
    offset += block.length;
    blocks.push(block);
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
