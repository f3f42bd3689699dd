/** Of which assets a tag or a rule holds, by set algebra over what the fleet answers. */
import { plan, type Plan, type Predicate } from '../query/plan.ts';
import type { Query } from '../query/query.ts';
import { changesWithTime, fieldsOf, fieldsOfQuery } from '../tag/change.ts';
import type { TagDefinition } from '../tag/definition.ts';
import type { TagGraph } from '../tag/dependencies.ts';
import { addAll, assetSet, difference, intersection, removeAll, type AssetSet } from './asset-set.ts';
import type { ReadonlyAssetSet } from './asset-set.ts';
import { idsOf } from './listed-assets.ts';
import type { FleetReading, Truths } from './reading.ts';
import { tagsOfQuery } from './strata.ts';

/** `assetTruths` of select/: where a query over assets is true and where it is false, of the live assets `within`. */
export type AssetTruths = (fleet: FleetReading, plan: Plan, now: number, within: ReadonlyAssetSet) => Truths;

/** Of which assets something holds, and of which that cannot be said. No asset is in both. */
export interface Judgement {
  readonly holds: AssetSet;
  readonly unknown: AssetSet;
}

/** What is to be asked of assets, with what its answer depends on. */
export interface Question {
  /** Facts of the asset, as `fieldsOf` names them. */
  readonly facts: ReadonlySet<string>;
  /** Tags whose answer is part of this one. */
  readonly needs: readonly string[];
  /** Its own answer changes with time alone, or with contact, of which nobody is told each time. */
  readonly ageing: boolean;
  readonly ask: (fleet: FleetReading, now: number, within: ReadonlyAssetSet) => Judgement;
}

/** Whether a change of these facts can change the answer; a name without its end stands for all below it. */
export function readsAny(facts: ReadonlySet<string>, changed: ReadonlySet<string>): boolean {
  for (const read of facts) {
    for (let path = read; ; path = path.slice(0, path.lastIndexOf('.'))) {
      if (changed.has(path)) return true;
      if (!path.includes('.')) break;
    }
  }
  return false;
}

const isAgeing = (query: Query): boolean => changesWithTime(query) || fieldsOfQuery(query).has('last_seen');

export function ruleQuestion(query: Query, graph: TagGraph, truthsOf: AssetTruths): Question {
  const { root } = plan(query);
  return {
    facts: fieldsOfQuery(query),
    needs: [...tagsOfQuery(query, graph)],
    ageing: isAgeing(query),
    ask: (fleet, now, within) => answer(fleet, root, now, within, truthsOf),
  };
}

function answer(
  fleet: FleetReading,
  root: Plan,
  now: number,
  within: ReadonlyAssetSet,
  truthsOf: AssetTruths,
): Judgement {
  return judgement(storedTruths(fleet, root, now, within) ?? truthsOf(fleet, root, now, within), within);
}

/** One question about one stored field is answered both ways at once; most rules are no more than that. */
function storedTruths(fleet: FleetReading, root: Plan, now: number, within: ReadonlyAssetSet): Truths | null {
  // Of few assets it is asked faster one by one, which the selection does.
  if (root.kind !== 'leaf' || within.size * 4 < fleet.assets.live.size) return null;
  const { field, key, condition } = root.predicate;
  const truths = field === 'tag' ? null : fleet.assets.truths(field, key, condition, now, within);
  if (truths === null || root.holds) return truths;
  return { holds: truths.fails, fails: truths.holds };
}

/** Nested tags are looked up in the fleet, so they must have been answered. */
export function tagQuestion(definition: TagDefinition, graph: TagGraph, truthsOf: AssetTruths): Question {
  const { name, members } = definition;
  const own = ownQuestion(definition, graph, truthsOf);
  const children = graph.children.get(name) ?? [];
  return {
    facts: fieldsOf(definition),
    needs: graph.needs.get(name) ?? [],
    ageing: members.kind === 'rule' && isAgeing(members.query),
    ask(fleet, now, within) {
      const result = own(fleet, now, within);
      for (const child of children) {
        const truths = fleet.tag(child);
        if (truths === null) throw new Error(`the tag ${child} has not been judged before ${name}`);
        addAll(result.unknown, unknownOf(truths, within));
        addAll(result.holds, intersection(within, truths.holds));
      }
      if (children.length > 0) removeAll(result.unknown, result.holds);
      return result;
    },
  };
}

function ownQuestion({ members }: TagDefinition, graph: TagGraph, truthsOf: AssetTruths): Question['ask'] {
  switch (members.kind) {
    case 'rule':
      return ruleQuestion(members.query, graph, truthsOf).ask;
    case 'list': {
      const ids = idsOf(members.assets);
      return (_fleet, _now, within) => ({ holds: intersection(within, ids), unknown: assetSet() });
    }
    case 'ranges': {
      // A range is asked for as a network is: what lies between its first address and its last.
      const values = members.ranges.map((range) => ({ kind: 'address' as const, ...range }));
      const predicate: Predicate = {
        scope: 'asset',
        field: 'address',
        key: null,
        condition: { op: 'in', values },
        ageing: false,
      };
      const key = `asset.address in (${values.map(({ text }) => text).join(', ')})`;
      const root: Plan = { kind: 'leaf', key, predicate, holds: true };
      return (fleet, now, within) => answer(fleet, root, now, within, truthsOf);
    }
    default:
      return members satisfies never;
  }
}

function judgement(truths: Truths, within: ReadonlyAssetSet): Judgement {
  return { holds: intersection(within, truths.holds), unknown: unknownOf(truths, within) };
}

/** Those in neither. */
export function unknownOf(truths: Truths, within: ReadonlyAssetSet): AssetSet {
  const rest = difference(within, truths.holds);
  removeAll(rest, truths.fails);
  return rest;
}

/** Those of which not the same is said any more. */
export function differing(before: Judgement, after: Judgement): AssetSet {
  const result = difference(before.holds, after.holds);
  addAll(result, difference(after.holds, before.holds));
  addAll(result, difference(before.unknown, after.unknown));
  addAll(result, difference(after.unknown, before.unknown));
  return result;
}
