import { describe, expect, test } from 'vitest';
import { cvssFact } from './cvss-vector.ts';

describe('base scores', () => {
  // Scores as published by NVD and FIRST for these vectors.
  test.each([
    ['AV:N/AC:L/Au:N/C:P/I:P/A:P', '2.0', 7.5],
    ['AV:N/AC:M/Au:N/C:C/I:C/A:C', '2.0', 9.3],
    ['CVSS:3.0/AV:L/AC:L/PR:N/UI:N/S:C/C:H/I:N/A:N', '3.0', 7.1],
    ['CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:C/C:H/I:H/A:H', '3.1', 10],
    ['CVSS:3.1/AV:N/AC:L/PR:N/UI:R/S:C/C:H/I:H/A:H', '3.1', 9.6],
    ['CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H/E:P/RL:O/RC:C', '3.1', 9.8],
    ['CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N', '4.0', 9.3],
    ['CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N/E:U', '4.0', 9.3],
  ])('%s', (vector, version, baseScore) => {
    expect(cvssFact('CVE-2024-1', 'test', vector)).toMatchObject({
      ok: true,
      fact: { version, vector, baseScore },
    });
  });

  test.each([
    '',
    'junk',
    'CVSS:3.1/AV:N/AC:L',
    'CVSS:3.1/AV:X/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H',
    'CVSS:4.0/AV:N',
    'CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H/A:N',
    'CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H/ZZ:N',
  ])('%j has none', (vector) => {
    expect(cvssFact('CVE-2024-1', 'test', vector).ok).toBe(false);
  });
});
