/**
 * Tags and criticality rules that can be judged, of all that there are. Whoever saves them sees to it that all can; should one in the
 * database be beyond reading all the same, it is passed over and said, with what asks for it, and everything else goes on.
 * It is not taken for an empty tag: `not tag = production` would hold for all.
 */
import { parse } from '../query/parse.ts';
import type { Query } from '../query/query.ts';
import { asksTag, comparisonsOf, type TagDefinition } from '../tag/definition.ts';
import { tagGraph, tagsAsked, type TagGraph } from '../tag/dependencies.ts';
import type { CriticalityRule } from './facts.ts';

/** What is passed over, and why. */
export interface RuleProblem {
  readonly kind: 'tag' | 'criticality' | 'acceptance';
  /** Of an acceptance its id. */
  readonly name: string;
  readonly message: string;
}

/** The graph of the tags that make one. */
export function readableGraph(definitions: readonly TagDefinition[]): {
  readonly graph: TagGraph;
  readonly problems: readonly RuleProblem[];
} {
  const problems: RuleProblem[] = [];
  let left = definitions;
  for (;;) {
    const built = tagGraph(left);
    if (built.ok) return { graph: built.graph, problems };
    const names = new Set(
      built.code === 'tag_cycle' ? built.cycles.flatMap(({ path }) => path) : [built.tag],
    );
    const { message } = built;
    for (const name of names) problems.push({ kind: 'tag', name, message });
    left = left.filter(({ name }) => !names.has(name));
  }
}

/** The query of a criticality rule, or why it has none: it may ask for a tag that is passed over. */
export function readableQuery(
  rule: CriticalityRule,
  passedOver: readonly RuleProblem[],
): Query | RuleProblem {
  const problem = (message: string): RuleProblem => ({ kind: 'criticality', name: rule.name, message });
  const read = parse(rule.query, 'asset');
  if (!read.ok) return problem(read.message);
  const names = passedOver.map(({ name }) => name);
  for (const { node } of comparisonsOf(read.query)) {
    const [missing] = asksTag(node) ? tagsAsked(node, names) : [];
    if (missing !== undefined) return problem(`it asks for the tag ${missing}, which cannot be judged`);
  }
  return read.query;
}
