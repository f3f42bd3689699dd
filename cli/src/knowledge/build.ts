import { listingFeeds, voicesOf, withdrawers } from '@fixpoint/core/knowledge/authority.ts';
import { decideAll } from '@fixpoint/core/knowledge/decision.ts';
import type { Ecosystem } from '@fixpoint/core/knowledge/ecosystem.ts';
import type { Fact, FeedId, VulnerabilityFact } from '@fixpoint/core/knowledge/facts.ts';
import { chosenScore, type SourcedScore } from '@fixpoint/core/knowledge/score.ts';
import { summariseThreats, type SourcedThreat } from '@fixpoint/core/knowledge/threat.ts';
import type { SourcedStatement } from '@fixpoint/core/knowledge/union.ts';
import { productName, unknownDanger, type Danger, type KnowledgeSource } from './format.ts';
import { knowledgeFile } from './write.ts';

export interface SourcedFact {
  readonly feed: FeedId;
  readonly record: string;
  readonly fact: Fact;
}

/**
 * Knowledge files of all products that the facts speak of, by `ECOSYSTEM-RELEASE`: the statements of each ecosystem's own
 * feeds united by the same rule as on the server, and beside each vulnerability how dangerous it is. A release of which only
 * single fixes are known gets none: what is unknown there would read as safe.
 *
 * @param asOf for feeds whose files say of which day they are; else it is that of the newest fact
 */
export async function buildKnowledge(
  facts: AsyncIterable<SourcedFact> | Iterable<SourcedFact>,
  asOf: ReadonlyMap<string, string> = new Map(),
): Promise<Map<string, Uint8Array>> {
  const statements = new Map<Ecosystem, SourcedStatement[]>();
  const listed = new Set<string>();
  const vulnerabilities: { readonly feed: FeedId; readonly fact: VulnerabilityFact }[] = [];
  const dangers = new Dangers();
  const sources = new Map<FeedId, { records: Set<string>; newest: string | null }>();

  for await (const { feed, record, fact } of facts) {
    let source = sources.get(feed);
    if (source === undefined) sources.set(feed, (source = { records: new Set(), newest: null }));
    source.records.add(record);
    const day = dayOf(fact);
    if (day !== null && (source.newest === null || day > source.newest)) source.newest = day;
    switch (fact.kind) {
      case 'statement': {
        if (!voicesOf(fact.ecosystem).includes(feed)) break;
        if (listingFeeds(fact.ecosystem).includes(feed)) listed.add(productName(fact));
        const said = { feed, record, statement: fact };
        const list = statements.get(fact.ecosystem);
        if (list === undefined) statements.set(fact.ecosystem, [said]);
        else list.push(said);
        break;
      }
      case 'vulnerability':
        vulnerabilities.push({ feed, fact });
        break;
      case 'cvss':
        dangers.addScore(fact.vulnerability, { feed, record, score: fact });
        break;
      case 'threat':
        dangers.addThreat(fact.vulnerability, { feed, record, threat: fact });
        break;
      case 'advisory':
      case 'update':
        break;
    }
  }
  for (const { fact } of vulnerabilities) if (fact.title !== null) dangers.addTitle(fact.id, fact.title);

  const feeds: KnowledgeSource[] = [...sources].map(([id, { records, newest }]) => ({
    id,
    records: records.size,
    as_of: asOf.get(id) ?? newest,
  }));
  const canonical = canonicalIds(vulnerabilities.map(({ fact }) => fact));
  const files = new Map<string, Uint8Array>();
  for (const [ecosystem, all] of statements) {
    const may = withdrawers(ecosystem);
    const withdrawn = new Set(
      vulnerabilities.flatMap(({ feed, fact }) =>
        fact.withdrawnAt !== null && may.includes(feed) ? [fact.id] : [],
      ),
    );
    const named = all
      .filter(({ statement }) => !withdrawn.has(statement.vulnerability))
      .map((said) => renamed(said, canonical));
    const dangerOf = (vulnerability: string): Danger => dangers.of(vulnerability, ecosystem);
    for (const [name, decisions] of Map.groupBy(decideAll(named, withdrawn), productName)) {
      const [first] = decisions;
      if (first !== undefined && listed.has(name))
        files.set(name, knowledgeFile(first, decisions, dangerOf, feeds));
    }
  }
  return files;
}

/**
 * The CVE that an id is another name of, where feeds agree on one: an id that several CVEs share (an advisory for all of
 * them) is a name of none. The server's rule, `canonicalIds` in server/src/knowledge/store.ts.
 */
function canonicalIds(vulnerabilities: readonly VulnerabilityFact[]): ReadonlyMap<string, string> {
  const names = new Map<string, Set<string>>();
  for (const { id, aliases } of vulnerabilities) {
    if (!id.startsWith('CVE-')) continue;
    for (const alias of aliases) {
      if (alias === id) continue;
      const known = names.get(alias);
      if (known === undefined) names.set(alias, new Set([id]));
      else known.add(id);
    }
  }
  const canonical = new Map<string, string>();
  for (const [alias, [id, ...more]] of names)
    if (id !== undefined && more.length === 0) canonical.set(alias, id);
  return canonical;
}

function renamed(said: SourcedStatement, canonical: ReadonlyMap<string, string>): SourcedStatement {
  const id = canonical.get(said.statement.vulnerability);
  return id === undefined ? said : { ...said, statement: { ...said.statement, vulnerability: id } };
}

/** What feeds say of vulnerabilities wherever they are, summed up once for each ecosystem. */
class Dangers {
  readonly #threats = new Map<string, SourcedThreat[]>();
  readonly #scores = new Map<string, SourcedScore[]>();
  readonly #titles = new Map<string, string>();

  addThreat(vulnerability: string, threat: SourcedThreat): void {
    append(this.#threats, vulnerability, threat);
  }

  addScore(vulnerability: string, score: SourcedScore): void {
    append(this.#scores, vulnerability, score);
  }

  /** The first one stays: feeds come in the order of their weight. */
  addTitle(vulnerability: string, title: string): void {
    if (!this.#titles.has(vulnerability)) this.#titles.set(vulnerability, title);
  }

  of(vulnerability: string, ecosystem: Ecosystem): Danger {
    const said = this.#threats.get(vulnerability);
    const threats = said === undefined ? null : summariseThreats(said);
    const kev = said?.find(({ threat }) => threat.threat === 'exploited' && threat.title !== null);
    const scores = this.#scores.get(vulnerability);
    return {
      cvss: scores === undefined ? null : (chosenScore(scores, ecosystem)?.chosen.score.baseScore ?? null),
      epss: threats?.epss?.probability ?? null,
      exploitedSince: threats?.exploitedSince ?? null,
      ransomware: threats?.ransomware === true,
      maturity: threats?.maturity ?? unknownDanger.maturity,
      title: kev?.threat.title ?? this.#titles.get(vulnerability) ?? null,
    };
  }
}

function append<Value>(to: Map<string, Value[]>, key: string, value: Value): void {
  const list = to.get(key);
  if (list === undefined) to.set(key, [value]);
  else list.push(value);
}

/** The day a fact is of, as far as its source says. */
function dayOf(fact: Fact): string | null {
  switch (fact.kind) {
    case 'statement':
      return fact.statedAt?.slice(0, 10) ?? null;
    case 'advisory':
    case 'vulnerability':
    case 'update':
      return fact.publishedAt?.slice(0, 10) ?? null;
    case 'threat':
      return fact.assertedOn.slice(0, 10);
    case 'cvss':
      return null;
  }
}
