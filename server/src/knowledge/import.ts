import { createHash } from 'node:crypto';
import type { Actor } from '@fixpoint/core/audit/events.ts';
import type { FeedId, UpdateFact } from '@fixpoint/core/knowledge/facts.ts';
import { appendAudit } from '../audit/commands.ts';
import type { Context, Transact } from '../context.ts';
import { FeedFormatError, type Feed, type FeedFile, type FeedRejection } from '../feed/feed.ts';
import { closedByKnowledge } from '../finding/commands.ts';
import { fixesKnown } from '../patch/commands.ts';
import { noteVulnerabilities } from '../posture/store.ts';
import { refuse, type Answer } from '../refusal.ts';
import { dropVerdicts, rematch } from '../software/commands.ts';
import type { Product } from './commands.ts';
import { allNamesOf } from './known.ts';
import { ImplausibleLoss, refuseImplausibleLoss } from './loss.ts';
import {
  addRejections,
  clearRejections,
  countRecords,
  insertRecords,
  lockKnowledge,
  productsOfRecords,
  productsOfVulnerabilities,
  recordDigests,
  recordIds,
  type RecordToStore,
  removeRecords,
  saveFeed,
  touchFeed,
  vulnerabilitiesDescribed,
  vulnerabilitiesOfRecords,
} from './store.ts';

/** What an import did, in records. */
export interface ImportResult {
  readonly feed: string;
  readonly read: number;
  readonly added: number;
  readonly changed: number;
  readonly unchanged: number;
  readonly withdrawn: number;
  readonly rejected: number;
  readonly seconds: number;
}

export interface ImportOptions {
  readonly actor: Actor;
  /** Date that the publisher gave the file, when known apart from its records. */
  readonly publishedAt?: Date;
  /** Take a complete file even though most of what is held is no longer in it. */
  readonly allowShrink?: boolean;
  readonly progress?: (read: number) => void;
}

const batchSize = 2000;

/** Rejections that are kept for people to read; the rest is counted. */
const keptRejections = 10_000;

/** What of a file was refused, and which of the records held could be among it. */
function refusals() {
  const kept: FeedRejection[] = [];
  const records = new Set<string>();
  let count = 0;
  let unnamed = false;
  return {
    kept,
    count: () => count,
    add(item: FeedRejection) {
      count += 1;
      if (kept.length < keptRejections) kept.push(item);
      if (item.record === null) unnamed = true;
      else records.add(item.record);
    },
    /** The records and, where these are not known, the places that were refused. */
    named: () => ({
      records: [...records],
      positions: kept.flatMap((item) => (item.record === null ? [item.position] : [])),
    }),
    /** Whether a record that is not in the file may be one that was refused. */
    mayBe: (id: string) => unnamed || records.has(id),
  };
}

/** What an import touched of one product. */
interface Touched {
  readonly product: Product;
  readonly packages: readonly string[];
  /** The vulnerabilities that something new is said of; null when they are so many that all are decided again. */
  readonly vulnerabilities: readonly string[] | null;
}

/** So many vulnerabilities are decided one by one; of more, everything that is said of their packages. */
const singleVulnerabilities = 1000;

/** Sets of products, each once. */
class Products {
  private readonly packages = new Map<
    string,
    { product: Product; packages: Set<string>; vulnerabilities: Set<string> | null }
  >();
  /** `vulnerability` left out: all that is said of the package. */
  add(
    list: readonly { ecosystem: string; release: string; package: string; vulnerability?: string }[],
  ): void {
    for (const { ecosystem, release, package: name, vulnerability } of list) {
      const key = `${ecosystem}\t${release}`;
      let entry = this.packages.get(key);
      if (entry === undefined) {
        entry = { product: { ecosystem, release }, packages: new Set(), vulnerabilities: new Set() };
        this.packages.set(key, entry);
      }
      entry.packages.add(name);
      if (entry.vulnerabilities === null) continue;
      if (vulnerability !== undefined) entry.vulnerabilities.add(vulnerability);
      if (vulnerability === undefined || entry.vulnerabilities.size > singleVulnerabilities) {
        entry.vulnerabilities = null;
      }
    }
  }
  *[Symbol.iterator](): IterableIterator<Touched> {
    for (const { product, packages, vulnerabilities } of this.packages.values()) {
      yield {
        product,
        packages: [...packages],
        vulnerabilities: vulnerabilities === null ? null : [...vulnerabilities],
      };
    }
  }
}

/**
 * Imports one published file: all of it in one transaction, or nothing. Records that are unchanged cost a hash; changed
 * ones replace their facts; in a complete feed, records that are gone take their facts with them. Then the software of
 * every source package that was touched is matched again.
 */
export async function importFeed(
  context: Context,
  feed: Feed,
  file: FeedFile,
  options: ImportOptions,
): Promise<Answer<ImportResult>> {
  const started = context.clock.now();
  const hash = createHash('sha256');
  const bytes = (async function* () {
    for await (const chunk of file.bytes) {
      hash.update(chunk);
      yield chunk;
    }
  })();
  try {
    const value = await context.db
      .transaction()
      .execute((trx) =>
        importInto(trx, context, feed, { name: file.name, bytes }, options, started, () =>
          hash.digest('hex'),
        ),
      );
    return { ok: true, value };
  } catch (error) {
    const problem = describe(feed, file, error);
    if (problem === null) throw error;
    await context.db.transaction().execute(async (trx) => {
      await saveFeed(trx, feed.id, {
        last_attempt_at: started,
        last_error_code: problem.code,
        last_error: problem.message,
        source_name: file.name,
      });
      await appendAudit(trx, context, {
        actor: options.actor,
        event: 'feed.failed',
        subjectKind: 'feed',
        subject: feed.id,
        reason: problem.message,
        after: { code: problem.code, file: file.name },
      });
    });
    return refuse(422, problem.code, problem.message, problem.whatToDo);
  }
}

function describe(
  feed: Feed,
  file: FeedFile,
  error: unknown,
): { code: string; message: string; whatToDo: string } | null {
  if (error instanceof FeedFormatError) {
    return { code: error.code, message: `${file.name}: ${error.message}`, whatToDo: error.whatToDo };
  }
  if (error instanceof ImplausibleLoss) {
    return {
      code: 'feed_implausible_loss',
      message: `${file.name} lacks ${error.lost} of the ${error.held} records held from ${feed.title}; nothing was changed.`,
      whatToDo:
        'Check that the file is whole. If the publisher really withdrew them, import again with allow_shrink.',
    };
  }
  return null;
}

async function importInto(
  trx: Transact,
  context: Context,
  feed: Feed,
  file: FeedFile,
  options: ImportOptions,
  started: Date,
  sourceDigest: () => string,
): Promise<ImportResult> {
  await touchFeed(trx, feed.id);
  const heldCount = await countRecords(trx, feed.id);
  const seen = new Set<string>();
  const touched = new Products();
  const withdrawn = new Set<string>();
  /** What this file withdraws, with the time that it names. */
  const withdrawing = new Map<string, string>();
  /** Ids that records call a vulnerability beside its own, or called it, with its own: statements under them are decided anew. */
  const aliased = new Map<string, Set<string>>();
  const nameAnew = (id: string, aliases: readonly string[]) => {
    for (const alias of aliases) {
      if (!alias.includes(id)) aliased.set(alias, (aliased.get(alias) ?? new Set()).add(id));
    }
  };
  /** What something else is said of than before: how dangerous it is, what it is called. */
  const described = new Set<string>();
  const rejections = refusals();
  let read = 0;
  let added = 0;
  let changed = 0;
  const fresh = new Set<string>();
  /** Each id's last record of the file wins, within a batch and across batches. */
  let batch = new Map<string, RecordToStore>();

  /** Removes records. What they withdrew comes back into force, so the products that it concerns are matched again too. */
  const takeBack = async (records: readonly string[]) => {
    for (const id of await vulnerabilitiesDescribed(trx, feed.id, records)) described.add(id);
    touched.add(await productsOfRecords(trx, feed.id, records));
    for (const one of await vulnerabilitiesOfRecords(trx, feed.id, records)) {
      if (one.withdrawn_at !== null) withdrawn.add(one.id);
      nameAnew(one.id, one.aliases);
    }
    await removeRecords(trx, feed.id, records);
  };
  /** Whether the file says everything of the feed; else what other files had refused stays in sight. */
  const whole = feed.complete && feed.partOf === undefined;
  const flush = async () => {
    if (!whole) await clearRejections(trx, feed.id, { records: [...batch.keys()], positions: [] });
    // Only what the batch names is looked up: one new record of a feed of 300,000 must not cost reading them all.
    const held = await recordDigests(trx, feed.id, [...batch.keys()]);
    const records = [...batch.values()].filter((r) => held.get(r.id) !== r.digest);
    const replaced = records.filter((r) => held.has(r.id)).map((r) => r.id);
    await takeBack(replaced);
    await insertRecords(trx, feed.id, records, started);
    for (const record of records) {
      for (const fact of record.facts) {
        if (fact.kind === 'statement') touched.add([fact]);
        if (fact.kind === 'update') touched.add([productOfUpdate(fact)]);
        if (fact.kind === 'cvss' || fact.kind === 'threat') described.add(fact.vulnerability);
        if (fact.kind !== 'vulnerability') continue;
        described.add(fact.id);
        if (fact.withdrawnAt !== null) {
          withdrawn.add(fact.id);
          withdrawing.set(fact.id, fact.withdrawnAt);
        }
        nameAnew(fact.id, fact.aliases);
      }
    }
    changed += replaced.length;
    added += records.length - replaced.length;
    if (feed.complete) for (const { id } of records) if (!held.has(id)) fresh.add(id);
    batch = new Map();
    options.progress?.(read);
  };

  for await (const item of feed.parse(file)) {
    if (item.outcome === 'rejection') {
      rejections.add(item);
      continue;
    }
    read += 1;
    // The facts are part of the digest: a parser that reads more out of the same record must not be skipped.
    const digest = createHash('sha256').update(item.raw).update(JSON.stringify(item.facts)).digest('hex');
    if (feed.complete) seen.add(item.id);
    batch.set(item.id, { ...item, digest });
    if (batch.size >= batchSize) await flush();
  }
  await flush();

  let gone = 0;
  let unreadable = 0;
  if (feed.complete) {
    const { partOf } = feed;
    const parts = partOf === undefined ? null : new Set([...seen].map(partOf));
    const ofThisFile = (id: string) => parts === null || (partOf !== undefined && parts.has(partOf(id)));
    const present = (await recordIds(trx, feed.id)).filter(ofThisFile);
    const absent = present.filter((id) => !seen.has(id));
    // A record that has become unreadable has not been withdrawn: what it said before stays.
    const missing = absent.filter((id) => !rejections.mayBe(id));
    gone = missing.length;
    unreadable = absent.length - gone;
    if (options.allowShrink !== true) refuseImplausibleLoss(present, missing, fresh, partOf);
    await takeBack(missing);
  }
  // From here to the commit nobody adds software by what was known before: it would stay judged by that. Nor does another
  // import commit what the lines below would not see.
  await lockKnowledge(trx);
  const renamed = [...(await allNamesOf(trx, [...withdrawn])), ...aliased.keys()];
  for (const product of await productsOfVulnerabilities(trx, renamed)) {
    const others = [...(aliased.get(product.vulnerability) ?? [])];
    touched.add([product, ...others.map((vulnerability) => ({ ...product, vulnerability }))]);
  }
  await clearRejections(trx, feed.id, whole ? 'all' : rejections.named());
  const refused = await addRejections(trx, feed.id, rejections.kept, started);
  const counts = {
    added,
    changed,
    unchanged: read - added - changed,
    withdrawn: gone,
    rejected: rejections.count(),
  };
  const effect = await applyTouched(trx, context, feed.id, touched, withdrawing, options.actor);
  await noteVulnerabilities(trx, described);
  const now = context.clock.now();
  await saveFeed(trx, feed.id, {
    last_attempt_at: started,
    last_success_at: now,
    last_error_code: null,
    last_error: null,
    source_name: file.name,
    source_digest: sourceDigest(),
    records: heldCount + added - gone,
    rejected: whole ? rejections.count() : refused,
    ...(options.publishedAt === undefined ? {} : { published_at: options.publishedAt.toISOString() }),
  });
  await appendAudit(trx, context, {
    actor: options.actor,
    event: 'feed.imported',
    subjectKind: 'feed',
    subject: feed.id,
    after: {
      file: file.name,
      read,
      ...counts,
      ...(unreadable === 0 ? {} : { kept_unreadable: unreadable }),
      ...effect,
    },
  });
  return { feed: feed.id, read, ...counts, seconds: (now.getTime() - started.getTime()) / 1000 };
}

/** The software that an update concerns: what replaces it decides which of a host's updates count. */
function productOfUpdate(update: UpdateFact): { ecosystem: string; release: string; package: string } {
  return { ecosystem: 'windows', release: '', package: update.product };
}

/** What an import did to software that hosts have. The vulnerabilities are named, so that the story of each tells of it. */
interface Effect {
  readonly verdicts_opened: number;
  readonly verdicts_gone: number;
  readonly findings_closed: number;
  readonly opened: readonly string[];
  readonly gone: readonly string[];
}

/** How many vulnerabilities an audit event names; the rest is counted. */
const namedVulnerabilities = 5_000;

/** Matches what was touched again and carries the difference to findings and patches. */
async function applyTouched(
  trx: Transact,
  context: Context,
  feed: FeedId,
  touched: Products,
  withdrawing: ReadonlyMap<string, string>,
  actor: Actor,
): Promise<Effect> {
  const opened = new Set<string>();
  const gone = new Set<string>();
  const counts = { verdicts_opened: 0, verdicts_gone: 0, findings_closed: 0 };
  for (const { product, packages, vulnerabilities } of touched) {
    const names = vulnerabilities === null ? null : await allNamesOf(trx, vulnerabilities);
    const change = await rematch(trx, context, product, packages, names);
    counts.findings_closed += await closedByKnowledge(trx, context, feed, change.gone, withdrawing);
    await dropVerdicts(trx, change.gone);
    await fixesKnown(trx, context, product, packages, names);
    counts.verdicts_opened += change.opened.length;
    counts.verdicts_gone += change.gone.length;
    for (const one of change.opened) opened.add(one.vulnerability);
    for (const one of change.gone) gone.add(one.vulnerability);
  }
  if (counts.verdicts_opened > 0 || counts.verdicts_gone > 0) {
    context.log.info({ feed, actor: actor.name, ...counts }, 'matched again after an import');
  }
  const names = (set: ReadonlySet<string>) => [...set].sort().slice(0, namedVulnerabilities);
  return { ...counts, opened: names(opened), gone: names(gone) };
}
