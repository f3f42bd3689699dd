import { expect, test } from 'vitest';
import { chooseVersion, parseMadison } from './base-root.ts';

const madison = `   openssl | 3.0.22-1~deb12u2 | http://mirror.example/debian-security bookworm-security/main amd64 Packages
   openssl | 3.0.20-1~deb12u2 | http://mirror.example/debian bookworm/main amd64 Packages
   openssl | 3.0.17-1~deb12u2 | http://mirror.example/debian bookworm-updates/main amd64 Packages
`;
// The numbers of these versions are ordered as dpkg orders them; dpkg itself answers in the lab.
const isLowerThan = async (a: string, b: string): Promise<boolean> => await Promise.resolve(a < b);

test('madison output is read', () => {
  expect(parseMadison(madison)).toEqual(['3.0.22-1~deb12u2', '3.0.20-1~deb12u2', '3.0.17-1~deb12u2']);
  expect(parseMadison('')).toEqual([]);
});

test.each([
  ['3.0.20-1~deb12u2', '3.0.20-1~deb12u2', 'there: taken'],
  ['3.0.15-1~deb12u1', '3.0.17-1~deb12u2', 'gone: the lowest that is left'],
])('wanted %s gives %s (%s)', async (wanted, expected) => {
  const versions = parseMadison(madison);
  expect(await chooseVersion(wanted, versions, '3.0.22-1~deb12u2', isLowerThan)).toBe(expected);
});

test('with nothing older left the candidate is taken', async () => {
  expect(await chooseVersion('1', ['2', '3'], '2', isLowerThan)).toBe('2');
});
