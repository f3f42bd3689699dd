import { decideAll, type Decision } from '@fixpoint/core/knowledge/decision.ts';
import { isEcosystem, type Product } from '@fixpoint/core/knowledge/ecosystem.ts';
import type { FeedId, StatementFact } from '@fixpoint/core/knowledge/facts.ts';
import { feedAge, type FeedAge, type FeedDates } from '@fixpoint/core/knowledge/staleness.ts';
import type { SourcedStatement, Withdrawal } from '@fixpoint/core/knowledge/union.ts';
import { supersedenceOf, type SupersedenceGraph } from '@fixpoint/core/match/windows-updates.ts';
import type { Context, Transact } from '../context.ts';
import { feeds } from '../feed/feeds.ts';
import { answer, refuse, type Answer } from '../refusal.ts';
import {
  aliasesOf,
  canonicalIds,
  isReleaseKnown,
  statementsAbout,
  updatesFor,
  statementsOf,
  withdrawalsOf,
  withdrawnAmong,
  type PackageNames,
  type StatementRow,
  vulnerabilitiesCalled,
} from './known.ts';
import { feedRejections, feedRows, holdKnowledge } from './store.ts';

export type { PackageNames } from './known.ts';
export { productOf, type Product } from '@fixpoint/core/knowledge/ecosystem.ts';

function sourced(row: StatementRow): SourcedStatement[] {
  if (!isEcosystem(row.ecosystem)) return [];
  const statement: StatementFact = {
    kind: 'statement',
    vulnerability: row.vulnerability,
    ecosystem: row.ecosystem,
    release: row.release,
    package: row.package,
    packageKind: row.package_kind,
    module: row.module,
    channel: row.channel,
    status: row.status,
    introducedVersion: row.introduced_version,
    fixedVersion: row.fixed_version,
    updates: row.updates,
    fixState: row.fix_state,
    note: row.note,
    advisory: row.advisory,
    statedAt: row.stated_at?.toISOString() ?? null,
  };
  return [{ feed: row.feed, record: row.record, statement }];
}

/**
 * Keeps knowledge as it is until the transaction ends, for whoever judges software by it for the first time: an import that
 * commits in between has not seen that software, and would leave it judged by what was known before. To be called before
 * any row is written that others may wait for.
 */
export async function keepKnowledge(trx: Transact): Promise<void> {
  await holdKnowledge(trx);
}

/** What all feeds together say of these packages. */
export async function decisionsFor(
  trx: Transact,
  product: Product,
  names: PackageNames,
  /** Only of these vulnerabilities, named by all their names; null: of all. */
  vulnerabilities: readonly string[] | null = null,
): Promise<Decision[]> {
  const rows = await statementsOf(trx, product, names, vulnerabilities);
  // One vulnerability may have several names; findings are counted under its CVE.
  const others = new Set(rows.map((row) => row.vulnerability).filter((id) => !id.startsWith('CVE-')));
  const canonical = await canonicalIds(trx, [...others]);
  // A CVE that is rejected is nothing under its other names either.
  const withdrawn = await withdrawnAmong(trx, product.ecosystem, [...new Set(canonical.values())]);
  return decideAll(
    rows
      .map((row) => ({ ...row, vulnerability: canonical.get(row.vulnerability) ?? row.vulnerability }))
      .flatMap(sourced),
    withdrawn,
  );
}

/** What is held of a feed, and how old that is. */
/** All that is known of these products of Windows: decisions, and which update supersedes which. */
export async function windowsKnowledge(
  trx: Transact,
  products: readonly string[],
  /** Updates that hosts have: whether the data knows one must not depend on which products are asked for. */
  installed: readonly string[] = [],
): Promise<{ decisions: Decision[]; graph: SupersedenceGraph }> {
  const decisions = await decisionsFor(
    trx,
    { ecosystem: 'windows', release: '' },
    { sources: products, binaries: products },
  );
  return { decisions, graph: supersedenceOf(await updatesFor(trx, products, installed), decisions) };
}

/**
 * What is known of one vulnerability for one product: statements under all its names, told under its CVE, and withdrawals.
 */
export async function knownOf(
  trx: Transact,
  product: Product,
  vulnerability: string,
): Promise<{ statements: SourcedStatement[]; withdrawals: Withdrawal[]; productKnown: boolean }> {
  const aliases = await aliasesOf(trx, vulnerability);
  const canonical = await canonicalIds(trx, aliases);
  const names = [vulnerability, ...aliases.filter((alias) => canonical.get(alias) === vulnerability)];
  const rows = await statementsAbout(trx, product, names);
  return {
    statements: rows.map((row) => ({ ...row, vulnerability })).flatMap(sourced),
    withdrawals: await withdrawalsOf(trx, product.ecosystem, vulnerability),
    productKnown: await isReleaseKnown(trx, product),
  };
}

/**
 * The one vulnerability that people mean by an id, or null when no feed knows it. Refused when an advisory of that id is about
 * several.
 */
export async function vulnerabilityCalled(trx: Transact, asked: string): Promise<Answer<string | null>> {
  const called = await vulnerabilitiesCalled(trx, asked);
  if (called.length > 1) {
    const named = `${called.slice(0, 10).join(', ')}${called.length > 10 ? ', …' : ''}`;
    return refuse(
      409,
      'vulnerability_ambiguous',
      `${asked} is about ${called.length} vulnerabilities: ${named}`,
      'ask for one of them',
    );
  }
  return answer(called[0] ?? null);
}

export { productsOfUpdates, vulnerabilitiesCalled } from './known.ts';

export interface FeedStatusRow {
  readonly id: FeedId;
  readonly title: string;
  readonly publisher: string;
  readonly published_at: string | null;
  readonly last_success_at: string | null;
  readonly last_attempt_at: string | null;
  readonly last_error: string | null;
  readonly stale: boolean;
  readonly records: number;
  readonly rejected: number;
  readonly dates: FeedDates;
  readonly age: FeedAge;
}

/** What is known of a feed beyond what was imported, for its age: see FeedDates. */
export interface FeedCare {
  readonly enabled: boolean;
  readonly confirmedAt: Date | null;
}

/** Every feed with its age; one that was never imported is there too, and is stale. */
export async function feedStatus(
  trx: Transact,
  context: Context,
  care: ReadonlyMap<string, FeedCare> = new Map(),
): Promise<FeedStatusRow[]> {
  const rows = new Map((await feedRows(trx)).map((row) => [row.id, row]));
  const now = context.clock.now().toISOString();
  return feeds.map((feed) => {
    const row = rows.get(feed.id);
    const dates: FeedDates = {
      feed: feed.id,
      title: feed.title,
      ecosystems: feed.ecosystems ?? null,
      publishedAt: row?.published_at?.toISOString() ?? null,
      confirmedAt: care.get(feed.id)?.confirmedAt?.toISOString() ?? null,
      importedAt: row?.last_success_at?.toISOString() ?? null,
      limitSeconds: feed.staleAfterHours * 3600,
      enabled: care.get(feed.id)?.enabled ?? false,
    };
    const age = feedAge(dates, now);
    return {
      id: feed.id,
      title: feed.title,
      publisher: feed.publisher,
      published_at: dates.publishedAt,
      last_success_at: dates.importedAt,
      last_attempt_at: row?.last_attempt_at?.toISOString() ?? null,
      last_error: row?.last_error ?? null,
      stale: age.state !== 'current',
      records: row?.records ?? 0,
      rejected: row?.rejected ?? 0,
      dates,
      age,
    };
  });
}

export async function rejectionsOf(trx: Transact, feed: string) {
  return (await feedRejections(trx, feed, 1000)).map((row) => ({ ...row, at: row.at.toISOString() }));
}

/** Whether any feed says anything of this release. When not, its packages cannot be judged. */
export async function isProductKnown(trx: Transact, product: Product): Promise<boolean> {
  return isReleaseKnown(trx, product);
}
