import { freeWordPaths, isResolved, resolvePath } from './fields.ts';
import type { Node, WordNode } from './query.ts';

/**
 * What a free word asks: one of the fields of `freeWordPaths` contains it or, where it has wildcards, is of its pattern.
 */
export function expandWord({ scope, value, at, length }: WordNode): Node {
  const parts = freeWordPaths[scope].map((text): Node => {
    const path = resolvePath(scope, text);
    if (!isResolved(path)) throw new Error(`free words lead to ${text}, which is no field of ${scope}`);
    const op = value.kind === 'pattern' ? '=' : ':';
    const leaf = { scope: path.scope, field: path.field.name, key: null, condition: { op, value } } as const;
    return path.relations
      .toReversed()
      .reduce<Node>(
        (where, { from, name }) => ({ kind: 'has', scope: from, relation: name, where, at, length }),
        { kind: 'compare', ...leaf, at, length },
      );
  });
  return { kind: 'or', parts, at, length };
}
