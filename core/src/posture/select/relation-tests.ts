/**
 * Plans over vulnerabilities, patches and packages as tests. What has to be selected first, such as the findings that a
 * relation leads to, is selected before the test is handed out, once.
 */
import type { Plan } from '../../query/plan.ts';
import { overlap } from '../asset-set.ts';
import type { SoftwareFacts } from '../facts.ts';
import { fleetPatches, type FleetPatch } from '../patches.ts';
import type { Asking } from './asking.ts';
import { compileLeaf, compilePlan, type LeafPlan, type RelatedPlan } from './plan-truth.ts';
import { livePairs, packageRecord, patchRecord, vulnerabilityRecord } from './records.ts';
import type { Sliced } from './selection.ts';

type Test<Item> = (item: Item) => boolean;

/** `item`: index of a vulnerability. */
export function vulnerabilityTest(asking: Asking, part: Plan): Sliced<Test<number>> {
  return testOf(part, {
    leaf: (leaf) => {
      const { fleet, now, tagNames } = asking;
      const test = compileLeaf(leaf, now, tagNames);
      return remembered((index: number) => test(vulnerabilityRecord(fleet, index, now)));
    },
    related: (related) => relatedToVulnerability(asking, related),
  });
}

export function patchTest(asking: Asking, part: Plan): Sliced<Test<FleetPatch>> {
  return testOf(part, {
    leaf: (leaf) => {
      const { fleet, now, tagNames } = asking;
      const test = compileLeaf(leaf, now, tagNames);
      return remembered((patch: FleetPatch) => test(patchRecord(fleet, patch, now)));
    },
    related: (related) => relatedToPatch(asking, related),
  });
}

/** Packages lead nowhere, so nothing has to be selected first. */
export function packageTest({ now, tagNames }: Asking, part: Plan): Test<SoftwareFacts> {
  const test = compilePlan(part, now, tagNames);
  return (software) => test(packageRecord(software));
}

interface Kind<Item> {
  readonly leaf: (leaf: LeafPlan) => Test<Item>;
  readonly related: (related: RelatedPlan) => Sliced<Test<Item>>;
}

function* testOf<Item>(part: Plan, kind: Kind<Item>): Sliced<Test<Item>> {
  switch (part.kind) {
    case 'all':
      return () => true;
    case 'none':
      return () => false;
    case 'and':
    case 'or': {
      const tests: Test<Item>[] = [];
      for (const each of part.parts) tests.push(yield* testOf(each, kind));
      return part.kind === 'and'
        ? (item) => tests.every((test) => test(item))
        : (item) => tests.some((test) => test(item));
    }
    case 'leaf':
      return kind.leaf(part);
    case 'some':
    case 'every':
      return yield* kind.related(part);
    default:
      return part satisfies never;
  }
}

export function remembered<Item>(test: Test<Item>): Test<Item> {
  const answers = new Map<Item, boolean>();
  return (item) => {
    let answer = answers.get(item);
    if (answer === undefined) {
      answer = test(item);
      answers.set(item, answer);
    }
    return answer;
  };
}

function* relatedToVulnerability(asking: Asking, part: RelatedPlan): Sliced<Test<number>> {
  const { fleet, whole } = asking;
  const isSome = part.kind === 'some';
  if (part.relation === 'finding') {
    const selected = yield* whole.findings(part.where);
    if (isSome) return (index) => fleet.pairsOfVulnerability(index).some((pair) => selected.has(pair));
    return remembered((index) =>
      livePairs(fleet, index).every(
        (pair) => (selected.get(pair.index)?.size ?? 0) === fleet.affected(pair.index).size,
      ),
    );
  }
  const patches = yield* fleetPatches(fleet);
  const test = yield* whole.patchTest(part.where);
  const fixing = (index: number): FleetPatch[] =>
    fleet.pairsOfVulnerability(index).flatMap((pair) => patches.ofPair(pair));
  return remembered(isSome ? (index) => fixing(index).some(test) : (index) => fixing(index).every(test));
}

function* relatedToPatch(asking: Asking, part: RelatedPlan): Sliced<Test<FleetPatch>> {
  const { fleet, whole } = asking;
  const isSome = part.kind === 'some';
  if (part.relation === 'vulnerability') {
    const test = yield* whole.vulnerabilityTest(part.where);
    const ofPair = (pair: number): boolean => test(fleet.pair(pair).vulnerability);
    return isSome ? (patch) => patch.pairs().some(ofPair) : (patch) => patch.pairs().every(ofPair);
  }
  const selected = yield* whole.findings(part.where);
  const isAny = (patch: FleetPatch) => (pair: number) => {
    const own = selected.get(pair);
    return own !== undefined && overlap(own, patch.closedOn(pair)) > 0;
  };
  const isAll = (patch: FleetPatch) => (pair: number) => {
    const closed = patch.closedOn(pair);
    if (closed.isEmpty) return true;
    const own = selected.get(pair);
    return own !== undefined && overlap(own, closed) === closed.size;
  };
  return remembered(
    isSome ? (patch) => patch.pairs().some(isAny(patch)) : (patch) => patch.pairs().every(isAll(patch)),
  );
}
