/**
 * In what order tags, criticality and findings are judged, so that nothing depends on itself:
 *
 *     facts of assets and software → first tags → criticality → acceptances → status, risk and due dates of findings → last tags
 *
 * The first tags ask for nothing that is judged behind them; all others are last.
 */
import type { Query } from '../query/query.ts';
import { asksTag, comparisonsOf } from '../tag/definition.ts';
import { fieldsOf } from '../tag/change.ts';
import { tagsAsked, withDependents, type TagGraph } from '../tag/dependencies.ts';

/** What an asset has only once criticality and findings are judged, as `fieldsOf` names it. */
const judgedFacts: ReadonlySet<string> = new Set([
  'criticality',
  'risk',
  'open_findings',
  'finding',
  'patch',
]);

export interface Strata {
  /** In the order of evaluation, as both are. */
  readonly first: readonly string[];
  readonly last: readonly string[];
}

export function strataOf(graph: TagGraph): Strata {
  const direct = [...graph.definitions.values()].filter((each) => judgedFactOf(fieldsOf(each)) !== null);
  const last = withDependents(
    graph,
    direct.map(({ name }) => name),
  );
  const behind = new Set(last);
  return { first: graph.order.filter((name) => !behind.has(name)), last };
}

/** The first judged fact among these; null: none is. */
export function judgedFactOf(facts: Iterable<string>): string | null {
  for (const fact of facts) if (judgedFacts.has(fact.split('.', 1)[0] ?? '')) return fact;
  return null;
}

/** Graphs do not change, so what is found once of one is so for good. */
const known = new WeakMap<TagGraph, ReadonlySet<string>>();

/** The names of the last tags. */
export function lastTags(graph: TagGraph): ReadonlySet<string> {
  let last = known.get(graph);
  if (last === undefined) {
    last = new Set(strataOf(graph).last);
    known.set(graph, last);
  }
  return last;
}

/** Whether a tag asks for what is judged, itself or by a tag that it needs. */
export function isLast(graph: TagGraph, name: string): boolean {
  return lastTags(graph).has(name);
}

/** The tags that a query over assets asks for, of those that there are. */
export function tagsOfQuery(query: Query, graph: TagGraph): Set<string> {
  const names = [...graph.definitions.keys()];
  const asked = new Set<string>();
  for (const { node } of comparisonsOf(query))
    if (asksTag(node)) for (const name of tagsAsked(node, names)) asked.add(name);
  return asked;
}

/** Why a tag is a last one, as a sentence about it: the fact that it asks for, or the tags that lead to one that does. */
export function whyLast(graph: TagGraph, name: string): string {
  const path: string[] = [];
  const seen = new Set<string>();
  const last = lastTags(graph);
  let at: string | undefined = name;
  while (at !== undefined && !seen.has(at)) {
    seen.add(at);
    const definition = graph.definitions.get(at);
    const fact = definition === undefined ? null : judgedFactOf(fieldsOf(definition));
    if (fact !== null)
      return path.length === 0
        ? `it asks for ${fact}`
        : `it needs ${[...path.slice(1), at].join(', which needs ')}, which asks for ${fact}`;
    path.push(at);
    at = (graph.needs.get(at) ?? []).find((each) => last.has(each));
  }
  throw new Error(`the tag ${name} is not a last one`);
}
