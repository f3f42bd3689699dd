import { decideAll, type Decision } from '@fixpoint/core/knowledge/decision.ts';
import type { StatementFact } from '@fixpoint/core/knowledge/facts.ts';
import type { SourcedStatement } from '@fixpoint/core/knowledge/union.ts';
import type { Context, Transact } from '../context.ts';
import { feeds } from '../feed/feeds.ts';
import {
  feedRejections,
  feedRows,
  holdKnowledge,
  isEcosystem,
  isReleaseKnown,
  statementsOf,
  type StatementRow,
} from './store.ts';

/** A release of an ecosystem, such as Debian 12: what statements and software belong to. */
export interface Product {
  readonly ecosystem: string;
  readonly release: string;
}

/** The name space of a host's packages. A system that no feed knows is a product too; nothing is known of it, and that is said. */
export function productOf(os: string, osRelease: string): Product {
  return { ecosystem: os, release: osRelease };
}

function sourced(row: StatementRow): SourcedStatement {
  const statement: StatementFact = {
    kind: 'statement',
    vulnerability: row.vulnerability,
    ecosystem: 'debian',
    release: row.release,
    package: row.package,
    status: row.status,
    fixedVersion: row.fixed_version,
    fixState: row.fix_state,
    note: row.note,
    advisory: row.advisory,
    statedAt: row.stated_at?.toISOString() ?? null,
  };
  return { feed: row.feed, record: row.record, statement };
}

/**
 * Keeps knowledge as it is until the transaction ends, for whoever judges software by it for the first time: an import that
 * commits in between has not seen that software, and would leave it judged by what was known before. To be called before
 * any row is written that others may wait for.
 */
export async function keepKnowledge(trx: Transact): Promise<void> {
  await holdKnowledge(trx);
}

/** What all feeds together say of these source packages. */
export async function decisionsFor(
  trx: Transact,
  product: Product,
  packages: readonly string[],
): Promise<Decision[]> {
  if (!isEcosystem(product.ecosystem)) return [];
  const rows = await statementsOf(trx, product, packages);
  return decideAll(rows.map(sourced));
}

export interface FeedStatusRow {
  readonly id: string;
  readonly title: string;
  readonly publisher: string;
  readonly published_at: string | null;
  readonly last_success_at: string | null;
  readonly last_attempt_at: string | null;
  readonly last_error: string | null;
  readonly stale: boolean;
  readonly records: number;
  readonly rejected: number;
}

/** Every feed with its age; one that was never imported is there too, and is stale. */
export async function feedStatus(trx: Transact, context: Context): Promise<FeedStatusRow[]> {
  const rows = new Map((await feedRows(trx)).map((row) => [row.id, row]));
  const now = context.clock.now().getTime();
  return feeds.map((feed) => {
    const row = rows.get(feed.id);
    // Old data imported today is still old: what the publisher dated counts, and only without a date our own import.
    const reference = row?.published_at ?? row?.last_success_at ?? null;
    const ageHours = reference === null ? Number.POSITIVE_INFINITY : (now - reference.getTime()) / 3_600_000;
    return {
      id: feed.id,
      title: feed.title,
      publisher: feed.publisher,
      published_at: row?.published_at?.toISOString() ?? null,
      last_success_at: row?.last_success_at?.toISOString() ?? null,
      last_attempt_at: row?.last_attempt_at?.toISOString() ?? null,
      last_error: row?.last_error ?? null,
      stale: ageHours > feed.staleAfterHours,
      records: row?.records ?? 0,
      rejected: row?.rejected ?? 0,
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
