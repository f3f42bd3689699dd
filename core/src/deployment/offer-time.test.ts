import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { windowIntervals } from '../window/intervals.ts';
import { weekdays, type Interval, type PatchWindow } from '../window/window.ts';
import { decide, noOtherTasks, type TaskObservation } from './decide.ts';
import { missedUse, offerStanding, type OfferTimes } from './offer-time.ts';

const monday = Date.parse('2026-03-02T10:00:00Z');
const hour = 3_600_000;
const tuesdayNight: PatchWindow = {
  zone: 'UTC',
  opens: { kind: 'weekly', days: ['tue'], at: '02:00' },
  duration_minutes: 120,
};
const opening = Date.parse('2026-03-03T02:00:00Z');
const times = (over: Partial<OfferTimes> = {}): OfferTimes => ({
  windows: [tuesdayNight],
  blackouts: [],
  assetZone: 'UTC',
  prestageMinutes: null,
  minimumRemainingSeconds: 0,
  ...over,
});

describe('when an order may be handed out', () => {
  test('without windows and blackouts: at any time', () => {
    expect(offerStanding(times({ windows: undefined }), monday)).toEqual({ kind: 'open', use: null });
  });

  test('within the window, and from when on downloads may begin', () => {
    const use = { opensAt: opening, closesAt: opening + 2 * hour };
    expect(offerStanding(times(), monday)).toEqual({
      kind: 'closed',
      because: 'window_closed',
      offerAt: opening,
    });
    expect(offerStanding(times({ prestageMinutes: 60 }), opening - hour - 1)).toMatchObject({
      kind: 'closed',
      offerAt: opening - hour,
    });
    expect(offerStanding(times({ prestageMinutes: 60 }), opening - hour)).toEqual({ kind: 'staging', use });
    expect(offerStanding(times(), opening)).toEqual({ kind: 'open', use });
    expect(offerStanding(times(), opening + 2 * hour)).toMatchObject({ kind: 'closed' });
  });

  test('what is left of a window must be enough, else the next one is waited for', () => {
    const wanting = times({ minimumRemainingSeconds: 3600 });
    expect(offerStanding(wanting, opening + hour)).toMatchObject({ kind: 'open' });
    expect(offerStanding(wanting, opening + hour + 1)).toEqual({
      kind: 'closed',
      because: 'window_closed',
      offerAt: opening + 7 * 24 * hour,
    });
  });

  test('a blackout closes the window, and nothing is staged in it', () => {
    const freeze: Interval = { opensAt: opening - 3 * hour, closesAt: opening + hour };
    const frozen = times({ blackouts: [freeze], prestageMinutes: 240 });
    expect(offerStanding(frozen, opening - 3 * hour)).toEqual({
      kind: 'closed',
      because: 'window_closed',
      offerAt: freeze.closesAt,
    });
    expect(offerStanding(frozen, opening)).toMatchObject({ because: 'blackout', offerAt: freeze.closesAt });
    expect(offerStanding(frozen, freeze.closesAt)).toMatchObject({ kind: 'open' });
    const always = times({ windows: undefined, blackouts: [freeze] });
    expect(offerStanding(always, opening)).toMatchObject({ because: 'blackout' });
    expect(offerStanding(always, freeze.opensAt - 1)).toMatchObject({
      kind: 'open',
      use: { closesAt: freeze.opensAt },
    });
  });

  test('where no window comes any more, nobody is kept waiting', () => {
    const past = times({
      windows: [{ zone: 'UTC', opens: { kind: 'once', local: '2026-03-01T02:00' }, duration_minutes: 60 }],
    });
    const standing = offerStanding(past, monday);
    expect(standing).toEqual({ kind: 'closed', because: 'window_closed', offerAt: null });
    const queued = { ...task, standing };
    const decided = (withoutWindow: 'wait' | 'expire') =>
      decide(running, [{ ...queued, withoutWindow }], noOtherTasks, monday, options).commands;
    expect(decided('expire')).toEqual([
      { kind: 'expire', taskId: 'a', because: 'no_window_left' },
      { kind: 'complete' },
    ]);
    expect(decided('wait')).toEqual([]);
  });

  test('a window is missed when it went by as a whole without a sign of the asset', () => {
    const after = opening + 3 * hour;
    const missed = (since: number, heardAt: number | null) => missedUse(times(), since, heardAt, after);
    expect(missed(monday, monday)).toBe(true);
    expect(missed(monday, null)).toBe(true);
    expect(missed(monday, opening + 1), 'it was there').toBe(false);
    expect(missed(opening + 2 * hour, monday), 'the task came after it').toBe(false);
    expect(missed(opening + hour, opening + hour), 'what was left of it counts').toBe(true);
    expect(missedUse(times(), monday, monday, opening + hour), 'it is still open').toBe(false);
    expect(missedUse(times({ windows: undefined }), monday, null, after)).toBe(false);
  });
});

const options = { silentAfterSeconds: 30 };
const running = { state: 'running', concurrency: 1, openRing: 0 } as const;
const task: TaskObservation = {
  id: 'a',
  ring: 0,
  state: 'queued',
  resumeState: null,
  expiresAt: null,
  heardAt: monday,
  checkInSeconds: 60,
  retired: false,
  asking: true,
};

const atTime = fc
  .record({ hours: fc.nat(23), minutes: fc.constantFrom(0, 15, 30) })
  .map((at) => `${String(at.hours).padStart(2, '0')}:${String(at.minutes).padStart(2, '0')}`);
const someWindow: fc.Arbitrary<PatchWindow> = fc.record({
  zone: fc.constantFrom('UTC', 'asset', 'Europe/Berlin', 'America/New_York', 'Australia/Lord_Howe'),
  opens: fc.oneof(
    atTime.map((at) => ({ kind: 'daily' as const, at })),
    fc.record({
      kind: fc.constant('weekly' as const),
      days: fc.subarray([...weekdays], { minLength: 1 }),
      at: atTime,
    }),
  ),
  duration_minutes: fc.integer({ min: 5, max: 600 }),
});
const someBlackout: fc.Arbitrary<Interval> = fc
  .record({ from: fc.integer({ min: -48, max: 24 * 14 }), hours: fc.integer({ min: 1, max: 60 }) })
  .map(({ from, hours }) => ({ opensAt: monday + from * hour, closesAt: monday + (from + hours) * hour }));
const someTimes: fc.Arbitrary<OfferTimes> = fc.record({
  windows: fc.option(fc.array(someWindow, { minLength: 1, maxLength: 3 }), { nil: undefined }),
  blackouts: fc.array(someBlackout, { maxLength: 3 }),
  assetZone: fc.constantFrom('UTC', 'Asia/Kathmandu', 'America/Chicago'),
  prestageMinutes: fc.option(fc.integer({ min: 0, max: 600 })),
  minimumRemainingSeconds: fc.constantFrom(0, 600, 7200),
});

describe('over random windows, blackouts and moves of the clock', () => {
  test('nothing is offered outside of a window but for staging, nothing in a blackout, and what is promised comes', () => {
    fc.assert(
      fc.property(
        someTimes,
        fc.array(fc.integer({ min: -12 * 60, max: 3 * 24 * 60 }), { minLength: 1, maxLength: 12 }),
        (given, moves) => {
          let now = monday;
          for (const minutes of moves) {
            now += minutes * 60_000;
            const standing = offerStanding(given, now);
            const { commands, waiting } = decide(
              running,
              [{ ...task, heardAt: now, standing }],
              noOtherTasks,
              now,
              options,
            );
            const frozen = given.blackouts.some((one) => one.opensAt <= now && now < one.closesAt);
            const open = windowIntervals(given.windows, given.blackouts, given.assetZone, now, now + 1);
            const prestage = (given.prestageMinutes ?? 0) * 60_000;
            const soon = windowIntervals(
              given.windows,
              given.blackouts,
              given.assetZone,
              now,
              now + prestage + 1,
            );
            if (commands.some((one) => one.kind === 'offer')) {
              expect(frozen).toBe(false);
              expect(open.length + (given.prestageMinutes === null ? 0 : soon.length)).toBeGreaterThan(0);
              expect(standing.kind).not.toBe('closed');
            } else {
              expect(waiting).toHaveLength(1);
              const [wait] = waiting;
              if (wait?.until !== undefined) {
                expect(wait.until).toBeGreaterThan(now);
                // at the time that was named, the order really is to be had
                expect(offerStanding(given, wait.until).kind).not.toBe('closed');
              }
            }
          }
        },
      ),
      { numRuns: 150 },
    );
  });
});
