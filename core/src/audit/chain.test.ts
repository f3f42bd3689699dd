import canonicalize from 'canonicalize';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { auditEvents } from './events.ts';
import { hashOf, noHash, verifyChain, type ChainedEvent } from './chain.ts';

type Content = Pick<ChainedEvent, 'event' | 'actor' | 'subject' | 'reason' | 'before' | 'after'>;

function chain(contents: readonly Content[]): ChainedEvent[] {
  let previous = noHash;
  return contents.map((content, i) => {
    const event = {
      sequence: i + 1,
      at: new Date(Date.UTC(2026, 0, 1) + i * 1000).toISOString(),
      actor_kind: 'person',
      subject_kind: 'asset',
      ...content,
    };
    const hash = hashOf(previous, event);
    const whole = { ...event, previous_hash: previous, hash };
    previous = hash;
    return whole;
  });
}

const content: fc.Arbitrary<Content> = fc.record({
  event: fc.constantFrom(...auditEvents),
  actor: fc.string(),
  subject: fc.string(),
  reason: fc.option(fc.string()),
  before: fc.jsonValue(),
  after: fc.jsonValue(),
});
const chains = fc.array(content, { minLength: 2, maxLength: 12 }).map(chain);
/** A chain and the index of one of its events that is not the last. */
const chainAndIndex = chains.chain((events) =>
  fc.tuple(fc.constant(events), fc.nat({ max: events.length - 2 })),
);
const anyIndex = chains.chain((events) => fc.tuple(fc.constant(events), fc.nat({ max: events.length - 1 })));

const headOf = (events: readonly ChainedEvent[]) => {
  const last = events.at(-1);
  if (last === undefined) throw new Error('no events');
  return { sequence: last.sequence, hash: last.hash };
};
const at = (events: readonly ChainedEvent[], i: number): ChainedEvent => {
  const event = events[i];
  if (event === undefined) throw new Error('no such event');
  return event;
};
const replaced = (events: readonly ChainedEvent[], i: number, changes: Partial<ChainedEvent>) =>
  events.with(i, { ...at(events, i), ...changes });
/** As somebody would do it who can compute hashes. */
const rehashed = (event: ChainedEvent): ChainedEvent => ({
  ...event,
  hash: hashOf(event.previous_hash, event),
});

describe('the audit chain', () => {
  it('is whole as written, with and without its head', () => {
    fc.assert(
      fc.property(chains, (events) => {
        const head = headOf(events);
        expect(verifyChain(events)).toEqual({
          ok: true,
          events: events.length,
          head: head.hash,
          firstBad: null,
        });
        expect(verifyChain(events, head).ok).toBe(true);
      }),
    );
    expect(verifyChain([])).toEqual({ ok: true, events: 0, head: null, firstBad: null });
  });

  it('has the same hash for the same content, whatever the order of its keys', () => {
    const event = {
      ...at(
        chain([
          {
            event: 'tag.created',
            actor: 'a',
            subject: 's',
            reason: null,
            before: null,
            after: { b: 1, a: [1, 2] },
          },
        ]),
        0,
      ),
    };
    const turned = Object.fromEntries(Object.entries({ ...event, after: { a: [1, 2], b: 1 } }).toReversed());
    expect(hashOf(noHash, { ...event, ...turned })).toBe(event.hash);
  });

  // The format must never change unnoticed: an exported trail is verified years later.
  it('hashes as it always has', () => {
    const event = {
      sequence: 1,
      at: '2026-01-01T00:00:00.000Z',
      actor_kind: 'person',
      actor: 'ada@example.org',
      event: 'tag.created',
      subject_kind: 'tag',
      subject: 'web',
      reason: null,
      before: null,
      after: { description: 'é' },
    };
    // printf '%s' '{"actor":"ada@example.org","actor_kind":"person","after":{"description":"é"},"at":"2026-01-01T00:00:00.000Z","before":null,"event":"tag.created","previous_hash":"000…000","reason":null,"sequence":1,"subject":"web","subject_kind":"tag"}' | sha256sum
    expect(hashOf(noHash, event)).toBe('d8c0eb8c55d92c217176dbbc2cf914997e98140fea331350d52c706e8503a564');
  });

  it('detects any changed field, at the event that was changed', () => {
    const change = fc.oneof(
      fc.record({ actor: fc.string() }),
      fc.record({ subject: fc.string() }),
      fc.record({ reason: fc.option(fc.string()) }),
      fc.record({ before: fc.jsonValue() }),
      fc.record({ after: fc.jsonValue() }),
      fc.record({ event: fc.string() }),
      fc.record({ actor_kind: fc.string() }),
      fc.record({ subject_kind: fc.string() }),
      fc.record({ at: fc.string() }),
      fc.record({ hash: fc.string() }),
      fc.record({ previous_hash: fc.string() }),
    );
    fc.assert(
      fc.property(anyIndex, change, ([events, i], changes) => {
        const changed = replaced(events, i, changes);
        // -0 and 0 are the same in JSON, and so is another order of keys.
        fc.pre(canonicalize(at(changed, i)) !== canonicalize(at(events, i)));
        expect(verifyChain(changed).firstBad).toMatchObject({ sequence: i + 1, problem: 'altered_content' });
      }),
    );
  });

  it('detects a changed number', () => {
    fc.assert(
      fc.property(anyIndex, fc.nat({ max: 40 }), ([events, i], sequence) => {
        fc.pre(sequence !== i + 1);
        const result = verifyChain(replaced(events, i, { sequence }));
        expect(result.ok).toBe(false);
        expect(result.events).toBe(i + 1);
      }),
    );
  });

  it('detects a change whose hash was computed anew, at the event after it', () => {
    fc.assert(
      fc.property(chainAndIndex, fc.string(), ([events, i], actor) => {
        fc.pre(actor !== at(events, i).actor);
        const forged = events.with(i, rehashed({ ...at(events, i), actor }));
        expect(verifyChain(forged).firstBad).toMatchObject({ sequence: i + 2, problem: 'broken_link' });
      }),
    );
  });

  it('detects a whole chain that was written anew from some event on, when its head is known', () => {
    fc.assert(
      fc.property(anyIndex, ([events, i]) => {
        const head = headOf(events);
        const contents = events.map((event, j): Content =>
          j === i ? { ...event, actor: `${event.actor}!` } : event,
        );
        const anew = chain(
          contents.map(({ event, actor, subject, reason, before, after }) => ({
            event,
            actor,
            subject,
            reason,
            before,
            after,
          })),
        );
        expect(verifyChain(anew).ok).toBe(true);
        expect(verifyChain(anew, head).firstBad).toMatchObject({
          sequence: events.length,
          problem: 'other_head',
        });
      }),
    );
  });

  it('detects a removed event, at the event after it', () => {
    fc.assert(
      fc.property(chainAndIndex, ([events, i]) => {
        expect(verifyChain(events.toSpliced(i, 1)).firstBad).toMatchObject({
          sequence: i + 2,
          problem: 'gap',
        });
      }),
    );
  });

  it('detects a removed tail, when the head is known', () => {
    fc.assert(
      fc.property(chainAndIndex, ([events, i]) => {
        const head = headOf(events);
        expect(verifyChain(events.slice(0, i + 1)).ok).toBe(true);
        expect(verifyChain(events.slice(0, i + 1), head).firstBad).toMatchObject({
          sequence: i + 2,
          problem: 'truncated_tail',
        });
      }),
    );
    expect(verifyChain([], { sequence: 3, hash: noHash }).firstBad).toMatchObject({
      sequence: 1,
      problem: 'truncated_tail',
    });
  });

  it('detects two events that changed places, at the first place', () => {
    fc.assert(
      fc.property(chainAndIndex, fc.nat(), ([events, i], offset) => {
        const j = i + 1 + (offset % (events.length - i - 1));
        const swapped = events.with(i, at(events, j)).with(j, at(events, i));
        expect(verifyChain(swapped).firstBad).toMatchObject({ sequence: j + 1, problem: 'reordered' });
      }),
    );
  });

  it('detects a repeated event, and one that was put between', () => {
    fc.assert(
      fc.property(anyIndex, ([events, i]) => {
        expect(verifyChain(events.toSpliced(i, 0, at(events, i))).firstBad).toMatchObject({
          sequence: i + 1,
          problem: 'reordered',
        });
        const plain = { ...at(events, i), actor: `${at(events, i).actor}!` };
        expect(verifyChain(events.toSpliced(i, 0, plain)).firstBad).toMatchObject({
          sequence: i + 1,
          problem: 'altered_content',
        });
        // With a right hash it passes for the real one, which then stands in second place.
        expect(verifyChain(events.toSpliced(i, 0, rehashed(plain))).firstBad).toMatchObject({
          sequence: i + 1,
          problem: 'reordered',
        });
      }),
    );
  });

  it('does not take a later part for the whole', () => {
    const events = chain(
      Array.from({ length: 3 }, (): Content => ({
        event: 'tag.created',
        actor: 'a',
        subject: 's',
        reason: null,
        before: null,
        after: null,
      })),
    );
    expect(verifyChain(events.slice(1)).firstBad).toMatchObject({ sequence: 2, problem: 'gap' });
    const renumbered = events.slice(1).map((event) => rehashed({ ...event, sequence: event.sequence - 1 }));
    expect(verifyChain(renumbered).firstBad).toMatchObject({ sequence: 1, problem: 'broken_link' });
  });
});
