import { expect, test } from 'vitest';
import { inZone, ownZone } from './local-time.ts';

test('times as the clocks of a zone show them', () => {
  expect(inZone('2026-03-29T01:00:00.000Z', 'Europe/Berlin')).toBe('Sun 2026-03-29 03:00');
  expect(inZone('2026-10-24T22:30:00.000Z', 'Europe/Berlin')).toBe('Sun 2026-10-25 00:30');
  expect(inZone('2026-10-24T22:30:00.000Z', 'Mars/Base')).toBe('2026-10-24T22:30:00.000Z');
  expect(inZone('soon', 'UTC')).toBe('soon');
  expect(inZone('2026-10-24T22:30:00.000Z', ownZone())).toMatch(/^[A-Z][a-z]{2} 2026-10-2[45] \d\d:\d\d$/u);
});
