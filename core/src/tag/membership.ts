/**
 * Who is in which tag. An asset is in a tag when its rule, list or ranges say so, or when it is in a tag that is nested in it.
 * Three-valued as the query language: where a fact that decides is not known, it cannot be said, and that is neither in
 * nor out.
 */
import { parseIpAddress } from '../query/address.ts';
import { compile, type Evaluation, type QueryRecord, type Truth } from '../query/evaluate.ts';
import type { Node } from '../query/query.ts';
import { asksTag, type AddressRange, type TagDefinition } from './definition.ts';
import { ageComparisons, nextChange } from './change.ts';
import { tagGraph, tagsAsked, type TagGraph, type TagGraphRefusal } from './dependencies.ts';

/** An asset as tags see it. */
export interface TaggedAsset {
  readonly id: string;
  /** Its facts but for `tag`, which is decided here. */
  readonly record: QueryRecord;
  /** Null: not known; null in the list: there is one more, or may be, that is not known. */
  readonly addresses: readonly (string | null)[] | null;
}

export interface TagMembership {
  /** Ids of the members, sorted by code unit. */
  readonly members: readonly string[];
  readonly unknown: {
    readonly count: number;
    /** Assets of which it cannot be said, sorted; none of them is among the members. */
    readonly assets: readonly string[];
  };
  /**
   * The first moment after the evaluation at which time alone may change it, in milliseconds since 1970; null: none. Of all
   * tags that it needs the earliest.
   */
  readonly next_change_at: number | null;
}

export type TagEvaluation =
  | { readonly ok: true; readonly tags: ReadonlyMap<string, TagMembership> }
  | TagGraphRefusal;

/** Everything that depends on the definitions and the time alone, done once for any number of assets. */
export interface PreparedTags {
  readonly graph: TagGraph;
  /** The answer for each tag, in the order of the graph. */
  readonly truths: (asset: TaggedAsset) => Map<string, Truth>;
}

/** `now` is in milliseconds since 1970. */
export function prepareTags(graph: TagGraph, now: number): PreparedTags {
  const names = [...graph.definitions.keys()];
  const prepared = graph.order.map((name) => ({
    name,
    own: prepareOwn(known(graph, name), names, now),
    children: graph.children.get(name) ?? [],
  }));
  return {
    graph,
    truths(asset) {
      const truths = new Map<string, Truth>();
      const seen = { ...asset, record: withTags(asset.record, truths) };
      for (const { name, own, children } of prepared) {
        let truth = own(seen);
        for (const child of children) truth = either(truth, truths.get(child) ?? null);
        truths.set(name, truth);
      }
      return truths;
    },
  };
}

function either(a: Truth, b: Truth): Truth {
  if (a === true || b === true) return true;
  return a === null || b === null ? null : false;
}

export function known({ definitions }: TagGraph, name: string): TagDefinition {
  const definition = definitions.get(name);
  if (definition === undefined) throw new Error(`no tag ${name}`);
  return definition;
}

/** The record with tags as decided so far: `tag` with the name of one as its key says whether the asset is in that one. */
export function withTags(record: QueryRecord, truths: ReadonlyMap<string, Truth>): QueryRecord {
  return {
    field(name, key) {
      if (name !== 'tag' || key === null) return record.field(name, key);
      const truth = truths.get(key) ?? null;
      if (truth === null) return null;
      return truth ? [key] : [];
    },
    related: (relation) => record.related(relation),
  };
}

/**
 * The rule with each comparison of `tag` as one comparison for each tag that it speaks of, with the name as key. A list of
 * all tags would make every answer unknown as soon as one tag is.
 */
export function splitTags(node: Node, names: readonly string[]): Node {
  switch (node.kind) {
    case 'and':
    case 'or':
      return { ...node, parts: node.parts.map((part) => splitTags(part, names)) };
    case 'not':
      return { ...node, part: splitTags(node.part, names) };
    case 'compare': {
      if (!asksTag(node)) return node;
      const { at, length } = node;
      const parts = tagsAsked(node, names).map((name): Node => ({
        ...node,
        key: name,
        condition: { op: '=', value: { kind: 'text', value: name } },
      }));
      const some: Node = { kind: 'or', parts, at, length };
      const isDenied = node.condition.op === '!=' || node.condition.op === 'not_in';
      return isDenied ? { kind: 'not', part: some, at, length } : some;
    }
    default:
      return node;
  }
}

export function compileRule(root: Node | null, names: readonly string[], now: number): Evaluation {
  return compile({ subject: 'asset', root: root === null ? null : splitTags(root, names) }, now);
}

function prepareOwn(
  { members }: TagDefinition,
  names: readonly string[],
  now: number,
): (asset: TaggedAsset) => Truth {
  switch (members.kind) {
    case 'rule': {
      const rule = compileRule(members.query.root, names, now);
      return ({ record }) => rule(record);
    }
    case 'list':
      return ({ id }) => members.assets.has(id);
    case 'ranges':
      return ({ addresses }) => inRanges(members.ranges, addresses).truth;
    default:
      return members satisfies never;
  }
}

/** The first address that lies in a range, and which. An address that cannot be read is not known. */
export function inRanges(
  ranges: readonly AddressRange[],
  addresses: readonly (string | null)[] | null,
):
  | { readonly truth: true; readonly address: string; readonly range: string }
  | { readonly truth: false | null } {
  if (addresses === null) return { truth: null };
  let truth: false | null = false;
  for (const text of addresses) {
    const address = text === null ? null : parseIpAddress(text);
    if (text === null || address === null) {
      truth = null;
      continue;
    }
    const { family, value } = address;
    const range = ranges.find((each) => each.family === family && value >= each.first && value <= each.last);
    if (range !== undefined) return { truth: true, address: text, range: range.text };
  }
  return { truth };
}

/**
 * The members of every tag. Goes through the assets once; two with one id are a bug of whoever gave them. Refused as
 * `tagGraph` does.
 */
export function evaluateTags(
  definitions: Iterable<TagDefinition>,
  assets: Iterable<TaggedAsset>,
  now: number,
): TagEvaluation {
  const built = tagGraph(definitions);
  if (!built.ok) return built;
  const { graph } = built;
  const prepared = prepareTags(graph, now);
  const found = new Map(
    graph.order.map((name) => [name, { members: [] as string[], unknown: [] as string[] }]),
  );
  const ageing = graph.order.flatMap((name) => {
    const comparisons = ageComparisons(known(graph, name));
    return comparisons.length === 0 ? [] : [{ name, comparisons }];
  });
  const next = new Map<string, number>();
  const seen = new Set<string>();
  for (const asset of assets) {
    if (seen.has(asset.id)) throw new Error(`the asset ${asset.id} was given twice`);
    seen.add(asset.id);
    for (const [name, truth] of prepared.truths(asset)) {
      if (truth === true) found.get(name)?.members.push(asset.id);
      else if (truth === null) found.get(name)?.unknown.push(asset.id);
    }
    for (const { name, comparisons } of ageing) {
      const moment = nextChange(comparisons, asset.record, now);
      if (moment !== null) next.set(name, Math.min(moment, next.get(name) ?? moment));
    }
  }
  const tags = new Map<string, TagMembership>();
  for (const name of graph.order) {
    for (const needed of graph.needs.get(name) ?? []) {
      const moment = tags.get(needed)?.next_change_at ?? null;
      if (moment !== null) next.set(name, Math.min(moment, next.get(name) ?? moment));
    }
    const { members, unknown } = found.get(name) ?? { members: [], unknown: [] };
    // The default order of sort is by code unit.
    tags.set(name, {
      members: members.sort(),
      unknown: { count: unknown.length, assets: unknown.sort() },
      next_change_at: next.get(name) ?? null,
    });
  }
  return { ok: true, tags };
}
