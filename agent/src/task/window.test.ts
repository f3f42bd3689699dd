import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { toIso } from '../clock.ts';
import { standingOf } from './window.ts';

const now = Date.parse('2026-11-22T12:00:00Z');
const at = (minutes: number): string => toIso(now + minutes * 60_000);
const order = (...windows: readonly (readonly [number, number])[]) => ({
  expires_at: at(10_000),
  windows: windows.map(([from, to]) => ({ opens_at: at(from), closes_at: at(to) })),
});

describe('the times of an order', () => {
  test('open from the first moment, and no more at the last', () => {
    expect(standingOf(order([0, 10]), 0, now)).toEqual({ kind: 'open', closesAt: now + 600_000 });
    expect(standingOf(order([-10, 0]), 0, now)).toEqual({ kind: 'closed', opensAt: null });
    expect(standingOf(order([-10, 0], [5, 6]), 0, now)).toEqual({ kind: 'closed', opensAt: now + 300_000 });
  });

  test('too little of it left is as if it were closed', () => {
    expect(standingOf(order([-5, 5], [60, 70]), 300, now).kind).toBe('open');
    expect(standingOf(order([-5, 5], [60, 70]), 301, now)).toEqual({
      kind: 'closed',
      opensAt: now + 3_600_000,
    });
  });

  test('end when the order ends; one without times is open until then', () => {
    expect(standingOf({ expires_at: at(3) }, 0, now)).toEqual({ kind: 'open', closesAt: now + 180_000 });
    expect(standingOf({ expires_at: at(0) }, 0, now).kind).toBe('closed');
    expect(standingOf({ ...order([-5, 60]), expires_at: at(2) }, 300, now).kind).toBe('closed');
  });

  test('never open outside of every one of them', () => {
    const interval = fc
      .tuple(fc.integer({ min: -100, max: 100 }), fc.integer({ min: 1, max: 50 }))
      .map(([from, minutes]) => [from, from + minutes] as const);
    fc.assert(
      fc.property(fc.array(interval, { minLength: 1, maxLength: 6 }), fc.nat(3_000), (windows, seconds) => {
        const standing = standingOf(order(...windows), seconds, now);
        const inside = windows.some(([from, to]) => from <= 0 && to * 60 >= Math.max(seconds, 1 / 60));
        expect(standing.kind === 'open').toBe(inside);
      }),
    );
  });
});
