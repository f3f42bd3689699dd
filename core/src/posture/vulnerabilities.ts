/** The vulnerabilities that the fleet's software has verdicts of, with how dangerous each is on systems of each vendor. */
import { summariseDanger } from '../knowledge/danger.ts';
import { isEcosystem } from '../knowledge/ecosystem.ts';
import { vulnerabilityScore } from '../risk/vulnerability-score.ts';
import type { VulnerabilityFacts } from './facts.ts';
import type { FleetDanger } from './reading.ts';

const nothingKnown = (id: string): VulnerabilityFacts => ({
  id,
  aliases: [],
  title: null,
  publishedAt: null,
  withdrawn: false,
  scores: [],
  threats: [],
});

/** A vulnerability keeps its index for good, and so does its danger in an ecosystem. */
export class Vulnerabilities {
  readonly #facts: VulnerabilityFacts[] = [];
  readonly #indexes = new Map<string, number>();
  /** One alias can be said of several. */
  readonly #aliases = new Map<string, number[]>();
  readonly #dangers: FleetDanger[] = [];
  /** By vulnerability: how dangerous it is without a system in mind, once that was asked for. */
  readonly #general: (Omit<FleetDanger, 'ecosystem'> | null)[] = [];
  /** By vulnerability: its dangers. */
  readonly #dangersOf: number[][] = [];

  get count(): number {
    return this.#facts.length;
  }

  get dangers(): number {
    return this.#dangers.length;
  }

  facts(index: number): VulnerabilityFacts {
    return held(this.#facts[index], 'vulnerability', index);
  }

  danger(index: number): FleetDanger {
    return held(this.#dangers[index], 'danger', index);
  }

  /** Without a system in mind. */
  dangerOf(index: number): Omit<FleetDanger, 'ecosystem'> {
    return (this.#general[index] ??= judged(index, this.facts(index), null));
  }

  /** By id or alias, in any case. Of several with one alias the one whose id comes first, in whatever order they became known. */
  called(id: string): number | null {
    const name = id.toUpperCase();
    const known = this.#indexes.get(name);
    if (known !== undefined) return known;
    const [first, ...others] = this.#aliases.get(name) ?? [];
    if (first === undefined) return null;
    return others.reduce((a, b) => (this.facts(b).id < this.facts(a).id ? b : a), first);
  }

  /** The index of a vulnerability, which is made when there is none: a verdict can come before what is known of it. */
  indexOf(id: string): number {
    const name = id.toUpperCase();
    const known = this.#indexes.get(name);
    if (known !== undefined) return known;
    const index = this.#facts.length;
    this.#facts.push(nothingKnown(id));
    this.#general.push(null);
    this.#dangersOf.push([]);
    this.#indexes.set(name, index);
    return index;
  }

  dangerIndex(vulnerability: number, ecosystem: string): number {
    const its = this.#dangersOf[vulnerability] ?? [];
    for (const index of its) if (this.danger(index).ecosystem === ecosystem) return index;
    const index = this.#dangers.length;
    this.#dangers.push({ ...judged(vulnerability, this.facts(vulnerability), ecosystem), ecosystem });
    its.push(index);
    return index;
  }

  /** Takes what is known now; answers the indexes of the dangers whose score is another. */
  put(facts: VulnerabilityFacts): number[] {
    const index = this.indexOf(facts.id);
    for (const alias of this.facts(index).aliases) {
      const left = this.#aliases.get(alias.toUpperCase())?.filter((one) => one !== index) ?? [];
      if (left.length === 0) this.#aliases.delete(alias.toUpperCase());
      else this.#aliases.set(alias.toUpperCase(), left);
    }
    this.#facts[index] = facts;
    this.#general[index] = null;
    for (const alias of facts.aliases) {
      const named = this.#aliases.get(alias.toUpperCase()) ?? [];
      if (!named.includes(index)) this.#aliases.set(alias.toUpperCase(), [...named, index]);
    }
    const changed: number[] = [];
    for (const danger of this.#dangersOf[index] ?? []) {
      const before = this.danger(danger);
      const now = { ...judged(index, facts, before.ecosystem), ecosystem: before.ecosystem };
      this.#dangers[danger] = now;
      if (now.score.chance !== before.score.chance) changed.push(danger);
    }
    return changed;
  }
}

function judged(
  vulnerability: number,
  { scores, threats }: VulnerabilityFacts,
  ecosystem: string | null,
): Omit<FleetDanger, 'ecosystem'> {
  const known = ecosystem !== null && isEcosystem(ecosystem) ? ecosystem : null;
  const summary = summariseDanger(scores, threats, known);
  return { vulnerability, summary, score: vulnerabilityScore(summary) };
}

export function held<T>(value: T | undefined, what: string, index: number): T {
  if (value === undefined) throw new Error(`there is no ${what} ${index}`);
  return value;
}
