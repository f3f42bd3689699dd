import { sha256 } from '@noble/hashes/sha2.js';
import { bytesToHex, utf8ToBytes } from '@noble/hashes/utils.js';
import canonicalize from 'canonicalize';

/**
 * The hash chain of the audit trail. Each event carries the hash of the one before it, so whoever holds one later hash can
 * tell whether anything before it was changed, removed, inserted or moved.
 *
 * The hash is SHA-256, in lower-case hex, over the canonical JSON (RFC 8785) of every field of the event but `hash`.
 */
export interface ChainedEvent {
  /** Counts from 1 without gaps. */
  readonly sequence: number;
  /** ISO 8601 in UTC with milliseconds, as `Date.toISOString` writes it. */
  readonly at: string;
  readonly actor_kind: string;
  readonly actor: string;
  readonly event: string;
  readonly subject_kind: string;
  readonly subject: string;
  readonly reason: string | null;
  readonly before: unknown;
  readonly after: unknown;
  readonly previous_hash: string;
  readonly hash: string;
}

/** What the first event has as the hash of the event before it. */
export const noHash = '0'.repeat(64);

/** The hash that an event must have when it follows the event with the hash `previousHash`. */
export function hashOf(previousHash: string, event: Omit<ChainedEvent, 'hash' | 'previous_hash'>): string {
  const text = canonicalize({
    sequence: event.sequence,
    at: event.at,
    actor_kind: event.actor_kind,
    actor: event.actor,
    event: event.event,
    subject_kind: event.subject_kind,
    subject: event.subject,
    reason: event.reason,
    before: event.before ?? null,
    after: event.after ?? null,
    previous_hash: previousHash,
  });
  if (text === undefined) throw new TypeError('an audit event without a JSON form has no hash');
  return bytesToHex(sha256(utf8ToBytes(text)));
}

export type ChainProblem =
  /** Numbers are missing before this event: events were removed, or this one was put there. */
  | 'gap'
  /** Its number is not higher than the number before it: moved, inserted or repeated. */
  | 'reordered'
  /** Its content is not what its hash was made from. */
  | 'altered_content'
  /** It does not follow the event before it, though each on its own is whole. */
  | 'broken_link'
  /** The events end before the event that is known to have been the last one. */
  | 'truncated_tail'
  /** The event that is known to have been there has another hash. */
  | 'other_head';

export interface ChainVerification {
  readonly ok: boolean;
  /** How many events were read; reading stops at the first bad one. */
  readonly events: number;
  /** Hash of the last good event; null when there is none. */
  readonly head: string | null;
  readonly firstBad: {
    readonly sequence: number;
    readonly problem: ChainProblem;
    readonly message: string;
  } | null;
}

/** A number and hash that are known from elsewhere: written down, printed, sent to a colleague. */
export interface KnownHead {
  readonly sequence: number;
  readonly hash: string;
}

/** Verifies a chain event by event, so that a trail of any length can be verified as it is read. */
export interface ChainVerifier {
  /** False when the verdict is final; no more need be given. */
  next(event: ChainedEvent): boolean;
  end(): ChainVerification;
}

export function chainVerifier(head: KnownHead | null = null): ChainVerifier {
  let events = 0;
  let sequence = 0;
  let previousHash = noHash;
  let firstBad: ChainVerification['firstBad'] = null;
  // An event that is missing here may stand further on, which is another problem: the rest tells.
  let missing: number | null = null;
  const bad = (at: number, problem: ChainProblem, message: string) => {
    firstBad = { sequence: at, problem, message };
    return false;
  };
  return {
    next(event) {
      if (missing !== null && firstBad !== null) {
        if (event.sequence !== missing) return true;
        const { sequence: at } = firstBad;
        missing = null;
        return bad(at, 'reordered', `event ${at} stands before event ${event.sequence}`);
      }
      if (firstBad !== null) return false;
      events += 1;
      const expected = sequence + 1;
      if (event.sequence > expected) {
        missing = expected;
        const which =
          event.sequence === expected + 1 ? `${expected} is` : `${expected} to ${event.sequence - 1} are`;
        bad(event.sequence, 'gap', `event ${event.sequence} follows event ${sequence}: ${which} missing`);
        return true;
      }
      if (event.sequence < expected) {
        return bad(event.sequence, 'reordered', `event ${event.sequence} stands after event ${sequence}`);
      }
      if (hashOf(event.previous_hash, event) !== event.hash) {
        return bad(
          event.sequence,
          'altered_content',
          `the content of event ${event.sequence} is not what its hash was made from`,
        );
      }
      if (event.previous_hash !== previousHash) {
        return bad(
          event.sequence,
          'broken_link',
          event.sequence === 1
            ? 'event 1 claims that there was an event before it'
            : `event ${event.sequence} was written after another event ${sequence} than the one that is here`,
        );
      }
      if (head !== null && event.sequence === head.sequence && event.hash !== head.hash) {
        return bad(
          event.sequence,
          'other_head',
          `event ${event.sequence} is not the one that was known to be there`,
        );
      }
      sequence = event.sequence;
      previousHash = event.hash;
      return true;
    },
    end() {
      if (firstBad === null && head !== null && sequence < head.sequence) {
        bad(
          sequence + 1,
          'truncated_tail',
          `the events end at ${sequence}, and event ${head.sequence} is known to have been there`,
        );
      }
      return { ok: firstBad === null, events, head: sequence === 0 ? null : previousHash, firstBad };
    },
  };
}

/** Verifies events in the order that they are stored in, and names the first bad one. */
export function verifyChain(
  events: Iterable<ChainedEvent>,
  head: KnownHead | null = null,
): ChainVerification {
  const verifier = chainVerifier(head);
  for (const event of events) if (!verifier.next(event)) break;
  return verifier.end();
}
