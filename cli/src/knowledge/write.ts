import { crc32 } from 'node:zlib';
import type { Decision } from '@fixpoint/core/knowledge/decision.ts';
import { schemeOf, type Product } from '@fixpoint/core/knowledge/ecosystem.ts';
import { versionOrderings, type CheckedVersion } from '@fixpoint/core/version/version.ts';
import {
  decisionLine,
  knowledgeFormat,
  knowledgeMagic,
  placeKey,
  placeLine,
  type Danger,
  type KnowledgeHeader,
  type KnowledgeSource,
} from './format.ts';

/** The bytes of one product's knowledge file; see format.ts. All decisions must be of that product. */
export function knowledgeFile(
  product: Product,
  decisions: Iterable<Decision>,
  dangerOf: (vulnerability: string) => Danger,
  feeds: readonly KnowledgeSource[],
): Uint8Array {
  const ordering = versionOrderings[schemeOf(product.ecosystem)];
  const byPackage = Map.groupBy(decisions, (decision) => placeKey(decision.packageKind, decision.package));
  let count = 0;
  let index = '';
  let offset = 0;
  const blocks: Buffer[] = [];
  for (const key of [...byPackage.keys()].sort()) {
    const ordered: { readonly version: CheckedVersion; readonly line: string }[] = [];
    const others: string[] = [];
    for (const decision of byPackage.get(key) ?? []) {
      const line = `${decisionLine(decision, dangerOf(decision.vulnerability))}\n`;
      const parsed = isSettledByVersion(decision) ? ordering.parse(decision.fixedVersion ?? '') : null;
      if (parsed?.ok === true) ordered.push({ version: parsed.version, line });
      else others.push(line);
      count++;
    }
    ordered.sort((a, b) => {
      const order = ordering.compare(a.version, b.version);
      return order === 'less' ? -1 : order === 'greater' ? 1 : a.line < b.line ? -1 : 1;
    });
    const orderedBlock = Buffer.from(ordered.map(({ line }) => line).join(''), 'utf8');
    const otherBlock = Buffer.from(others.sort().join(''), 'utf8');
    const place = {
      offset,
      orderedBytes: orderedBlock.length,
      otherBytes: otherBlock.length,
      newest: ordered.at(-1)?.version.text ?? null,
    };
    index += `${placeLine(key, place)}\n`;
    offset += orderedBlock.length + otherBlock.length;
    blocks.push(orderedBlock, otherBlock);
  }
  const indexBytes = Buffer.from(index, 'utf8');
  const rest = Buffer.concat([indexBytes, ...blocks]);
  const header: KnowledgeHeader = {
    format: knowledgeFormat,
    ecosystem: product.ecosystem,
    release: product.release,
    packages: byPackage.size,
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

/** Whether a version at or above the fixed one is all that it takes not to be concerned. */
function isSettledByVersion(decision: Decision): boolean {
  return (
    decision.status === 'fixed' &&
    decision.module !== '?' &&
    decision.branchFixes.length === 0 &&
    schemeOf(decision.ecosystem) !== 'windows-build'
  );
}
