/**
 * Which tags need which. A tag needs the tags that its rule asks for and those that are nested in it; evaluated in the order
 * of the graph, every tag finds what it needs. There is no order where a tag needs itself, so that is refused.
 */
import { compareText } from '../knowledge/compare-text.ts';
import { nearest } from '../query/nearest.ts';
import { compile, recordOf } from '../query/evaluate.ts';
import type { CompareNode, Condition, Operand } from '../query/query.ts';
import { asksTag, comparisonsOf, type TagDefinition } from './definition.ts';

export interface TagGraph {
  readonly definitions: ReadonlyMap<string, TagDefinition>;
  /** Every tag behind all that it needs; among those that could be next, by name. The same for any order of definitions. */
  readonly order: readonly string[];
  /** Names of the tags that are nested in a tag directly, sorted. Of every tag, also where it is none. */
  readonly children: ReadonlyMap<string, readonly string[]>;
  /** What a tag needs directly: tags of its rule and nested ones, sorted. */
  readonly needs: ReadonlyMap<string, readonly string[]>;
  /** Who needs a tag directly, sorted. */
  readonly neededBy: ReadonlyMap<string, readonly string[]>;
}

export interface TagCycle {
  /** Each needs the next, and the last is the first again. */
  readonly path: readonly string[];
  readonly message: string;
}

export type TagGraphRefusal =
  | {
      readonly ok: false;
      readonly code: 'tag_cycle';
      readonly message: string;
      readonly what_to_do: string;
      /** Every tag that needs itself is in one of them. */
      readonly cycles: readonly TagCycle[];
    }
  | {
      readonly ok: false;
      readonly code: 'tag_unknown';
      readonly message: string;
      readonly what_to_do: string;
      /** The tag whose parent or rule names one that there is not. */
      readonly tag: string;
      readonly unknown: string;
      readonly suggestions: readonly string[];
      /** In a rule: where, in UTF-16 units of its text. */
      readonly at?: number;
      readonly length?: number;
    }
  | {
      readonly ok: false;
      readonly code: 'tag_defined_twice';
      readonly message: string;
      readonly what_to_do: string;
      readonly tag: string;
    };

export type TagGraphResult = { readonly ok: true; readonly graph: TagGraph } | TagGraphRefusal;

/** The affirmative of a condition on tags: `!=` asks for the same tags as `=`. */
function affirmed(condition: Condition): Condition {
  if (condition.op === '!=') return { op: '=', value: condition.value };
  return condition.op === 'not_in' ? { op: 'in', values: condition.values } : condition;
}

/** The tags, of those given, that a comparison of `tag` speaks of: with wildcards it can be many, or none. */
export function tagsAsked(node: CompareNode, names: Iterable<string>): string[] {
  const asks = compile({ subject: 'asset', root: { ...node, condition: affirmed(node.condition) } }, 0);
  return [...names].filter((name) => asks(recordOf({ tag: [name] })) === true);
}

/** Tags that are named outright, without wildcards, so that each must exist. */
export function namedOutright(condition: Condition): string[] {
  const operands: readonly Operand[] =
    condition.op === '=' || condition.op === '!='
      ? [condition.value]
      : condition.op === 'in' || condition.op === 'not_in'
        ? condition.values
        : [];
  return operands.flatMap((operand) => (operand.kind === 'text' ? [operand.value] : []));
}

/** The graph of all tags, or the first thing that is wrong with it. */
export function tagGraph(all: Iterable<TagDefinition>): TagGraphResult {
  const sorted = [...all].toSorted((a, b) => compareText(a.name, b.name));
  const definitions = new Map<string, TagDefinition>();
  for (const definition of sorted) {
    if (definitions.has(definition.name)) {
      return {
        ok: false,
        code: 'tag_defined_twice',
        message: `there are two tags ${definition.name}`,
        what_to_do: 'rename one of them',
        tag: definition.name,
      };
    }
    definitions.set(definition.name, definition);
  }
  const children = new Map<string, string[]>(sorted.map(({ name }) => [name, []]));
  const needs = new Map<string, Set<string>>(sorted.map(({ name }) => [name, new Set()]));
  for (const definition of sorted) {
    const problem = connect(definition, definitions, children, needs);
    if (problem !== null) return problem;
  }
  const needsSorted = new Map<string, readonly string[]>();
  const neededBy = new Map<string, string[]>(sorted.map(({ name }) => [name, []]));
  for (const [name, needed] of needs) {
    const list = [...needed].toSorted(compareText);
    needsSorted.set(name, list);
    for (const each of list) neededBy.get(each)?.push(name);
  }
  const { order, rest } = arrange(needsSorted, neededBy);
  if (rest.size > 0) return cyclic(cyclesIn(rest, needsSorted, neededBy), children);
  return { ok: true, graph: { definitions, order, children, needs: needsSorted, neededBy } };
}

function connect(
  definition: TagDefinition,
  definitions: ReadonlyMap<string, TagDefinition>,
  children: ReadonlyMap<string, string[]>,
  needs: ReadonlyMap<string, Set<string>>,
): TagGraphRefusal | null {
  const { name, parent, members } = definition;
  const names = [...definitions.keys()];
  if (parent !== null) {
    if (!definitions.has(parent))
      return unknownTag(name, parent, `${name} is nested in ${parent}`, names, {});
    children.get(parent)?.push(name);
    needs.get(parent)?.add(name);
  }
  if (members.kind !== 'rule') return null;
  for (const { node } of comparisonsOf(members.query)) {
    if (!asksTag(node)) continue;
    for (const named of namedOutright(node.condition)) {
      if (!definitions.has(named.toLowerCase())) {
        const { at, length } = node;
        return unknownTag(name, named, `the rule of ${name} asks for ${named}`, names, { at, length });
      }
    }
    for (const asked of tagsAsked(node, names)) needs.get(name)?.add(asked);
  }
  return null;
}

function unknownTag(
  tag: string,
  unknown: string,
  what: string,
  names: readonly string[],
  place: { readonly at?: number; readonly length?: number },
): TagGraphRefusal {
  return {
    ok: false,
    code: 'tag_unknown',
    message: `${what}, and there is no such tag`,
    what_to_do: `make the tag ${unknown} first, or name another`,
    tag,
    unknown,
    suggestions: nearest(unknown, names),
    ...place,
  };
}

/** Kahn's algorithm in waves. What is left over needs itself, or something that does. */
function arrange(
  needs: ReadonlyMap<string, readonly string[]>,
  neededBy: ReadonlyMap<string, readonly string[]>,
): { readonly order: string[]; readonly rest: Set<string> } {
  const waiting = new Map([...needs].map(([name, needed]) => [name, needed.length]));
  const order: string[] = [];
  let wave = [...waiting].filter(([, count]) => count === 0).map(([name]) => name);
  while (wave.length > 0) {
    const next: string[] = [];
    for (const name of wave.toSorted(compareText)) {
      order.push(name);
      waiting.delete(name);
      for (const dependent of neededBy.get(name) ?? []) {
        const left = (waiting.get(dependent) ?? 0) - 1;
        waiting.set(dependent, left);
        if (left === 0) next.push(dependent);
      }
    }
    wave = next;
  }
  return { order, rest: new Set(waiting.keys()) };
}

/** For every tag that needs itself and is not in one yet, the shortest way round through it. */
function cyclesIn(
  leftOver: ReadonlySet<string>,
  needs: ReadonlyMap<string, readonly string[]>,
  neededBy: ReadonlyMap<string, readonly string[]>,
): string[][] {
  const among = (edges: ReadonlyMap<string, readonly string[]>): Map<string, readonly string[]> =>
    new Map(
      [...leftOver].map((name) => [name, (edges.get(name) ?? []).filter((each) => leftOver.has(each))]),
    );
  // Arranged the other way round, what only leads to a way round and is on none falls away too.
  const { rest } = arrange(among(neededBy), among(needs));
  const cycles: string[][] = [];
  const covered = new Set<string>();
  for (const start of [...rest].toSorted(compareText)) {
    if (covered.has(start)) continue;
    const path = wayRound(start, rest, needs);
    if (path === null) rest.delete(start);
    else cycles.push(path);
    for (const name of path ?? []) covered.add(name);
  }
  return cycles;
}

/** Breadth first, each tag at most once. */
function wayRound(
  start: string,
  rest: ReadonlySet<string>,
  needs: ReadonlyMap<string, readonly string[]>,
): string[] | null {
  const cameFrom = new Map<string, string>();
  const queue = [start];
  for (const name of queue) {
    for (const next of needs.get(name) ?? []) {
      if (next === start) {
        const path = [start];
        let step: string | undefined = name;
        while (step !== undefined && step !== start) {
          path.push(step);
          step = cameFrom.get(step);
        }
        return [...path, start].toReversed();
      }
      if (!rest.has(next) || cameFrom.has(next)) continue;
      cameFrom.set(next, name);
      queue.push(next);
    }
  }
  return null;
}

function cyclic(
  paths: readonly (readonly string[])[],
  children: ReadonlyMap<string, readonly string[]>,
): TagGraphRefusal {
  const cycles = paths.map((path): TagCycle => {
    const steps = path.slice(0, -1).map((name, index) => {
      const next = path[index + 1] ?? '';
      return (children.get(name) ?? []).includes(next)
        ? `${next} is nested in ${name}`
        : `the rule of ${name} asks for ${next}`;
    });
    return { path, message: `${path.join(' → ')}: ${steps.join(', ')}` };
  });
  return {
    ok: false,
    code: 'tag_cycle',
    message: `tags need themselves: ${cycles.map(({ message }) => message).join('; ')}`,
    what_to_do: 'change a rule or a parent on the way round, so that it ends',
    cycles,
  };
}

/** These tags and all that need them, however far, in the order of evaluation. */
export function withDependents({ neededBy, order }: TagGraph, names: Iterable<string>): string[] {
  const reached = new Set(names);
  for (const name of reached) for (const next of neededBy.get(name) ?? []) reached.add(next);
  return order.filter((name) => reached.has(name));
}
