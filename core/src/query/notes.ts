/** Queries that are legal and may not be what was meant. */
import { knownRelation } from './fields.ts';
import type { HasNode, Node, QueryNote } from './query.ts';

/**
 * `package = openssl and package.version < 3` on an asset asks for two packages, which need not be the same one; a note says
 * how to ask for one. Things that there is one of, as the asset of a finding, need none.
 */
export function separateRelated(root: Node): QueryNote[] {
  const notes: QueryNote[] = [];
  const visit = (node: Node): void => {
    if (node.kind === 'and') {
      const seen = new Map<string, HasNode>();
      for (const part of node.parts) {
        if (part.kind !== 'has' || part.where === null || !knownRelation(part.scope, part.relation).many)
          continue;
        const before = seen.get(part.relation);
        if (before === undefined) seen.set(part.relation, part);
        else if (isDotted(before) && isDotted(part)) {
          const { relation, at, length } = part;
          notes.push({
            code: 'separate_related',
            message: `this and the condition on ${relation} before it may be met by two different ones; for one that meets both write has ${relation} (… and …)`,
            at,
            length,
          });
        }
      }
    }
    if (node.kind === 'and' || node.kind === 'or') node.parts.forEach(visit);
    else if (node.kind === 'not') visit(node.part);
    else if (node.kind === 'has' && node.where !== null) visit(node.where);
  };
  visit(root);
  return notes;
}

/** Written `finding.cvss > 9`: what is inside stands where the whole stands. */
function isDotted({ where, at, length }: HasNode): boolean {
  return where !== null && where.at === at && where.length === length;
}
