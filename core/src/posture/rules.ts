/**
 * Tags and criticality rules with the sets of assets that they come to, kept current as facts, definitions and time change.
 *
 * What is judged again is as little as can be: a tag is asked anew of the assets whose facts it reads and that have changed, and
 * of those for which a tag that it needs says something else than before. Whether that comes to the same as asking everything
 * of every asset is what rules.test.ts tries.
 *
 * Findings are judged between the two halves (strata.ts), so there are two calls, of which the second counts on the first:
 * `refreshFirst`, then what the fleet makes of criticality, then `refreshLast`.
 */
import type { Query } from '../query/query.ts';
import type { Criticality } from '../risk/asset-risk.ts';
import type { TagDefinition, TagMembers } from '../tag/definition.ts';
import type { TagGraph } from '../tag/dependencies.ts';
import {
  addAll,
  assetSet,
  difference,
  intersection,
  keepOnly,
  removeAll,
  sameSet,
  union,
} from './asset-set.ts';
import type { AssetSet, ReadonlyAssetSet } from './asset-set.ts';
import { differing, readsAny, ruleQuestion, tagQuestion } from './evaluate-tag.ts';
import type { AssetTruths, Judgement, Question } from './evaluate-tag.ts';
import type { CriticalityRule } from './facts.ts';
import { CriticalityLevels } from './criticality-levels.ts';
import { idsOf } from './listed-assets.ts';
import { readableGraph, readableQuery, type RuleProblem } from './readable-rules.ts';
import type { FleetReading, Truths } from './reading.ts';
import { atOnce, type Sliced } from './select/selection.ts';
import { strataOf, type Strata } from './strata.ts';

/** Rules that ask for ages are asked of all assets again when so much time has passed. */
export const ageingMilliseconds = 60_000;

/** What people have set, of a fleet. */
interface PeoplesChoices {
  readonly assets: Pick<FleetReading['assets'], 'criticalitySet'>;
}
type Assets = ReadonlyAssetSet | 'all';
type Facts = ReadonlySet<string> | 'all';

/** What the first tags and criticality can change: whether a finding is accepted, when it is due, and what follows from that. */
const followingFacts: ReadonlySet<string> = new Set(['criticality', 'risk', 'open_findings', 'finding']);

/** An answer that is kept, with what it is the answer to. */
interface Kept {
  readonly question: Question;
  judgement: Judgement;
  /** Made from the judgement when it is first read. */
  truths: Truths | null;
  /** Never asked, or asked of another definition. */
  outdated: boolean;
}

interface KeptRule extends Kept {
  readonly rule: CriticalityRule;
}

export class Rules {
  private readonly truthsOf: AssetTruths;
  private graphNow: TagGraph = emptyGraph;
  private strata: Strata = { first: [], last: [] };
  private last: ReadonlySet<string> = new Set();
  private readonly tagsKept = new Map<string, Kept>();
  /** All criticality rules, of which those are kept that can be judged. */
  private given: readonly CriticalityRule[] = [];
  private rulesKept: KeptRule[] = [];
  private readonly passedOver: Record<'tag' | 'criticality', readonly RuleProblem[]> = {
    tag: [],
    criticality: [],
  };
  private readonly levels = new CriticalityLevels();
  /** Assets that were live when the first tags, and when the last ones, were refreshed. */
  private readonly seen = { first: assetSet(), last: assetSet() };
  private readonly agedAt: { first: number | null; last: number | null } = { first: null, last: null };
  /** What `refreshFirst` changed, for `refreshLast`. */
  private waiting = new Map<string, AssetSet>();
  private waitingAssets = assetSet();
  private moved: ReadonlyAssetSet = assetSet();
  private levelsOutdated = false;

  constructor(truthsOf: AssetTruths) {
    this.truthsOf = truthsOf;
  }

  get graph(): TagGraph {
    return this.graphNow;
  }

  /** Tags and rules that cannot be judged, as if there were none of these names. */
  get problems(): RuleProblem[] {
    return [...this.passedOver.tag, ...this.passedOver.criticality];
  }

  /** All tags, and those of which whoever has read them says that they cannot be read. */
  setTags(definitions: readonly TagDefinition[], unreadable: readonly RuleProblem[] = []): void {
    const built = readableGraph(definitions);
    this.passedOver.tag = [...unreadable, ...built.problems];
    const before = this.graphNow;
    const wasLast = new Set(this.strata.last);
    this.graphNow = built.graph;
    this.strata = strataOf(built.graph);
    const isLast = new Set(this.strata.last);
    this.last = isLast;
    for (const name of before.order) if (!built.graph.definitions.has(name)) this.tagsKept.delete(name);
    for (const [name, definition] of built.graph.definitions) {
      const kept = this.tagsKept.get(name);
      const isMoved = wasLast.has(name) !== isLast.has(name);
      if (kept !== undefined && !isMoved && isSameTag(before, built.graph, name)) continue;
      this.tagsKept.set(name, {
        question: tagQuestion(definition, built.graph, this.truthsOf),
        judgement: kept?.judgement ?? { holds: assetSet(), unknown: assetSet() },
        truths: null,
        outdated: true,
      });
    }
    this.setCriticality(this.given);
  }

  /** All criticality rules, in their order. */
  setCriticality(given: readonly CriticalityRule[]): void {
    this.given = given;
    const problems: RuleProblem[] = [];
    const rules: { readonly rule: CriticalityRule; readonly query: Query }[] = [];
    for (const rule of given) {
      const query = readableQuery(rule, this.passedOver.tag);
      if ('message' in query) problems.push(query);
      else rules.push({ rule, query });
    }
    this.passedOver.criticality = problems;
    const before = new Map(this.rulesKept.map((each) => [each.rule.query, each]));
    const isSame =
      rules.length === this.rulesKept.length &&
      rules.every(({ rule: { query, criticality } }, index) => {
        const { rule } = this.rulesKept[index] ?? {};
        return rule?.query === query && rule.criticality === criticality;
      });
    if (!isSame) this.levelsOutdated = true;
    this.rulesKept = rules.map(({ rule, query }) => {
      const question = ruleQuestion(query, this.graphNow, this.truthsOf);
      const kept = before.get(rule.query);
      const outdated = kept === undefined || kept.outdated || !sameTexts(kept.question.needs, question.needs);
      // What an outdated one came to stays, so that it is found out for whom it comes to something else.
      const judgement = kept?.judgement ?? { holds: assetSet(), unknown: assetSet() };
      return { question, rule, judgement, truths: null, outdated };
    });
  }

  /**
   * The first tags and criticality. Facts of `changed` assets are named as queries name them: `hostname`, `attribute.role`,
   * `package`; `criticality` is what a person has set. Assets that have come or gone, and definitions that have changed, need
   * not be named. `now` is in milliseconds since 1970.
   *
   * @returns the live assets whose criticality is another one than before, new assets included
   */
  refreshFirst(fleet: FleetReading, changed: Assets, facts: Facts, now: number): ReadonlyAssetSet {
    const turn = this.begin('first', fleet, changed, facts, now);
    for (const name of this.strata.first) this.refreshTag(turn, name);
    const judged = this.levelsOutdated ? turn.live.clone() : turn.appeared.clone();
    if (facts === 'all' || facts.has('criticality')) addAll(judged, turn.base);
    for (const kept of this.rulesKept) {
      const delta = this.refresh(turn, kept);
      if (delta !== null) addAll(judged, delta);
    }
    this.levelsOutdated = false;
    this.levels.remove(turn.gone);
    const criticality = this.levels.judge(
      fleet.assets,
      judged,
      this.rulesKept.map(({ rule, judgement }) => ({ level: rule.criticality, holds: judgement.holds })),
    );
    this.moved = union([criticality, ...turn.deltas.values()]);
    for (const [name, delta] of turn.deltas) {
      const before = this.waiting.get(name);
      if (before === undefined) this.waiting.set(name, delta);
      else addAll(before, delta);
    }
    addAll(this.waitingAssets, this.moved);
    return criticality;
  }

  /** Of which assets a first tag or criticality says something else since the last `refreshFirst`: what follows from those may too. */
  get movedAssets(): ReadonlyAssetSet {
    return this.moved;
  }

  /**
   * The other tags, once findings are judged by what `refreshFirst` came to. `finding` in the facts is any change of findings;
   * what follows from the first tags and from criticality need not be named.
   */
  refreshLast(fleet: FleetReading, changed: Assets, facts: Facts, now: number): void {
    atOnce(this.refreshingLast(fleet, changed, facts, now));
  }

  /** The same in slices, one tag each. Nothing of the fleet may change until it is done. */
  *refreshingLast(fleet: FleetReading, changed: Assets, facts: Facts, now: number): Sliced<void> {
    const turn = this.begin('last', fleet, changed, facts, now);
    for (const [name, delta] of this.waiting) turn.deltas.set(name, intersection(delta, turn.live));
    const moved = intersection(this.waitingAssets, turn.live);
    this.waiting = new Map();
    this.waitingAssets = assetSet();
    for (const name of this.strata.last) {
      this.refreshTag(turn, name, moved);
      yield;
    }
  }

  /** What time has changed, of all tags. Answers as `refreshFirst`. */
  refreshAges(fleet: FleetReading, now: number): ReadonlyAssetSet {
    const none = new Set<string>();
    const criticality = this.refreshFirst(fleet, assetSet(), none, now);
    this.refreshLast(fleet, assetSet(), none, now);
    return criticality;
  }

  /**
   * When time may change something, in milliseconds since 1970; null: it changes nothing. `lastWaits`: the last tags are asked
   * again soon anyway.
   */
  nextChange(now: number, lastWaits = false): number | null {
    const kept = [...this.tagsKept.values(), ...this.rulesKept];
    if (!kept.some(({ question }) => question.ageing)) return null;
    const asked = Math.min(this.agedAt.first ?? 0, lastWaits ? Infinity : (this.agedAt.last ?? 0));
    return Math.max(now, asked + ageingMilliseconds);
  }

  /** Null: no such tag. */
  tag(name: string): Truths | null {
    const kept = this.tagsKept.get(name);
    if (kept === undefined) return null;
    return (kept.truths ??= {
      holds: kept.judgement.holds,
      fails: failing(this.seen[this.last.has(name) ? 'last' : 'first'], kept.judgement),
    });
  }

  /** Sorted by name. */
  tagsOf(asset: number): string[] {
    const names: string[] = [];
    for (const [name, { judgement }] of this.tagsKept) if (judgement.holds.has(asset)) names.push(name);
    return names.toSorted();
  }

  criticality({ assets }: PeoplesChoices, asset: number): ReturnType<FleetReading['criticality']> {
    const set = assets.criticalitySet(asset);
    if (set !== null) return { level: set, by: 'person' };
    for (const { rule, judgement } of this.rulesKept)
      if (judgement.holds.has(asset)) return { level: rule.criticality, by: { rule: rule.name } };
    return { level: 3, by: 'default' };
  }

  /** The live assets of a criticality, whoever gave it. */
  ofCriticality(level: Criticality): ReadonlyAssetSet {
    return this.levels.of(level);
  }

  private begin(
    half: 'first' | 'last',
    fleet: FleetReading,
    changed: Assets,
    facts: Facts,
    now: number,
  ): Turn {
    const { live } = fleet.assets;
    const seen = this.seen[half];
    const gone = difference(seen, live);
    const appeared = difference(live, seen);
    if (gone.size > 0 || appeared.size > 0) {
      removeAll(seen, gone);
      addAll(seen, appeared);
      for (const name of this.strata[half]) {
        const kept = this.tagsKept.get(name);
        // Who has come fails until something else is found out.
        if (kept !== undefined) without(kept, gone);
      }
      if (half === 'first') for (const kept of this.rulesKept) without(kept, gone);
    }
    const agedAt = this.agedAt[half];
    const aged = agedAt === null || now < agedAt || now - agedAt >= ageingMilliseconds;
    if (aged) this.agedAt[half] = now;
    const base = changed === 'all' ? live.clone() : intersection(live, changed);
    return { fleet, facts, now, aged, live, gone, appeared, base, deltas: new Map() };
  }

  private refreshTag(turn: Turn, name: string, moved: ReadonlyAssetSet | null = null): void {
    const kept = this.tagsKept.get(name);
    if (kept === undefined) throw new Error(`the tag ${name} is not kept`);
    const delta = this.refresh(turn, kept, moved);
    if (delta !== null) turn.deltas.set(name, delta);
  }

  /** Asks a question of the assets that may answer it differently now. Those that do; null: none. */
  private refresh(turn: Turn, kept: Kept, moved: ReadonlyAssetSet | null = null): AssetSet | null {
    const { question } = kept;
    // A tag that was judged in the other half may hold who has left since.
    if (kept.outdated) for (const set of Object.values(kept.judgement)) keepOnly(set, turn.live);
    const within =
      kept.outdated || (question.ageing && turn.aged) ? turn.live : concerned(turn, question, moved);
    if (within.size === 0) {
      kept.outdated = false;
      return null;
    }
    const after = question.ask(turn.fleet, turn.now, within);
    const { holds, unknown } = kept.judgement;
    const delta = differing(
      { holds: intersection(within, holds), unknown: intersection(within, unknown) },
      after,
    );
    kept.outdated = false;
    if (delta.size === 0) return null;
    removeAll(holds, within);
    addAll(holds, after.holds);
    removeAll(unknown, within);
    addAll(unknown, after.unknown);
    kept.truths = null;
    return delta;
  }
}

/** The assets that may answer a question differently. */
function concerned(turn: Turn, question: Question, moved: ReadonlyAssetSet | null): ReadonlyAssetSet {
  const parts: ReadonlyAssetSet[] = [turn.appeared];
  if (turn.facts === 'all' ? question.facts.size > 0 : readsAny(question.facts, turn.facts))
    parts.push(turn.base);
  if (moved !== null && readsAny(question.facts, followingFacts)) parts.push(moved);
  for (const needed of question.needs) {
    const delta = turn.deltas.get(needed);
    if (delta !== undefined) parts.push(delta);
  }
  const [only = turn.appeared, ...others] = parts.filter(({ size }) => size > 0);
  return others.length === 0 ? only : union([only, ...others]);
}

/** One run of a refresh. */
interface Turn {
  readonly fleet: FleetReading;
  readonly facts: Facts;
  readonly now: number;
  /** Enough time has passed to ask what changes with it. */
  readonly aged: boolean;
  readonly live: ReadonlyAssetSet;
  readonly gone: AssetSet;
  readonly appeared: AssetSet;
  /** The assets with changed facts. */
  readonly base: AssetSet;
  /** Where tags answer differently, by name. */
  readonly deltas: Map<string, AssetSet>;
}

const emptyGraph: TagGraph = {
  definitions: new Map(),
  order: [],
  children: new Map(),
  needs: new Map(),
  neededBy: new Map(),
};

function without(kept: Kept, gone: AssetSet): void {
  removeAll(kept.judgement.holds, gone);
  removeAll(kept.judgement.unknown, gone);
  kept.truths = null;
}

function failing(live: ReadonlyAssetSet, { holds, unknown }: Judgement): AssetSet {
  const fails = difference(live, holds);
  removeAll(fails, unknown);
  return fails;
}

/** Whether a tag comes to the same by both graphs, as far as what it needs does. */
function isSameTag(before: TagGraph, after: TagGraph, name: string): boolean {
  const [old, fresh] = [before.definitions.get(name), after.definitions.get(name)];
  return (
    old !== undefined &&
    fresh !== undefined &&
    isSameMembers(old.members, fresh.members) &&
    sameTexts(before.needs.get(name) ?? [], after.needs.get(name) ?? []) &&
    sameTexts(before.children.get(name) ?? [], after.children.get(name) ?? [])
  );
}

function isSameMembers(a: TagMembers, b: TagMembers): boolean {
  if (a.kind === 'rule') return b.kind === 'rule' && a.text === b.text;
  if (a.kind === 'list') return b.kind === 'list' && sameSet(idsOf(a.assets), idsOf(b.assets));
  const texts = ({ ranges }: typeof a): string[] => ranges.map(({ text }) => text);
  return b.kind === 'ranges' && sameTexts(texts(a), texts(b));
}

function sameTexts(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((each, index) => each === b[index]);
}
