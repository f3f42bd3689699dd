import { expect, test } from 'vitest';
import { pointAt } from './place.ts';

test('a caret under every character', () => {
  expect(pointAt('os = debian and hostnme = x', { at: 16, length: 7 })).toBe(
    '  os = debian and hostnme = x\n                  ^^^^^^^\n',
  );
});

test('the end of the text has one caret; line breaks and what would move the cursor do not shift it', () => {
  expect(pointAt('os =', { at: 4, length: 0 })).toBe('  os =\n      ^\n');
  expect(pointAt('a\nb\u001Bx', { at: 4, length: 1 })).toBe('  a b\\x1bx\n         ^\n');
});

test('a long text is cut around the place', () => {
  const text = `${'a'.repeat(500)}WRONG${'b'.repeat(500)}`;
  const [line = '', carets = ''] = pointAt(text, { at: 500, length: 5 }).split('\n');
  expect(line.length).toBeLessThan(140);
  expect(line.slice(carets.indexOf('^'), carets.lastIndexOf('^') + 1)).toBe('WRONG');
});
