import { expect, test } from 'vitest';
import type { Clock } from './clock.ts';
import { createServerContact } from './contact.ts';

/** A clock on which time passes only by sleeping; what is to happen at a time happens then. */
function scripted(happens: Readonly<Record<number, () => void>>): Clock {
  let seconds = 0;
  const left = new Map(Object.entries(happens).map(([at, what]) => [Number(at), what]));
  return {
    now: () => seconds * 1000,
    elapsedSeconds: () => seconds,
    async sleep(forSeconds) {
      if (seconds > 1_000) throw new Error('nothing ever happens');
      seconds += forSeconds;
      for (const [at, what] of left) {
        if (at > seconds) continue;
        left.delete(at);
        what();
      }
      await Promise.resolve();
    },
  };
}

const signal = new AbortController().signal;

test('a step that fails while the server answers has failed by itself', async () => {
  const clock = scripted({ 1: () => contact.answered(0.1) });
  const contact = createServerContact(clock);
  expect(await contact.wasOut(0, signal)).toBe(false);
  expect(clock.elapsedSeconds()).toBeLessThan(2);
});

test('the check-in that tells is waited for, and then the one that is answered', async () => {
  const clock = scripted({
    30: () => contact.failed(),
    40: () => contact.failed(),
    90: () => contact.answered(1),
  });
  const contact = createServerContact(clock);
  expect(await contact.wasOut(0, signal)).toBe(true);
  expect(clock.elapsedSeconds()).toBeGreaterThanOrEqual(90);
});

test('an outage that is over counts, if it was not before the step', async () => {
  const clock = scripted({
    5: () => contact.failed(),
    6: () => contact.answered(0.1),
    20: () => contact.answered(0.1),
  });
  const contact = createServerContact(clock);
  await clock.sleep(10);
  expect(await contact.wasOut(4, signal)).toBe(true);
  expect(await contact.wasOut(9, signal)).toBe(true);
  expect(await contact.wasOut(11, signal)).toBe(false);
});

test('an answer that took very long is as good as none; an agent that ends waits for nothing', async () => {
  const contact = createServerContact(scripted({ 25: () => contact.answered(24) }));
  expect(await contact.wasOut(0, signal)).toBe(true);
  expect(await createServerContact(scripted({})).wasOut(0, AbortSignal.abort())).toBe(false);
});
