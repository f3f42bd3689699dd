/** What a change of the tags would do, before it is saved. */
import type { Truth } from '../query/evaluate.ts';
import type { TagDefinition } from './definition.ts';
import { tagGraph, type TagGraphRefusal } from './dependencies.ts';
import { prepareTags, type TaggedAsset } from './membership.ts';

export type TagChange =
  /** A new tag, or a new definition of the one of that name. */
  | { readonly kind: 'save'; readonly definition: TagDefinition }
  | { readonly kind: 'delete'; readonly name: string };

/** Ids of assets, sorted by code unit. */
export interface TagDifference {
  readonly enter: readonly string[];
  /** Members today that would be none; those of which it could not be said any more included. */
  readonly leave: readonly string[];
  /** Of which it could not be said then, and can today. */
  readonly become_unknown: readonly string[];
}

export type TagPreview =
  | {
      readonly ok: true;
      /** The tags where anything would change, by name: the changed one, and those that need it. */
      readonly differences: ReadonlyMap<string, TagDifference>;
    }
  | TagGraphRefusal;

/** The definitions after a change, which may be no graph. */
export function definitionsAfter(definitions: Iterable<TagDefinition>, change: TagChange): TagDefinition[] {
  const changed = change.kind === 'save' ? change.definition.name : change.name;
  const others = [...definitions].filter(({ name }) => name !== changed);
  return change.kind === 'save' ? [...others, change.definition] : others;
}

/**
 * Who would enter and leave which tag. Goes through the assets once. Refused where the tags would be no graph: a cycle, or a
 * tag deleted that others name.
 */
export function previewChange(
  definitions: Iterable<TagDefinition>,
  change: TagChange,
  assets: Iterable<TaggedAsset>,
  now: number,
): TagPreview {
  const current = [...definitions];
  const before = tagGraph(current);
  if (!before.ok) return before;
  const after = tagGraph(definitionsAfter(current, change));
  if (!after.ok) return after;
  const [today, then] = [prepareTags(before.graph, now), prepareTags(after.graph, now)];
  const found = new Map<string, { enter: string[]; leave: string[]; become_unknown: string[] }>();
  const names = [...new Set([...before.graph.order, ...after.graph.order])].sort();
  for (const asset of assets) {
    const [was, is] = [today.truths(asset), then.truths(asset)];
    for (const name of names) {
      // Of a tag that there is not it is known that nobody is in it.
      const [old, fresh]: [Truth | undefined, Truth | undefined] = [was.get(name), is.get(name)];
      const [from, to]: [Truth, Truth] = [
        old === undefined ? false : old,
        fresh === undefined ? false : fresh,
      ];
      if (from === to) continue;
      let difference = found.get(name);
      if (difference === undefined) {
        difference = { enter: [], leave: [], become_unknown: [] };
        found.set(name, difference);
      }
      if (to === true) difference.enter.push(asset.id);
      if (from === true) difference.leave.push(asset.id);
      if (to === null) difference.become_unknown.push(asset.id);
    }
  }
  const differences = new Map<string, TagDifference>();
  for (const name of names) {
    const difference = found.get(name);
    if (difference === undefined) continue;
    const { enter, leave, become_unknown } = difference;
    differences.set(name, {
      enter: enter.sort(),
      leave: leave.sort(),
      become_unknown: become_unknown.sort(),
    });
  }
  return { ok: true, differences };
}
