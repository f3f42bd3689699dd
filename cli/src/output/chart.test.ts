import { describe, expect, test } from 'vitest';
import { barChart, showsUtf8, stepChart } from './chart.ts';

const bars = [
  { label: 'mon', value: 16, words: '+16 opened' },
  { label: 'tuesday', value: 9, words: '' },
  { label: 'wed', value: 0, words: '-9 remediated' },
];

describe('charts of text', () => {
  test('bars of blocks to an eighth, and of ASCII', () => {
    expect(barChart(bars, true, 40)).toBe(
      [
        'mon     16 ██████████████ +16 opened',
        'tuesday  9 ███████▉',
        'wed      0                -9 remediated',
        '',
      ].join('\n'),
    );
    const plain = barChart(bars, false, 40);
    expect(plain).toContain('tuesday  9 ########\n');
    // oxlint-disable-next-line no-control-regex -- ASCII is what is asked for
    expect(plain).toMatch(/^[\u0000-\u007F]*$/u);
  });
  test('a small value is seen, and nothing is no error', () => {
    const small = [
      { label: 'a', value: 100_000, words: '' },
      { label: 'b', value: 1, words: '' },
    ];
    expect(barChart(small, true, 80).split('\n')[1]).toBe('b      1 ▏');
    expect(barChart(small, false, 80).split('\n')[1]).toBe('b      1 .');
    expect(barChart([], true)).toBe('');
    expect(barChart([{ label: 'a', value: 0, words: '' }], true)).toBe('a 0\n');
  });
  test('a curve falls from 1 in steps', () => {
    const steps = [
      { at: 5, share: 0.5 },
      { at: 9, share: 0 },
    ];
    expect(stepChart(steps, 10, true, 10)).toBe('█████▅▅▅▅\n0       10\n');
    expect(stepChart(steps, 10, false, 10)).toBe('#####====\n0       10\n');
    expect(stepChart([], 0)).toBe('');
  });
  test('blocks only where the locale has them', () => {
    expect(showsUtf8({ LANG: 'de_DE.UTF-8' })).toBe(true);
    expect(showsUtf8({ LANG: 'de_DE.UTF-8', LC_ALL: 'C' })).toBe(false);
    expect(showsUtf8({ LC_CTYPE: 'C.utf8' })).toBe(true);
    expect(showsUtf8({ LANG: 'en_US.UTF-8', TERM: 'linux' })).toBe(false);
    expect(showsUtf8({})).toBe(false);
  });
});
