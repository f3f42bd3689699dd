/** Why an asset is in a tag, is not, or why that cannot be said. */
import { explain } from '../query/explain.ts';
import type { Truth } from '../query/evaluate.ts';
import type { Node, Query } from '../query/query.ts';
import { compileRule, inRanges, known, prepareTags, withTags, type TaggedAsset } from './membership.ts';
import type { TagGraph } from './dependencies.ts';

export interface TagReason {
  /** Null: it cannot be said. */
  readonly truth: Truth;
  /** What decides: its own rule, list or ranges, or a nested tag. Of an asset that is not in it: none. */
  readonly by: 'rule' | 'list' | 'ranges' | 'child' | null;
  /** The tags from this one down to the one whose own rule, list or ranges decides; this one alone where it does so itself. */
  readonly path: readonly string[];
  /** One or more sentences, about "it". */
  readonly sentence: string;
}

/** `now` is in milliseconds since 1970; `name` must be a tag of the graph. */
export function why(graph: TagGraph, name: string, asset: TaggedAsset, now: number): TagReason {
  known(graph, name);
  const truths = prepareTags(graph, now).truths(asset);
  const truth = truths.get(name) ?? null;
  if (truth === false)
    return { truth, by: null, path: [name], sentence: `It is not in ${name}: ${absence(graph, name)}.` };
  const path = [name];
  let at = name;
  // Down to the tag that decides itself: its own answer is that of the whole. Ends, as nesting has no way round.
  for (;;) {
    const own = ownReason(graph, at, asset, truths, now);
    if (own.truth === truth) {
      const nesting = path.slice(1).map((child) => `in ${child}, which is nested in it`);
      const opening = truth === true ? `It is in ${name}` : `It cannot be said whether it is in ${name}`;
      const sentence = `${[opening, ...nesting].join(', as it ' + (truth === true ? 'is ' : 'may be '))}: ${own.text}.`;
      return { truth, by: path.length > 1 ? 'child' : known(graph, at).members.kind, path, sentence };
    }
    const child: string | undefined = (graph.children.get(at) ?? []).find(
      (each) => truths.get(each) === truth,
    );
    if (child === undefined) throw new Error(`nothing decides whether the asset is in ${at}`);
    path.push(child);
    at = child;
  }
}

function absence(graph: TagGraph, name: string): string {
  const { members } = known(graph, name);
  const own = {
    rule: 'its rule does not hold',
    list: 'it is not in the fixed list',
    ranges: 'none of its addresses is in a range of it',
  }[members.kind];
  const children = graph.children.get(name) ?? [];
  return children.length === 0
    ? own
    : `${own}, and it is in none of those nested in it (${children.join(', ')})`;
}

function ownReason(
  graph: TagGraph,
  name: string,
  asset: TaggedAsset,
  truths: ReadonlyMap<string, Truth>,
  now: number,
): { readonly truth: Truth; readonly text: string } {
  const { members } = known(graph, name);
  if (members.kind === 'list') {
    const truth = members.assets.has(asset.id);
    return { truth, text: `the fixed list of ${name} names it` };
  }
  if (members.kind === 'ranges') {
    const found = inRanges(members.ranges, asset.addresses);
    if (found.truth === true)
      return { truth: true, text: `its address ${found.address} is in ${found.range}, a range of ${name}` };
    return {
      truth: found.truth,
      text: `its addresses are not all known, and none that is lies in a range of ${name}`,
    };
  }
  const record = withTags(asset.record, truths);
  const names = [...graph.definitions.keys()];
  const ask = (node: Node | null): Truth => compileRule(node, names, now)(record);
  const { root } = members.query;
  const truth = ask(root);
  const deciding = root === null ? root : partThatDecides(root, truth, ask);
  const clause = clauseOf({ subject: 'asset', root: deciding });
  return truth === null
    ? { truth, text: `the rule of ${name} asks what is not known of it, whether ${clause}` }
    : { truth, text: `the rule of ${name} holds, as ${clause}` };
}

/** Of `or` that is true one true part is enough; what is unknown comes from a part that is. */
function partThatDecides(node: Node, truth: Truth, ask: (node: Node) => Truth): Node {
  const isSplit = (node.kind === 'or' && truth !== false) || (node.kind === 'and' && truth === null);
  const part = isSplit ? node.parts.find((each) => ask(each) === truth) : undefined;
  return part === undefined ? node : partThatDecides(part, truth, ask);
}

/** `Assets where X.` without its frame. */
function clauseOf(query: Query): string {
  return explain(query)
    .replace(/^Assets where /, '')
    .replace(/\.$/, '');
}
