import type { PostureSummary } from '@fixpoint/contract/posture.ts';
import { intersection } from '@fixpoint/core/posture/asset-set.ts';
import type { FleetReading } from '@fixpoint/core/posture/reading.ts';
import { selectAssets } from '@fixpoint/core/posture/select/select.ts';
import type { Sliced } from '@fixpoint/core/posture/select/selection.ts';
import { explain } from '@fixpoint/core/query/explain.ts';
import { predicatesOf, plan } from '@fixpoint/core/query/plan.ts';
import { print } from '@fixpoint/core/query/print.ts';
import type { Query } from '@fixpoint/core/query/query.ts';
import type { ServerContext } from '../app.ts';
import { answer, refuse, type Answer, type Refusal } from '../refusal.ts';
import { asOf } from './posture-state.ts';
import { readQuery } from './query.ts';
import { summarise, type ScopeSummary } from './summary.ts';

/** Dashboards of scopes: each worked out once for a state of the fleet, whoever asks and however often. */

export interface ScopeRequest {
  readonly tag?: string | undefined;
  readonly query?: string | undefined;
}

/** A scope that was read: assets of a tag, of a query, of both; of neither: all. */
export interface Scope {
  readonly tag: string | null;
  readonly query: Query | null;
}

export function readScope({ tag, query }: ScopeRequest, path?: string): Answer<Scope> {
  if (query === undefined) return answer({ tag: tag ?? null, query: null });
  const read = readQuery(query, 'asset', path);
  return read.ok ? answer({ tag: tag ?? null, query: read.value.query }) : read;
}

export function unknownTag(name: string): Refusal {
  return refuse(404, 'tag_unknown', `there is no tag ${name.slice(0, 63)}`, 'list them: fixpoint tag list');
}

/** The assets of a scope; null: there is no such tag. */
export function* assetsOfScope(
  fleet: FleetReading,
  { tag, query }: Scope,
  now: number,
): Sliced<FleetReading['assets']['live'] | null> {
  let within = fleet.assets.live;
  if (tag !== null) {
    const truths = fleet.tag(tag);
    if (truths === null) return null;
    within = intersection(within, truths.holds);
  }
  return query === null ? within : yield* selectAssets(fleet, query, now, within);
}

interface Kept {
  /** Of which fleet: one that is loaded anew counts its versions from the beginning. Held weakly, as it is large. */
  readonly of: WeakRef<FleetReading>;
  readonly version: number;
  readonly at: number;
  readonly summary: ScopeSummary;
}

const isOf = (kept: Kept, fleet: FleetReading, version: number): boolean =>
  kept.of.deref() === fleet && kept.version >= version;

/** A scope that asks for ages is another as time passes, without any change of the fleet. */
const ageingSeconds = 60;
const mostKept = 200;

export class Dashboards {
  readonly #context: Pick<ServerContext, 'posture' | 'clock'>;
  /** By scope, the least recently used first. */
  readonly #kept = new Map<string, Kept>();
  readonly #working = new Map<string, Promise<Kept | null>>();

  constructor(context: Pick<ServerContext, 'posture' | 'clock'>) {
    this.#context = context;
  }

  async of(request: ScopeRequest): Promise<Answer<PostureSummary>> {
    const read = readScope(request);
    if (!read.ok) return read;
    const scope = read.value;
    const printed = scope.query === null ? null : print(scope.query);
    const kept = await this.#current(JSON.stringify([scope.tag, printed]), scope);
    if (kept === null) return unknownTag(scope.tag ?? '');
    const { posture } = this.#context;
    const which = explain({ subject: 'asset', root: scope.query?.root ?? null });
    return answer({
      tag: scope.tag,
      query: printed,
      words: scope.tag === null ? which : `${which.replace(/\.$/, '')}, of the tag ${scope.tag}.`,
      ...kept.summary,
      as_of: asOf(posture),
      settled: posture.state()?.risksSettled ?? false,
    });
  }

  async #current(key: string, scope: Scope): Promise<Kept | null> {
    const asked = await this.#context.posture.fresh();
    // Whoever asks wants what was there then, or newer. Were it to be the newest, a fleet that changes all the time would let
    // one of those who wait have an answer, and the others wait for the next.
    const { version } = asked;
    for (;;) {
      const known = this.#kept.get(key);
      if (known !== undefined && isOf(known, asked, version) && !this.#hasAged(known, scope)) {
        this.#kept.delete(key);
        this.#kept.set(key, known);
        return known;
      }
      const working = this.#working.get(key);
      // Whoever came first may be at work on an older state: its answer is looked at, and then asked for anew.
      if (working === undefined) break;
      await working;
    }
    const work = this.#workOut(scope).finally(() => this.#working.delete(key));
    this.#working.set(key, work);
    const made = await work;
    if (made === null) return null;
    this.#kept.delete(key);
    this.#kept.set(key, made);
    for (const oldest of this.#kept.keys()) {
      if (this.#kept.size <= mostKept) break;
      this.#kept.delete(oldest);
    }
    return made;
  }

  #hasAged({ at }: Kept, { query }: Scope): boolean {
    if (query === null || !predicatesOf(plan(query).root).some(({ ageing }) => ageing)) return false;
    return this.#context.clock.now().getTime() - at > ageingSeconds * 1000;
  }

  async #workOut(scope: Scope): Promise<Kept | null> {
    const at = this.#context.clock.now().getTime();
    return await this.#context.posture.run(function* (fleet) {
      const { version } = fleet;
      const of = new WeakRef<FleetReading>(fleet);
      const within = yield* assetsOfScope(fleet, scope, at);
      if (within === null) return null;
      const totals = yield* fleet.totals(within);
      return { of, version, at, summary: yield* summarise(fleet, within, totals) };
    });
  }
}
