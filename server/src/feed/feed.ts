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
  /**
   * Where a published file holds a part of the feed (a release, a repository): the part that a record belongs to. A file says
   * everything about the parts that it has records of, and nothing about the others. Left out: the feed is one part.
   */
  readonly partOf?: (recordId: string) => string;
  /** After this many hours without a successful import the feed is called stale. */
  readonly staleAfterHours: number;
  /** Name spaces of packages that it speaks of; left out: of vulnerabilities wherever they are. For telling whom its age concerns. */
  readonly ecosystems?: readonly string[];
  /** How its files are downloaded; left out: the one file at `url`; null: not at all, by hand only. See downloads.ts. */
  readonly downloads?: FeedSource | null;
  /** Media type to ask for, where a publisher gives out several forms under one address. */
  readonly accept?: string;
  /** Limits of one file's download, where the usual ones do not do. */
  readonly downloadLimits?: Partial<DownloadLimits>;
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

export interface DownloadLimits {
  readonly maximumBytes: number;
  /** For the whole file; the next attempt goes on where this one ended. */
  readonly totalSeconds: number;
  /** Without a byte. */
  readonly idleSeconds: number;
}

/**
 * How the files of a feed are got. A source asks the client for what it needs, which costs nothing where nothing has changed,
 * and answers which files are to be imported. It keeps no state itself: what it must remember it hands over in the plan, and
 * gets it back the next time, once the files of that plan have been imported.
 */
export interface FeedSource {
  /** @throws FeedFetchError when the publisher does not give what is needed; what came until then is kept for the next time. */
  plan(client: FeedClient, last: LastPlan): Promise<FeedPlan>;
}

export interface LastPlan {
  /** State of the last plan that was imported; null at first, after a new version of the product, or after an upload. */
  readonly state: unknown;
}

export interface FeedPlan {
  /** To import now, in this order and in one transaction; none: nothing has changed. A later record replaces an earlier one. */
  readonly files: readonly FeedDownload[];
  /**
   * Whether they are all that the feed says. Only then is a record that is in none of them withdrawn (if the feed is
   * {@link Feed.complete}); else the records that are held and not in them stay.
   */
  readonly whole: boolean;
  /** For the next plan; JSON. */
  readonly state: unknown;
  /** There is more to import than these files, so plan again as soon as they are imported. */
  readonly more?: boolean;
}

/** A file on this server's disk. */
export interface FeedDownload {
  /** Unique in the feed, and the same whenever the file is fetched: `Debian/all.zip`. */
  readonly name: string;
  /** Where it came from; null when it was made here out of others. */
  readonly url: string | null;
  readonly sha256: string;
  readonly bytes: number;
  /** Last-Modified, ISO 8601; null when the publisher does not say. */
  readonly publishedAt: string | null;
  /** Its bytes; ends in an error when they are not (any more) those of `sha256`. */
  open(): AsyncIterable<Uint8Array>;
}

/** What a source may ask for. Every file is fetched conditionally, resumed where it was cut, checked, and kept. */
export interface FeedClient {
  /** Address of the feed: the publisher's, or that of a mirror which an administrator has set. */
  readonly url: string;
  readonly now: Date;
  readonly fetch: (url: string, options?: FetchOptions) => Promise<FeedDownload>;
  /** A file of the last import, if it is still on this disk. */
  held(name: string): Promise<FeedDownload | null>;
  /** Keeps a file that was made out of others. */
  keep(name: string, bytes: AsyncIterable<Uint8Array>): Promise<FeedDownload>;
}

export interface FetchOptions {
  /** Name of the download; left out: the path of the address. */
  readonly name?: string;
  readonly maximumBytes?: number;
  /** It will not be asked for again, so nothing is remembered of it. */
  readonly once?: boolean;
  /** Address of a text whose first word is the SHA-256 of the file, as `sha256sum` writes it. */
  readonly checksumUrl?: string;
}

/** A publisher does not answer, or not with what it should. What is held stays as it is. */
export class FeedFetchError extends Error {
  /** snake_case, stable. */
  readonly code: string;
  readonly whatToDo: string;
  /** How long the publisher asks not to be asked again. */
  readonly retryAfterSeconds: number | null;
  constructor(code: string, message: string, whatToDo: string, retryAfterSeconds: number | null = null) {
    super(message);
    this.name = 'FeedFetchError';
    this.code = code;
    this.whatToDo = whatToDo;
    this.retryAfterSeconds = retryAfterSeconds;
  }
}
