/**
 * What is left of a plan over findings once it is known of which pair they are: what the vulnerability, its danger and its
 * carriers answer is answered for all findings of the pair at once. What remains asks for the asset (sets), the status (sets),
 * or for what only the single finding has.
 */
import type { QueryRecord } from '../../query/evaluate.ts';
import { keyOf, type Assertion, type Plan } from '../../query/plan.ts';
import type { Operand } from '../../query/query.ts';
import type { SoftwareFacts } from '../facts.ts';
import { fleetPatches } from '../patches.ts';
import type { Carrying, ExposedFindingStatus, FindingPair, FleetFinding } from '../reading.ts';
import { exposedStatuses } from '../totals.ts';
import type { Asking } from './asking.ts';
import { canBeDue } from './due.ts';
import { compileLeaf, compilePlan, type LeafPlan, type RelatedPlan } from './plan-truth.ts';
import {
  carrierFact,
  carrierFields,
  findingRecord,
  fixAvailable,
  packageRecord,
  pairFact,
  pairFields,
} from './records.ts';
import { remembered } from './relation-tests.ts';
import type { Sliced } from './selection.ts';

export type Rest =
  | { readonly kind: 'all' }
  | { readonly kind: 'none' }
  | { readonly kind: 'and' | 'or'; readonly key: string; readonly parts: readonly Rest[] }
  /** The asset is one of which the plan is true. */
  | { readonly kind: 'assets'; readonly key: string; readonly plan: Plan }
  | { readonly kind: 'status'; readonly key: string; readonly statuses: readonly ExposedFindingStatus[] }
  /**
   * First seen at `from` (milliseconds since 1970) or later or, without `later`, before. `verdicts`: whether all software of
   * the pair is known to be vulnerable since before that, when it is its coming to the asset that counts, or since later.
   */
  | {
      readonly kind: 'seen';
      readonly key: string;
      readonly from: number;
      readonly later: boolean;
      readonly verdicts: 'before' | 'mixed' | 'later';
    }
  /** To be asked of each finding; `within`: only those in this status can be meant, where it is given. */
  | {
      readonly kind: 'one';
      readonly key: string;
      readonly holds: (finding: FleetFinding) => boolean;
      readonly within: ExposedFindingStatus | null;
    };

/** Reduces a plan to what is left of it for a pair. */
export type Reduce = (pair: FindingPair) => Rest;

const all: Rest = { kind: 'all' };
const none: Rest = { kind: 'none' };
const constant = (truth: boolean): Rest => (truth ? all : none);

export function* reduceOf(asking: Asking, part: Plan): Sliced<Reduce> {
  switch (part.kind) {
    case 'all':
      return () => all;
    case 'none':
      return () => none;
    case 'and':
    case 'or': {
      const reduces: Reduce[] = [];
      // What answers for all at once comes first, so that the rest is not asked where that decides.
      for (const each of [...part.parts].sort((a, b) => Number(isOfAsset(a)) - Number(isOfAsset(b))))
        reduces.push(yield* reduceOf(asking, each));
      return joined(part.kind, reduces);
    }
    case 'leaf':
      return leafReduce(asking, part);
    case 'some':
    case 'every':
      return yield* relatedReduce(asking, part);
    default:
      return part satisfies never;
  }
}

const isOfAsset = (part: Plan): boolean =>
  (part.kind === 'some' || part.kind === 'every') && part.relation === 'asset';

function joined(kind: 'and' | 'or', reduces: readonly Reduce[]): Reduce {
  const [neutral, decisive] = kind === 'and' ? (['all', 'none'] as const) : (['none', 'all'] as const);
  return (pair) => {
    const parts: Rest[] = [];
    for (const reduce of reduces) {
      const rest = reduce(pair);
      if (rest.kind === decisive) return rest;
      if (rest.kind !== neutral) parts.push(rest);
    }
    const [only] = parts;
    if (only === undefined) return { kind: neutral };
    if (parts.length === 1) return only;
    return { kind, key: parts.map((each) => `(${restKey(each)})`).join(` ${kind} `), parts };
  };
}

export function restKey(rest: Rest): string {
  return rest.kind === 'all' || rest.kind === 'none' ? rest.kind : rest.key;
}

function leafReduce(asking: Asking, leaf: LeafPlan): Reduce {
  const { fleet, now, tagNames } = asking;
  const test = compileLeaf(leaf, now, tagNames);
  const { field } = leaf.predicate;
  if (pairFields.has(field)) {
    const ofDanger: Rest[] = [];
    return (pair) => {
      ofDanger[pair.danger] ??= constant(test(factRecord(pairFact(fleet, pair, field))));
      return ofDanger[pair.danger] ?? none;
    };
  }
  if (carrierFields.has(field))
    return carrierReduce(leaf.key, (carrying) => test(factRecord(carrierFact(carrying, field))));
  const one: Rest = {
    kind: 'one',
    key: leaf.key,
    holds: (finding) => test(findingRecord(fleet, finding, now)),
    within: null,
  };
  switch (field) {
    case 'status': {
      const statuses = exposedStatuses.filter((status) => test(factRecord(status)));
      if (statuses.length === exposedStatuses.length) return () => all;
      if (statuses.length === 0) return () => none;
      const rest: Rest = { kind: 'status', key: leaf.key, statuses };
      return () => rest;
    }
    case 'fixed_at': {
      const rest = constant(test(factRecord([])));
      return () => rest;
    }
    case 'accepted_until': {
      // Of what is not accepted it is known that there is none.
      const rest: Rest = test(factRecord([])) ? one : { ...one, within: 'accepted' };
      return () => rest;
    }
    case 'due': {
      const never = constant(test(factRecord([])));
      const canBe = remembered((danger: number) => canBeDue(fleet, fleet.danger(danger)));
      return (pair) => (canBe(pair.danger) ? one : never);
    }
    case 'first_seen':
      return seenReduce(leaf, now, tagNames) ?? (() => one);
    default:
      return () => one;
  }
}

function factRecord(fact: ReturnType<QueryRecord['field']>): QueryRecord {
  return { field: () => fact, related: () => null };
}

/**
 * A comparison of `first_seen` is true from some moment on, or until then. A range and a period are two of them. Nothing is first
 * seen before its verdict but what is kept from software that was replaced, so where all verdicts are later, few are left open.
 */
function seenReduce(leaf: LeafPlan, now: number, tagNames: readonly string[]): Reduce | null {
  const { condition } = leaf.predicate;
  const ends = endsOf(condition);
  if (ends !== null) {
    const reduces = ends.map((end) =>
      seenReduce(
        { ...leaf, key: `${leaf.key} ${end.op}`, predicate: { ...leaf.predicate, condition: end } },
        now,
        tagNames,
      ),
    );
    const [from, to] = reduces;
    return from && to ? joined(leaf.holds ? 'and' : 'or', [from, to]) : null;
  }
  if (!('value' in condition)) return null;
  const test = compileLeaf(leaf, now, tagNames);
  const holdsAt = (at: number): boolean => test(factRecord(at));
  const before = holdsAt(0);
  const later = holdsAt(Number.MAX_SAFE_INTEGER);
  if (before === later) return () => constant(later);
  const from = firstUnlike(holdsAt, before);
  return ({ carriers }) => {
    let [earliest, latest] = [Infinity, -Infinity];
    for (const { verdict } of carriers) {
      earliest = Math.min(earliest, verdict.since);
      latest = Math.max(latest, verdict.since);
    }
    const verdicts = earliest >= from ? 'later' : latest < from ? 'before' : 'mixed';
    return { kind: 'seen', key: `${leaf.key} ${verdicts}`, from, later, verdicts };
  };
}

type Comparing = Extract<Assertion, { readonly value: Operand }>;

/** `7d..30d`, and a day, as two comparisons; null where it is one already, or none. */
function endsOf(condition: Assertion): [Comparing, Comparing] | null {
  if (condition.op === 'range')
    return [
      { op: '>=', value: condition.from },
      { op: '<=', value: condition.to },
    ];
  if (condition.op !== '=' && condition.op !== ':') return null;
  return [
    { op: '>=', value: condition.value },
    { op: '<=', value: condition.value },
  ];
}

/** The first moment at which the answer is another than `before`; it changes once. */
function firstUnlike(holdsAt: (at: number) => boolean, before: boolean): number {
  let [like, unlike] = [0, Number.MAX_SAFE_INTEGER];
  while (unlike - like > 1) {
    const middle = Math.floor((like + unlike) / 2);
    if (holdsAt(middle) === before) like = middle;
    else unlike = middle;
  }
  return unlike;
}

function* relatedReduce(asking: Asking, part: RelatedPlan): Sliced<Reduce> {
  const { fleet, now, tagNames, whole } = asking;
  switch (part.relation) {
    case 'asset': {
      // There is exactly one.
      const rest: Rest =
        part.where.kind === 'all' || part.where.kind === 'none'
          ? constant(part.where.kind === 'all')
          : { kind: 'assets', key: `asset ${keyOf(part.where)}`, plan: part.where };
      return () => rest;
    }
    case 'vulnerability': {
      const test = yield* whole.vulnerabilityTest(part.where);
      return (pair) => constant(test(pair.vulnerability));
    }
    case 'package': {
      const test = compilePlan(part.where, now, tagNames);
      const tests = new Map<string, (software: SoftwareFacts) => boolean>();
      return carrierReduce(part.key, ({ software }, pair) => {
        // Software is remembered under the name that findings call it by, which is the same for all of its package.
        let ofName = tests.get(pair.package);
        if (ofName === undefined) {
          ofName = remembered((facts) => test(packageRecord(facts, pair.package)));
          tests.set(pair.package, ofName);
        }
        return ofName(software);
      });
    }
    case 'patch': {
      const patches = yield* fleetPatches(fleet);
      const test = remembered(yield* whole.patchTest(part.where));
      return carrierReduce(part.key, (carrying) => {
        if (carrying.verdict.verdict === 'undetermined') return false;
        const patch = patches.named(carrying);
        if (patch !== null) return test(patch);
        return part.kind === 'every' && fixAvailable(carrying) === false;
      });
    }
    default:
      throw new Error(`findings have no ${part.relation}`);
  }
}

/** What depends on the software that speaks for a finding: answered for the pair where all its carriers say the same. */
function carrierReduce(key: string, test: (carrying: Carrying, pair: FindingPair) => boolean): Reduce {
  const one: Rest = {
    kind: 'one',
    key,
    holds: ({ spokesman, pair }) => test(spokesman, pair),
    within: null,
  };
  return (pair) => {
    const { carriers } = pair;
    const [first] = carriers;
    if (first === undefined) return none;
    const truth = test(first, pair);
    return carriers.every((carrying) => test(carrying, pair) === truth) ? constant(truth) : one;
  };
}

/** Whether what is left is true of a finding. `isIn`: whether its asset is one of a plan's, which have been selected before. */
export function restHolds(
  rest: Rest,
  finding: FleetFinding,
  isIn: (plan: Plan, asset: number) => boolean,
): boolean {
  switch (rest.kind) {
    case 'all':
      return true;
    case 'none':
      return false;
    case 'and':
      return rest.parts.every((each) => restHolds(each, finding, isIn));
    case 'or':
      return rest.parts.some((each) => restHolds(each, finding, isIn));
    case 'assets':
      return isIn(rest.plan, finding.asset);
    case 'status':
      return rest.statuses.includes(finding.status);
    case 'seen':
      return finding.firstSeenAt >= rest.from === rest.later;
    case 'one':
      return rest.holds(finding);
    default:
      return rest satisfies never;
  }
}

/** Plans over assets in what is left. */
export function assetPlansOf(rest: Rest): Plan[] {
  if (rest.kind === 'assets') return [rest.plan];
  return rest.kind === 'and' || rest.kind === 'or' ? rest.parts.flatMap(assetPlansOf) : [];
}

/** Moments in what is left, of which it has to be known what assets had before. */
export function momentsOf(rest: Rest): number[] {
  if (rest.kind === 'seen') return [rest.from];
  return rest.kind === 'and' || rest.kind === 'or' ? rest.parts.flatMap(momentsOf) : [];
}

/** Whether what is left is nothing but assets. */
export function asksAssetsOnly(rest: Rest): boolean {
  if (rest.kind === 'and' || rest.kind === 'or') return rest.parts.every(asksAssetsOnly);
  return rest.kind === 'all' || rest.kind === 'none' || rest.kind === 'assets';
}
