import type { Fact, FeedId } from '@fixpoint/core/knowledge/facts.ts';
import { decideAll } from '@fixpoint/core/knowledge/decision.ts';
import type { SourcedStatement } from '@fixpoint/core/knowledge/union.ts';
import type { Danger, KnowledgeSource } from './format.ts';
import { knowledgeFile } from './write.ts';

export interface SourcedFact {
  readonly feed: FeedId;
  readonly record: string;
  readonly fact: Fact;
}

/**
 * Knowledge files of all releases that the facts speak of, by `ECOSYSTEM-RELEASE`: the statements united by the same rule
 * as on the server, and beside each vulnerability how dangerous it is.
 *
 * @param asOf for feeds whose files say of which day they are; else it is that of the newest fact
 */
export async function buildKnowledge(
  facts: AsyncIterable<SourcedFact> | Iterable<SourcedFact>,
  asOf: ReadonlyMap<string, string> = new Map(),
): Promise<Map<string, Uint8Array>> {
  const statements: SourcedStatement[] = [];
  const withdrawn = new Set<string>();
  const dangers = new Map<string, Danger & { readonly epssOn: string }>();
  const sources = new Map<FeedId, { records: Set<string>; newest: string | null }>();
  const danger = (vulnerability: string): Danger & { readonly epssOn: string } =>
    dangers.get(vulnerability) ?? {
      cvss: null,
      epss: null,
      exploitedSince: null,
      ransomware: false,
      title: null,
      epssOn: '',
    };

  for await (const { feed, record, fact } of facts) {
    let source = sources.get(feed);
    if (source === undefined) sources.set(feed, (source = { records: new Set(), newest: null }));
    source.records.add(record);
    const day = dayOf(fact);
    if (day !== null && (source.newest === null || day > source.newest)) source.newest = day;
    switch (fact.kind) {
      case 'statement':
        statements.push({ feed, record, statement: fact });
        break;
      case 'vulnerability':
        if (fact.withdrawnAt !== null) withdrawn.add(fact.id);
        if (fact.title !== null) {
          const known = danger(fact.id);
          dangers.set(fact.id, { ...known, title: known.title ?? fact.title });
        }
        break;
      case 'cvss': {
        // The highest of all scorers, as the server shows it.
        const known = danger(fact.vulnerability);
        dangers.set(fact.vulnerability, { ...known, cvss: Math.max(known.cvss ?? 0, fact.baseScore) });
        break;
      }
      case 'threat': {
        const known = danger(fact.vulnerability);
        if (fact.threat === 'exploited') {
          dangers.set(fact.vulnerability, {
            ...known,
            exploitedSince: fact.assertedOn,
            ransomware: known.ransomware || fact.ransomware === true,
            title: fact.title ?? known.title,
          });
        } else if (fact.assertedOn >= known.epssOn) {
          dangers.set(fact.vulnerability, { ...known, epss: fact.probability, epssOn: fact.assertedOn });
        }
        break;
      }
      case 'advisory':
        break;
    }
  }

  const feeds: KnowledgeSource[] = [...sources].map(([id, { records, newest }]) => ({
    id,
    records: records.size,
    as_of: asOf.get(id) ?? newest,
  }));
  const byProduct = Map.groupBy(
    decideAll(statements, withdrawn),
    (decision) => `${decision.ecosystem}-${decision.release}`,
  );
  const files = new Map<string, Uint8Array>();
  for (const [product, decisions] of byProduct) {
    const [first] = decisions;
    if (first === undefined) continue;
    files.set(product, knowledgeFile(first, decisions, dangers, feeds));
  }
  return files;
}

/** The day a fact is of, as far as its source says. */
function dayOf(fact: Fact): string | null {
  switch (fact.kind) {
    case 'statement':
      return fact.statedAt?.slice(0, 10) ?? null;
    case 'advisory':
    case 'vulnerability':
      return fact.publishedAt?.slice(0, 10) ?? null;
    case 'threat':
      return fact.assertedOn.slice(0, 10);
    case 'cvss':
      return null;
  }
}
