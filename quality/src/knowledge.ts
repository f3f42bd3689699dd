/**
 * What the vendors' files of a case say. The one place where this package reaches into the server: the product has one parser
 * for each published format, there, and the corpus is to go through it.
 */
import { createReadStream } from 'node:fs';
import { basename } from 'node:path';
import { voicesOf, withdrawers } from '@fixpoint/core/knowledge/authority.ts';
import { isEcosystem, type Product } from '@fixpoint/core/knowledge/ecosystem.ts';
import type { Fact, FeedId, UpdateFact } from '@fixpoint/core/knowledge/facts.ts';
import type { SourcedStatement } from '@fixpoint/core/knowledge/union.ts';
import { extractFiles } from '@fixpoint/server/feed/extract/extract.ts';
import { feedOf, feeds } from '@fixpoint/server/feed/feeds.ts';
import type { FeedFile } from '@fixpoint/server/feed/feed.ts';

export interface CaseKnowledge {
  /** Of feeds that speak for the ecosystem, of all its releases. */
  readonly statements: readonly SourcedStatement[];
  /** Vulnerabilities that a feed which may say so calls withdrawn. */
  readonly withdrawn: ReadonlySet<string>;
  readonly updates: readonly UpdateFact[];
  /** Every vulnerability that any file speaks of. */
  readonly vulnerabilities: ReadonlySet<string>;
}

interface SourcedFact {
  readonly feed: FeedId;
  readonly record: string;
  readonly fact: Fact;
}

/** Reads files of feeds. Throws on a record that its feed rejects: the corpus holds none that cannot be read. */
export async function readKnowledge(paths: readonly string[], product: Product): Promise<CaseKnowledge> {
  const facts: SourcedFact[] = [];
  for (const path of paths) {
    const feed = feedOfFile(basename(path));
    facts.push(...(await read(feed, { name: path, bytes: createReadStream(path) }, true)));
  }
  return knowledgeOf(facts, product);
}

/** The knowledge that the product carries, for one product: what peers are compared by. */
export async function readCarriedKnowledge(product: Product): Promise<CaseKnowledge> {
  const facts: SourcedFact[] = [];
  for (const file of extractFiles) {
    if (isEcosystem(product.ecosystem) && voicesOf(product.ecosystem).includes(file.feed))
      facts.push(...(await read(file.feed, file.open(), false)));
  }
  return knowledgeOf(facts, product);
}

async function read(feed: FeedId, file: FeedFile, strict: boolean): Promise<SourcedFact[]> {
  const facts: SourcedFact[] = [];
  for await (const item of feedOf(feed).parse(file)) {
    if (item.outcome === 'record') for (const fact of item.facts) facts.push({ feed, record: item.id, fact });
    else if (strict) throw new Error(`${file.name}: ${item.position}: ${item.message}`);
  }
  return facts;
}

function knowledgeOf(facts: readonly SourcedFact[], product: Product): CaseKnowledge {
  const { ecosystem } = product;
  const voices = isEcosystem(ecosystem) ? voicesOf(ecosystem) : [];
  const may = isEcosystem(ecosystem) ? withdrawers(ecosystem) : [];
  return {
    statements: facts.flatMap(({ feed, record, fact }) =>
      fact.kind === 'statement' && fact.ecosystem === ecosystem && voices.includes(feed)
        ? [{ feed, record, statement: fact }]
        : [],
    ),
    withdrawn: new Set(
      facts.flatMap(({ feed, fact }) =>
        fact.kind === 'vulnerability' && fact.withdrawnAt !== null && may.includes(feed) ? [fact.id] : [],
      ),
    ),
    updates: facts.flatMap(({ fact }) => (fact.kind === 'update' ? [fact] : [])),
    vulnerabilities: new Set(
      facts.flatMap(({ fact }) =>
        fact.kind === 'statement' ? [fact.vulnerability] : fact.kind === 'vulnerability' ? [fact.id] : [],
      ),
    ),
  };
}

/** `debian-osv.jsonl`, `alpine-secdb.main.json`: up to the first dot it is the id of a feed. */
function feedOfFile(name: string): FeedId {
  const id = name.split('.')[0];
  const feed = feeds.find((one) => one.id === id);
  if (feed === undefined) throw new Error(`${name} does not start with the id of a feed`);
  return feed.id;
}
