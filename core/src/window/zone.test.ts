import { describe, expect, test } from 'vitest';
import { isZone, momentOfText, zoneOf } from './zone.ts';

describe('zones', () => {
  test.each([
    ['Europe/Berlin', true],
    ['UTC', true],
    ['Etc/GMT-14', true],
    ['Europe/Berlln', false],
    ['+01:00', false],
    ['asset', false],
    ['', false],
    ['constructor', false],
  ])('%j: %s', (name, is) => {
    expect(isZone(name)).toBe(is);
  });

  test('of a window: its own, that of the asset, or UTC', () => {
    expect(zoneOf('Europe/Berlin', 'Asia/Tokyo')).toBe('Europe/Berlin');
    expect(zoneOf('asset', 'Asia/Tokyo')).toBe('Asia/Tokyo');
    expect(zoneOf('asset', 'Moon/Base')).toBe('UTC');
  });
});

test('a local time as text', () => {
  const iso = (text: string, zone = 'Europe/Berlin') => {
    const at = momentOfText(text, zone);
    return at === null ? null : new Date(at).toISOString().slice(0, 16);
  };
  expect(iso('2026-12-20T00:00')).toBe('2026-12-19T23:00');
  expect(iso('2026-12-20')).toBe('2026-12-19T23:00');
  expect(iso('2026-03-29T02:30')).toBe('2026-03-29T01:00');
  expect(iso('2011-12-30T12:00', 'Pacific/Apia')).toBeNull();
  for (const wrong of ['2026-02-30', '2026-12-20T24:01', 'tomorrow', '2026-12-20T00:00Z', ''])
    expect(iso(wrong)).toBeNull();
});
