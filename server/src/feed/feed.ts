import type { Fact, FeedId } from '@fixpoint/core/knowledge/facts.ts';

/**
 * A feed turns one publisher's format into facts. It is a lazy iterator and may not touch the database (see
 * `tidy.test.ts`): what is stored, skipped as unchanged, or removed is decided by `knowledge/commands.ts`.
 */
export interface Feed {
  readonly id: FeedId;
  /** As a person would name it: "Debian security advisories (OSV)". */
  readonly title: string;
  readonly publisher: string;
  readonly licence: string;
  /** The address that the publisher documents; a sync downloads from here. Null when there is no single upstream. */
  readonly url: string | null;
  /** True when a file holds the whole feed: a record that is no longer in it is withdrawn from the store. */
  readonly complete: boolean;
  /** After this many hours without a successful import the feed is called stale. */
  readonly staleAfterHours: number;
  /**
   * Reads a published file (compressed as published or plain; archives entry by entry). Throws {@link FeedFormatError}
   * when the file is not of this format at all or ends early; a single bad record is yielded as a rejection instead.
   */
  parse(file: FeedFile): AsyncIterable<FeedRecord | FeedRejection>;
}

export interface FeedFile {
  /** For messages: file name or address. */
  readonly name: string;
  readonly bytes: AsyncIterable<Uint8Array>;
}

export interface FeedRecord {
  readonly outcome: 'record';
  /** Stable within the feed: `CVE-2023-5363`, `openssl/3.0.11-1~deb12u2`. A record seen again replaces the earlier one. */
  readonly id: string;
  /** The record as published (JSON text, CSV line, changelog entry), for evidence. */
  readonly raw: string;
  readonly facts: readonly Fact[];
}

export interface FeedRejection {
  readonly outcome: 'rejection';
  /** Where in the file: `line 812`, `entry CVE/2023/CVE-2023-1.json`. */
  readonly position: string;
  /** snake_case, stable. */
  readonly code: string;
  readonly message: string;
  /** Start of the offending text, at most 300 characters. */
  readonly excerpt: string;
  /**
   * The record that it is about, by the id that the record has when it can be read; null when not even that is known. What
   * a complete feed said of it before stays: a record that has become unreadable has not been withdrawn.
   */
  readonly record: string | null;
}

/** The file as a whole cannot be read as this feed. Nothing of the store is changed by it. */
export class FeedFormatError extends Error {
  readonly code: string;
  readonly whatToDo: string;
  constructor(code: string, message: string, whatToDo: string) {
    super(message);
    this.name = 'FeedFormatError';
    this.code = code;
    this.whatToDo = whatToDo;
  }
}
