/**
 * Which findings somebody has accepted the risk of, kept inside the model of the fleet.
 *
 * A scope asks facts that all findings of a pair share (acceptance-scope.ts) and facts of the asset. So it is decided in two
 * steps: for each pair that it could be about, its questions about the vulnerability and the package are answered, which
 * leaves a question about assets alone (`rest`), or nothing. Rests are few, since a scope leaves the same one for most of its
 * pairs; each is answered once, with a set of assets, and asked again for assets that have changed.
 *
 * Where several acceptances cover a finding, it is accepted by the one that ends last, since it stays accepted until then; of
 * those the one that began first, then the lowest id.
 *
 * An acceptance counts from `startsAt` on, and no longer at `expiresAt`. One whose scope cannot be judged (any more) covers
 * nothing, and is in `problems`.
 */
import type { QueryRecord } from '../query/evaluate.ts';
import { keyOf, plan, type Plan } from '../query/plan.ts';
import { byPrecedence, candidates, isAgeing, scopeOf, type Rest, type Scope } from './acceptance-in-force.ts';
import { questionsOf, remaining } from './acceptance-plan.ts';
import { readAcceptanceScope, type ScopeTags } from './acceptance-scope.ts';
import { addAll, assetSet, difference, intersection, removeAll, union } from './asset-set.ts';
import type { AssetSet, ReadonlyAssetSet } from './asset-set.ts';
import type { AssetTruths } from './evaluate-tag.ts';
import type { RiskAcceptance } from './facts.ts';
import { pairRecord } from './pair-facts.ts';
import type { FleetReading } from './reading.ts';
import { atOnce, type Sliced } from './select/selection.ts';

/** What is not as it was at the last refresh. */
export interface AcceptanceChange {
  /** Assets with another fact, tag or criticality, and those that were retired. */
  readonly assets: ReadonlyAssetSet | 'all';
  /** Pairs whose vulnerability or software has other facts. New pairs need not be named. */
  readonly pairs: Iterable<number>;
  /** A tag was made, deleted or has another definition. */
  readonly tags: boolean;
}

/** How long a scope that speaks of durations is taken to stay as it is. */
const AGEING_MILLISECONDS = 60_000;

/** Scopes asked of pairs in one slice. */
const ASKED_AT_ONCE = 2_000;

/** What one acceptance says of a pair. */
interface Entry {
  readonly scope: Scope;
  readonly rest: Rest;
}

export interface AcceptanceProblem {
  readonly id: string;
  readonly message: string;
}

export class Acceptances {
  readonly #truths: AssetTruths;
  readonly #tagsOf: (fleet: FleetReading) => ScopeTags;
  #list: readonly RiskAcceptance[] = [];
  #isListNew = false;
  /** In force, in the order in which they count. */
  #scopes: Scope[] = [];
  #inForce = new Map<string, Scope>();
  #problems: AcceptanceProblem[] = [];
  readonly #rests = new Map<string, Rest>();
  /** What covers a pair, in the order in which it counts. Pairs of which no acceptance speaks are not in it. */
  readonly #entries = new Map<number, readonly Entry[]>();
  readonly #covered = new Map<number, ReadonlyMap<string, ReadonlyAssetSet>>();
  #live: ReadonlyAssetSet = assetSet();
  #anywhere: AssetSet | null = null;
  /** Pairs below this have been judged. */
  #judged = 0;
  #agedAt = -Infinity;
  #refreshedAt = -Infinity;

  /** `tagsOf` says which tags there are, and which of them scopes may not ask for. */
  constructor(truths: AssetTruths, tagsOf: (fleet: FleetReading) => ScopeTags) {
    this.#truths = truths;
    this.#tagsOf = tagsOf;
  }

  /** All acceptances, whether they are in force or not. They count from the next refresh on. */
  set(list: readonly RiskAcceptance[]): void {
    this.#list = list;
    this.#isListNew = true;
  }

  /**
   * Brings everything up to date with the fleet and the time. Answers with the assets of which a finding may have become
   * accepted, or no longer be, or be so by another acceptance.
   */
  refresh(fleet: FleetReading, change: AcceptanceChange, now: number): { readonly assets: AssetSet } {
    return atOnce(this.refreshing(fleet, change, now));
  }

  *refreshing(
    fleet: FleetReading,
    change: AcceptanceChange,
    now: number,
  ): Sliced<{ readonly assets: AssetSet }> {
    const effect = assetSet();
    this.#covered.clear();
    this.#live = fleet.assets.live;
    this.#refreshedAt = now;
    const toJudge = new Set(change.pairs);
    for (; this.#judged < fleet.pairs; this.#judged++) toJudge.add(this.#judged);
    const isAged =
      now < this.#agedAt ||
      (now - this.#agedAt >= AGEING_MILLISECONDS && this.#scopes.some(({ ageing }) => ageing));
    if (isAged) this.#agedAt = now;
    for (const scope of this.#scopes) {
      if (!isAged || !scope.ageing) continue;
      scope.questions = questionsOf(scope.root, now);
      for (const pair of candidates(fleet, scope)) toJudge.add(pair);
    }
    const { added, gone } = this.#enforce(fleet, change.tags, now);
    for (const rest of this.#rests.values())
      this.#askAgain(fleet, rest, isAged && rest.ageing ? 'all' : change.assets, now, effect);
    // Pairs that are to be judged anew by all acceptances, and those that only some come to or go from.
    const turn: Turn = { fleet, now, differing: new Set() };
    for (const scope of gone) {
      for (const pair of scope.pairs) {
        const before = this.#entries.get(pair) ?? nothing;
        this.#put(
          turn,
          pair,
          before.filter((entry) => entry.scope !== scope),
        );
      }
    }
    for (const scope of added) yield* this.#add(turn, scope, toJudge);
    if (toJudge.size > 0) yield* this.#judge(turn, toJudge);
    for (const rest of turn.differing) addAll(effect, rest.assets);
    this.#forgetRests();
    return { assets: effect };
  }

  /**
   * Assets whose findings of the pair are accepted, by the acceptance that counts; no two overlap. Assets without such a
   * finding may be among them.
   */
  covered(pair: number): ReadonlyMap<string, ReadonlyAssetSet> {
    const entries = this.#entries.get(pair);
    if (entries === undefined) return nothingCovered;
    const held = this.#covered.get(pair);
    if (held !== undefined) return held;
    const covered = new Map<string, ReadonlyAssetSet>();
    let taken: AssetSet | null = null;
    for (const { scope, rest } of entries) {
      const own = taken === null ? rest.assets : difference(rest.assets, taken);
      if (own.isEmpty) continue;
      covered.set(scope.acceptance.id, own);
      if (entries.length === 1) break;
      if (taken === null) taken = rest.assets.clone();
      else addAll(taken, own);
    }
    taken?.dispose();
    this.#covered.set(pair, covered);
    return covered;
  }

  /** The same by each acceptance for itself: they may overlap. */
  *speaking(pair: number): Generator<{ readonly id: string; readonly assets: ReadonlyAssetSet }> {
    for (const { scope, rest } of this.#entries.get(pair) ?? [])
      yield { id: scope.acceptance.id, assets: rest.assets };
  }

  /** Id of the acceptance that counts for a finding; null: it is not accepted. */
  accepts(pair: number, asset: number): string | null {
    for (const { scope, rest } of this.#entries.get(pair) ?? [])
      if (rest.assets.has(asset)) return scope.acceptance.id;
    return null;
  }

  /** Assets that some acceptance may cover a finding of: on all others nothing is accepted. */
  get anywhere(): ReadonlyAssetSet {
    return (this.#anywhere ??= union([...this.#rests.values()].map((rest) => rest.assets)));
  }

  /** Pairs that an acceptance in force speaks of. */
  pairs(): Iterable<number> {
    return this.#entries.keys();
  }

  /** When an acceptance ends, whether it has begun or not; null: there is none of that id. */
  ends(id: string): number | null {
    const found = this.#inForce.get(id)?.acceptance ?? this.#list.find((each) => each.id === id);
    return found?.expiresAt ?? null;
  }

  /**
   * The first moment after the last refresh, or after `now` where that is earlier, at which time alone may change something: one
   * that is not later than `now` is waited for. Null: none.
   */
  nextChange(now: number): number | null {
    const since = Math.min(now, this.#refreshedAt);
    let next = this.#scopes.some(({ ageing }) => ageing) ? this.#agedAt + AGEING_MILLISECONDS : Infinity;
    for (const { startsAt, expiresAt, revokedAt } of this.#list) {
      if (revokedAt !== null) continue;
      if (startsAt > since) next = Math.min(next, startsAt);
      else if (expiresAt > since) next = Math.min(next, expiresAt);
    }
    return next === Infinity ? null : next;
  }

  /** Acceptances that would be in force, and cover nothing since their scope cannot be judged. */
  get problems(): readonly AcceptanceProblem[] {
    return this.#problems;
  }

  /** Puts into force what begins, and out of it what ends. */
  #enforce(fleet: FleetReading, areTagsNew: boolean, now: number): { added: Scope[]; gone: Scope[] } {
    const due = this.#list.filter(
      ({ startsAt, expiresAt, revokedAt }) => revokedAt === null && startsAt <= now && now < expiresAt,
    );
    const isSame =
      !areTagsNew &&
      !this.#isListNew &&
      due.length === this.#inForce.size + this.#problems.length &&
      due.every(({ id }) => this.#inForce.has(id) || this.#problems.some((each) => each.id === id));
    if (isSame) return { added: [], gone: [] };
    this.#isListNew = false;
    const tags = this.#tagsOf(fleet);
    const before = this.#inForce;
    this.#inForce = new Map();
    this.#problems = [];
    const added: Scope[] = [];
    for (const acceptance of due.toSorted(byPrecedence)) {
      const read = readAcceptanceScope(acceptance.scope, tags);
      if (!read.ok) {
        this.#problems.push({ id: acceptance.id, message: read.message });
        continue;
      }
      const held = before.get(acceptance.id);
      const isKept =
        held !== undefined &&
        held.acceptance.scope === acceptance.scope &&
        held.acceptance.expiresAt === acceptance.expiresAt &&
        held.acceptance.startsAt === acceptance.startsAt;
      const scope = isKept ? held : scopeOf(acceptance, plan(read.query).root, now);
      if (!isKept) added.push(scope);
      this.#inForce.set(acceptance.id, scope);
    }
    this.#scopes = [...this.#inForce.values()];
    if (this.#agedAt === -Infinity) this.#agedAt = now;
    return {
      added,
      gone: [...before].flatMap(([id, scope]) => (this.#inForce.get(id) === scope ? [] : [scope])),
    };
  }

  #askAgain(
    fleet: FleetReading,
    rest: Rest,
    changed: ReadonlyAssetSet | 'all',
    now: number,
    effect: AssetSet,
  ): void {
    if (changed !== 'all' && changed.isEmpty) return;
    const some = changed === 'all' ? null : intersection(changed, this.#live);
    const after = this.#ask(fleet, rest.plan, now, some ?? this.#live);
    const before = changed === 'all' ? rest.assets.clone() : intersection(rest.assets, changed);
    const [gone, come] = [difference(before, after), difference(after, before)];
    if (!gone.isEmpty || !come.isEmpty) {
      // In its place: a change is mostly of few assets, and the set may be of very many.
      removeAll(rest.assets, gone);
      addAll(rest.assets, come);
      addAll(effect, gone);
      addAll(effect, come);
      this.#forgetAnywhere();
    }
    for (const set of [after, before, gone, come]) set.dispose();
    some?.dispose();
  }

  #forgetAnywhere(): void {
    this.#anywhere?.dispose();
    this.#anywhere = null;
  }

  #ask(fleet: FleetReading, question: Plan, now: number, within: ReadonlyAssetSet): AssetSet {
    if (question.kind === 'all') return within.clone();
    return intersection(within, this.#truths(fleet, question, now, within).holds);
  }

  /** Puts a new acceptance on all pairs that it speaks of, but for those that are judged anew anyway. */
  *#add(turn: Turn, scope: Scope, judged: ReadonlySet<number>): Sliced<void> {
    const { fleet, now } = turn;
    let asked = 0;
    for (const index of candidates(fleet, scope)) {
      if (++asked % ASKED_AT_ONCE === 0) yield;
      if (judged.has(index)) continue;
      const rest = this.#restOf(fleet, scope, pairRecord(fleet, fleet.pair(index)), now);
      if (rest === null) continue;
      const before = this.#entries.get(index) ?? nothing;
      this.#put(turn, index, [...before, { scope, rest }].sort(byEntry));
    }
  }

  *#judge(turn: Turn, toJudge: ReadonlySet<number>): Sliced<void> {
    const { fleet, now } = turn;
    const byVulnerability = new Map<string, Scope[]>();
    const byPackage = new Map<string, Scope[]>();
    const others: Scope[] = [];
    for (const scope of this.#scopes) {
      const [index, names] =
        scope.vulnerabilities === null
          ? [byPackage, scope.packages]
          : [byVulnerability, scope.vulnerabilities];
      if (names === null) others.push(scope);
      for (const name of names ?? []) {
        const list = index.get(name);
        if (list === undefined) index.set(name, [scope]);
        else list.push(scope);
      }
    }
    let asked = 0;
    for (const index of toJudge) {
      const pair = fleet.pair(index);
      const named = [
        byVulnerability.get(fleet.vulnerability(pair.vulnerability).id.toLowerCase()),
        byPackage.get(pair.package.toLowerCase()),
      ].flatMap((list) => list ?? []);
      const scopes = named.length === 0 ? others : [...others, ...named];
      if ((asked += 1 + scopes.length) > ASKED_AT_ONCE) {
        asked = 0;
        yield;
      }
      const entries: Entry[] = [];
      const record = pairRecord(fleet, pair);
      for (const scope of scopes) {
        const rest = this.#restOf(fleet, scope, record, now);
        if (rest !== null) entries.push({ scope, rest });
      }
      this.#put(turn, index, entries.sort(byEntry));
    }
  }

  /** Notes what covers a pair from now on. */
  #put({ differing }: Turn, pair: number, after: readonly Entry[]): void {
    const before = this.#entries.get(pair) ?? nothing;
    if (after.length === 0) this.#entries.delete(pair);
    else this.#entries.set(pair, after);
    const has = (list: readonly Entry[], { scope, rest }: Entry): boolean =>
      list.some((each) => each.scope === scope && each.rest === rest);
    for (const entry of before) if (!has(after, entry)) differing.add(entry.rest);
    for (const entry of after) if (!has(before, entry)) differing.add(entry.rest);
    for (const { scope } of before) scope.pairs.delete(pair);
    for (const { scope } of after) scope.pairs.add(pair);
  }

  #forgetRests(): void {
    const used = new Set(this.#scopes.flatMap(({ rests }) => [...rests.values()]));
    for (const [key, rest] of this.#rests) {
      if (used.has(rest)) continue;
      this.#rests.delete(key);
      rest.assets.dispose();
      this.#forgetAnywhere();
    }
  }

  /** What is left of a scope for a pair; null: it covers nothing of it. */
  #restOf(fleet: FleetReading, scope: Scope, record: QueryRecord, now: number): Rest | null {
    let answers = '';
    for (const { ask, holds } of scope.questions) answers += ask(record) === holds ? '1' : '0';
    const known = scope.rests.get(answers);
    if (known !== undefined) return known;
    const left = remaining(scope.root, answers);
    let rest: Rest | null = null;
    if (left.kind !== 'none') {
      const key = keyOf(left);
      rest = this.#rests.get(key) ?? null;
      if (rest === null) {
        const ageing = isAgeing(left);
        rest = { key, plan: left, ageing, assets: this.#ask(fleet, left, now, this.#live) };
        this.#rests.set(key, rest);
        this.#forgetAnywhere();
      }
    }
    scope.rests.set(answers, rest);
    return rest;
  }
}

/** One refresh. */
interface Turn {
  readonly fleet: FleetReading;
  readonly now: number;
  /** Questions whose assets some pair has come to, or gone from. */
  readonly differing: Set<Rest>;
}

const nothing: readonly Entry[] = [];
const byEntry = (a: Entry, b: Entry): number => byPrecedence(a.scope.acceptance, b.scope.acceptance);
const nothingCovered: ReadonlyMap<string, ReadonlyAssetSet> = new Map();
