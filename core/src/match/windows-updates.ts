import type { UpdateFact } from '../knowledge/facts.ts';
import { compareWindowsBuild, parseWindowsBuild, type WindowsBuild } from '../version/windows-build.ts';

/**
 * Which update of a Windows product contains which other. MSRC names for most updates what they replace directly, and its
 * chains have gaps (of 80 updates of Windows Server 2019 up to 2025-02, five cumulative ones are superseded by nothing). So
 * an update `i` contains an update `f` of the same product when one of these holds:
 *
 * 1. it is the same, or `i` supersedes `f`, directly or over other updates;
 * 2. both are of the product's *cumulative line*, and `i` has the newer build of the same branch;
 * 3. both are of the cumulative line, and the number of `i` is above that of `f` by more than {@link seasonApart}, or
 *    {@link cumulativeApart} where the product has cumulative updates alone. KB numbers rise over the seasons, though not from
 *    one week to the next: over all cumulative lines of MSRC's documents from 2016-04 to 2025-02, an update's number is at most
 *    9,496 above that of a later month's (Server 2008, 2016), and of Windows 10 and its servers at most 2,610.
 *
 * The cumulative line: updates that the data lists for at least {@link cumulativeFrom} vulnerabilities of the product, and
 * that are not of a type which stands alone (`Security Only`, `IE Cumulative`, a servicing stack, Safe OS), with everything
 * that those supersede. The count keeps apart what MSRC gives the same type and a build of the same form: KB5012170, which
 * only replaces the Secure Boot list, is a `Security Update` with "fixed build" 10.0.17763.3284 as well, and a host that has
 * it has no cumulative update by that. It is listed for five vulnerabilities; a monthly update is for dozens.
 */

export const cumulativeFrom = 10;
/**
 * KB numbers of one season are in no order (KB4558998 came out a month after KB4561608), but never this far apart: of two
 * updates further apart the one with the higher number is the newer.
 */
export const seasonApart = 10_000;
export const cumulativeApart = 5_000;

/** What of a claim (a decision about a product) the graph reads. */
export interface ClaimedFix {
  /** Name of the product. */
  readonly package: string;
  readonly updates: readonly string[];
}

/** An update for one product; facts about it from several records united. */
export interface ProductUpdate {
  readonly id: string;
  readonly product: string;
  /** Lowest where records differ: what is certain to be reached. */
  readonly fixedBuild: string | null;
  readonly type: string | null;
  readonly restart: UpdateFact['restart'];
  readonly url: string | null;
  readonly publishedAt: string | null;
  readonly knownIssues: boolean;
  /** Direct ones, sorted; also ids that the data says nothing else of. */
  readonly supersedes: readonly string[];
  /** Direct ones, sorted. */
  readonly supersededBy: readonly string[];
}

export interface ProductUpdates {
  readonly product: string;
  readonly updates: ReadonlyMap<string, ProductUpdate>;
  /** Whether it is serviced by cumulative updates alone, so that a build says everything that is in it. */
  readonly isCumulative: boolean;
  /** Ids of the cumulative line. */
  readonly line: ReadonlySet<string>;
  /** Ids that are cumulative themselves, and not only superseded by such. */
  readonly cumulative: ReadonlySet<string>;
  /** Everything that an update supersedes, directly or not, without itself. Cycles in the data end the walk. */
  below(id: string): ReadonlySet<string>;
  /** Everything that supersedes it, directly or not, and that the data has an update of. */
  above(id: string): ReadonlySet<string>;
  /** Whether `containing` contains the fix of `contained`, as said above. */
  contains(containing: string, contained: string): boolean;
}

export interface SupersedenceGraph {
  /** Null when no update of the product is known. */
  of(product: string): ProductUpdates | null;
  /** Whether the data has the update at all, for whatever product. */
  knows(id: string): boolean;
}

/** Types that are no part of a cumulative line, as MSRC spells them over the years. */
const standsAlone = /security only|ie cumulative|servicing ?stack|setup du|safe os|standalone|^update$/iu;

export function isHotpatch(update: Pick<ProductUpdate, 'type'>): boolean {
  return /hotpatch/iu.test(update.type ?? '');
}

/** Number of a KB: `KB5040430` → 5040430; 0 for an id of another form. */
export function numberOfKb(id: string): number {
  return Number(/^KB(\d{1,9})$/u.exec(id)?.[1] ?? 0);
}

/** `a` to `b`, or null when they do not compare. */
export function compareBuildTexts(a: string, b: string): number | null {
  const left = parseWindowsBuild(a);
  const right = parseWindowsBuild(b);
  if (!left.ok || !right.ok) return null;
  const order = compareWindowsBuild(left.version, right.version);
  return order === 'incomparable' ? null : order;
}

interface Draft {
  readonly facts: UpdateFact[];
  readonly supersededBy: Set<string>;
}

/**
 * The graph of all updates.
 *
 * @param claims every decision about a product of Windows: they say for how many vulnerabilities an update is listed
 */
export function supersedenceOf(
  updates: Iterable<UpdateFact>,
  claims: Iterable<ClaimedFix>,
): SupersedenceGraph {
  const drafts = new Map<string, Map<string, Draft>>();
  const known = new Set<string>();
  for (const fact of updates) {
    known.add(fact.id);
    const product = drafts.get(fact.product) ?? new Map<string, Draft>();
    drafts.set(fact.product, product);
    const draft = product.get(fact.id) ?? { facts: [], supersededBy: new Set<string>() };
    product.set(fact.id, draft);
    draft.facts.push(fact);
  }
  const listed = new Map<string, Map<string, number>>();
  for (const { package: product, updates: ids } of claims) {
    const counts = listed.get(product) ?? new Map<string, number>();
    listed.set(product, counts);
    for (const id of ids) counts.set(id, (counts.get(id) ?? 0) + 1);
  }
  const products = new Map(
    [...drafts].map(([product, ofProduct]) => [
      product,
      productUpdates(product, ofProduct, listed.get(product) ?? new Map<string, number>()),
    ]),
  );
  return { of: (product) => products.get(product) ?? null, knows: (id) => known.has(id) };
}

function productUpdates(
  product: string,
  drafts: ReadonlyMap<string, Draft>,
  listed: ReadonlyMap<string, number>,
): ProductUpdates {
  const isOf = (id: string, type: RegExp): boolean =>
    drafts.get(id)?.facts.some((fact) => type.test(fact.type ?? '')) === true;
  /** What one month brings replaces no rollup of everything before, though MSRC says so of two. */
  const isMistaken = (id: string, older: string): boolean =>
    isOf(id, /security only/iu) && isOf(older, /rollup/iu);
  for (const [id, { facts }] of drafts) {
    for (const older of facts.flatMap(({ supersedes }) => supersedes)) {
      if (older !== id && !isMistaken(id, older)) drafts.get(older)?.supersededBy.add(id);
    }
  }
  const updates = new Map([...drafts].map(([id, draft]) => [id, unite(id, product, draft)]));
  const below = memo((id) =>
    reach(id, (at) => updates.get(at)?.supersedes.filter((older) => !isMistaken(at, older)) ?? []),
  );
  const above = memo((id) => reach(id, (at) => updates.get(at)?.supersededBy ?? []));

  const alone = (id: string): boolean => standsAlone.test(updates.get(id)?.type ?? '');
  const cumulative = new Set(
    [...updates.keys()].filter((id) => !alone(id) && (listed.get(id) ?? 0) >= cumulativeFrom),
  );
  const line = new Set(cumulative);
  for (const id of cumulative) for (const older of below(id)) if (!alone(older)) line.add(older);
  const numbers = new Map([...updates.keys(), ...line].map((id) => [id, numberOfKb(id)]));
  const builds = new Map<string, WindowsBuild>();
  for (const { id, fixedBuild } of updates.values()) {
    const parsed = fixedBuild === null ? null : parseWindowsBuild(fixedBuild);
    if (parsed?.ok === true) builds.set(id, parsed.version);
  }
  const isCumulative =
    cumulative.size > 0 && ![...updates.values()].some(({ type }) => /security only/iu.test(type ?? ''));
  const apart = isCumulative ? cumulativeApart : seasonApart;
  return {
    product,
    updates,
    isCumulative,
    line,
    cumulative,
    below,
    above,
    contains(containing, contained) {
      if (containing === contained || below(containing).has(contained)) return true;
      if (!cumulative.has(containing) || !line.has(contained)) return false;
      const newer = builds.get(containing);
      const older = builds.get(contained);
      if (newer !== undefined && older !== undefined) {
        const order = compareWindowsBuild(newer, older);
        if (order !== 'incomparable') return order >= 0;
      }
      return (numbers.get(containing) ?? 0) - (numbers.get(contained) ?? 0) > apart;
    },
  };
}

function unite(id: string, product: string, { facts, supersededBy }: Draft): ProductUpdate {
  const first = <T>(read: (fact: UpdateFact) => T | null): T | null => {
    for (const fact of facts) {
      const value = read(fact);
      if (value !== null) return value;
    }
    return null;
  };
  let fixedBuild: string | null = null;
  for (const fact of facts) {
    if (fact.fixedBuild === null) continue;
    const order = fixedBuild === null ? null : compareBuildTexts(fact.fixedBuild, fixedBuild);
    if (fixedBuild === null || (order !== null && order < 0)) ({ fixedBuild } = fact);
  }
  const dates = facts.flatMap(({ publishedAt }) => (publishedAt === null ? [] : [publishedAt])).sort();
  const supersedes = new Set(facts.flatMap((fact) => fact.supersedes).filter((older) => older !== id));
  return {
    id,
    product,
    fixedBuild,
    type: first(({ type }) => type),
    restart: first(({ restart }) => restart),
    url: first(({ url }) => url),
    publishedAt: dates[0] ?? null,
    knownIssues: facts.some(({ knownIssues }) => knownIssues),
    supersedes: [...supersedes].sort(),
    supersededBy: [...supersededBy].sort(),
  };
}

function memo<T>(compute: (id: string) => T): (id: string) => T {
  const results = new Map<string, T>();
  return (id) => {
    const held = results.get(id);
    if (held !== undefined) return held;
    const result = compute(id);
    results.set(id, result);
    return result;
  };
}

function reach(start: string, next: (id: string) => readonly string[]): ReadonlySet<string> {
  const seen = new Set<string>();
  const open = [...next(start)];
  for (let id = open.pop(); id !== undefined; id = open.pop()) {
    if (id === start || seen.has(id)) continue;
    seen.add(id);
    open.push(...next(id));
  }
  return seen;
}

export interface UpdateToDeploy {
  readonly update: ProductUpdate;
  /**
   * `only_update`: nothing newer contains the fix. `newest_of_chain`: the end of the chain of supersedence from the fix.
   * `newest_cumulative`: the newest of the product's cumulative updates, though the data does not name every step to it.
   */
  readonly reason: 'only_update' | 'newest_of_chain' | 'newest_cumulative';
  /** The update of `kbs` that it contains. */
  readonly fixing: string;
  /** Other updates that would do as well and that nothing supersedes, best first. */
  readonly alternatives: readonly string[];
}

/**
 * The update to deploy now for what any of `kbs` fixes: not superseded by any other, cumulative before single, a full
 * update before a hotpatch (which needs a baseline). Null when the product or all of the updates are unknown.
 */
export function updateToDeploy(
  graph: SupersedenceGraph,
  product: string,
  kbs: readonly string[],
): UpdateToDeploy | null {
  const known = graph.of(product);
  if (known === null) return null;
  const fixing = kbs.filter((id) => known.updates.has(id));
  const candidates = new Map<
    string,
    { readonly fixing: string; readonly reason: UpdateToDeploy['reason'] }
  >();
  for (const id of fixing) {
    const above = [...known.above(id)];
    const ends = above.filter((newer) => known.above(newer).size === 0);
    if (ends.length === 0) candidates.set(id, { fixing: id, reason: 'only_update' });
    for (const end of ends) candidates.set(end, { fixing: id, reason: 'newest_of_chain' });
  }
  // A newer cumulative update replaces a candidate that it contains, also where the data does not say so.
  for (const end of known.cumulative) {
    if (candidates.has(end) || known.above(end).size > 0) continue;
    const contained = fixing.find((id) => known.contains(end, id));
    if (contained !== undefined) candidates.set(end, { fixing: contained, reason: 'newest_cumulative' });
  }
  const ranked = [...candidates.keys()]
    .flatMap((id) => known.updates.get(id) ?? [])
    .sort((a, b) => byPreference(known, a, b));
  const [best] = ranked;
  const why = best === undefined ? undefined : candidates.get(best.id);
  if (best === undefined || why === undefined) return null;
  const alternatives = ranked
    .slice(1)
    .filter(({ id }) => !known.contains(best.id, id))
    .map(({ id }) => id);
  return { update: best, ...why, alternatives };
}

function byPreference(known: ProductUpdates, a: ProductUpdate, b: ProductUpdate): number {
  const rank = (update: ProductUpdate): number => {
    if (isHotpatch(update)) return 2;
    if (/preview/iu.test(update.type ?? '')) return 3;
    return known.line.has(update.id) ? 0 : 1;
  };
  if (rank(a) !== rank(b)) return rank(a) - rank(b);
  if (a.fixedBuild !== null && b.fixedBuild !== null) {
    const order = compareBuildTexts(b.fixedBuild, a.fixedBuild);
    if (order !== null && order !== 0) return order;
  }
  return numberOfKb(b.id) - numberOfKb(a.id);
}

/** Vulnerabilities of the product that are fixed once the update is installed, sorted. */
export function fixedByUpdate(
  graph: SupersedenceGraph,
  product: string,
  update: string,
  claims: Iterable<ClaimedFix & { readonly vulnerability: string; readonly status: string }>,
): string[] {
  const known = graph.of(product);
  if (known === null) return [];
  const fixed = new Set<string>();
  for (const claim of claims) {
    if (claim.package !== product || claim.status !== 'fixed') continue;
    if (claim.updates.some((id) => known.contains(update, id))) fixed.add(claim.vulnerability);
  }
  return [...fixed].sort();
}
