import { expect, test } from 'vitest';
import { compared } from './comparison.ts';

test('how two versions stand, in words that hold for every order', () => {
  const of = (comparison: Parameters<typeof compared>[0]['comparison']) =>
    compared({ comparison, installed_version: '1.0-1.el9', fixed_version: '1.0-2.el9' });
  expect(of('less')).toBe('1.0-1.el9 is older than 1.0-2.el9');
  expect(of('unparseable')).toBe('1.0-1.el9 cannot be compared with 1.0-2.el9');
  expect(of('incomparable')).toBe('1.0-1.el9 is of another branch than 1.0-2.el9');
  expect(of(null)).toBeNull();
});
