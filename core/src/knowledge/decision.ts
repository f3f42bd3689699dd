import type { Ecosystem, FeedId, StatementFact } from './facts.ts';

/**
 * What all sources together say of one vulnerability in one source package of one release. Made by `union.ts` from the
 * statements; the only form in which matching reads knowledge.
 */
export interface Decision {
  readonly vulnerability: string;
  readonly ecosystem: Ecosystem;
  readonly release: string;
  readonly package: string;
  readonly status: StatementFact['status'];
  readonly fixedVersion: string | null;
  readonly fixState: StatementFact['fixState'];
  readonly note: string | null;
  readonly advisory: string | null;
  /** The statement that decided. */
  readonly feed: FeedId;
  readonly record: string;
  /** Other statements that say something else, each as a sentence. */
  readonly disagreements: readonly string[];
}
