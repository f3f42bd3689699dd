import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import type { OrderedPackage } from '@fixpoint/contract/order.ts';
import type { OrderedChanges } from './executor.ts';
import { judgeApt } from './apt.ts';
import { classifyFailure, differenceFromOrder, parseSimulation, reportableOutput } from './apt-output.ts';

const recorded = (name: string): string =>
  readFileSync(new URL(`recorded/${name}.txt`, import.meta.url), 'utf8');
const ordered = (name: string, arch: string, to: string): OrderedPackage => ({
  name,
  arch,
  from: '0',
  to,
  source: name,
  source_version: to,
});
const only = (packages: readonly OrderedPackage[]): OrderedChanges => ({ packages, added: [], removed: [] });
const openssl = ordered('openssl', 'amd64', '3.0.22-1~deb12u2');
const libssl3 = ordered('libssl3', 'amd64', '3.0.22-1~deb12u2');

describe('a simulated installation', () => {
  test('that does just what is ordered', () => {
    expect(judgeApt('simulate', 0, recorded('simulate-upgrade'), only([openssl, libssl3]))).toEqual({
      ok: true,
    });
    expect(
      judgeApt('simulate', 0, recorded('simulate-all'), only([ordered('tzdata', 'all', '2026f-0+deb12u1')])),
    ).toEqual({ ok: true });
  });

  test('with nothing left to do', () => {
    expect(judgeApt('simulate', 0, recorded('nothing-to-do'), only([openssl, libssl3]))).toEqual({
      ok: true,
    });
  });

  test('that would change another package too names it', () => {
    const judged = judgeApt('simulate', 0, recorded('simulate-partial'), only([openssl]));
    expect(judged).toMatchObject({ ok: false, failure: 'plan_differs' });
    expect(judged.ok || judged.message).toContain(
      'libssl3 would go from 3.0.17-1~deb12u2 to 3.0.22-1~deb12u2',
    );
  });

  test('that would install a new package names it', () => {
    const judged = judgeApt('simulate', 0, recorded('simulate-new'), only([ordered('lab-good', 'all', '3')]));
    expect(judged).toMatchObject({ ok: false, failure: 'plan_differs' });
    expect(judged.ok || judged.message).toContain('lab-new 1 would be newly installed');
  });

  test('that reaches another version, or removes something', () => {
    const simulated = parseSimulation(recorded('simulate-upgrade'));
    expect(differenceFromOrder(simulated, only([{ ...openssl, to: '3.0.20-1' }, libssl3]))).toContain(
      'openssl would go to 3.0.22-1~deb12u2 instead of 3.0.20-1',
    );
    expect(
      differenceFromOrder(
        parseSimulation('Remv nginx [1.22.1-9]\nConf other (1 x [all])\n'),
        only([openssl]),
      ),
    ).toBe('nginx would be removed');
  });

  test('that removes or changes the package of another architecture than the ordered', () => {
    const changes = {
      packages: [{ ...openssl, arch: 'i386' }],
      added: [],
      removed: [{ name: 'wine', arch: 'i386', version: '8' }],
    };
    const own = `Remv wine:i386 [8]\nInst openssl:i386 [1] (${openssl.to} Debian [i386])\n`;
    expect(differenceFromOrder(parseSimulation(own), changes)).toBeNull();
    const more = `Remv wine [8]\nInst openssl [1] (${openssl.to} Debian [amd64])\n`;
    expect(differenceFromOrder(parseSimulation(own + more), changes)).toBe(
      `wine would be removed; openssl would go from 1 to ${openssl.to}`,
    );
  });

  test('packages that were broken before are not the order’s doing', () => {
    expect(
      judgeApt(
        'simulate',
        0,
        recorded('simulate-while-broken'),
        only([ordered('tzdata', 'all', '2026f-0+deb12u1')]),
      ),
    ).toEqual({ ok: true });
  });
});

describe('failures, from recorded output', () => {
  test.each([
    ['lock-held', 'lock_held'],
    ['lock-held-dpkg', 'lock_held'],
    ['lock-lists', 'lock_held'],
    ['download-disk-full', 'disk_full'],
    ['unpack-disk-full', 'disk_full'],
    ['download-404', 'version_not_available'],
    ['update-unreachable-strict', 'repository_unreachable'],
    ['download-unreachable', 'repository_unreachable'],
    ['download-forbidden', 'repository_unreachable'],
    ['update-signature', 'signature_invalid'],
    ['hash-mismatch', 'hash_mismatch'],
    ['dependency', 'dependency_conflict'],
    ['postinst-fails', 'maintainer_script_failed'],
    ['configure-fails', 'maintainer_script_failed'],
    ['killed', 'maintainer_script_failed'],
    ['version-missing', 'version_not_available'],
    ['package-missing', 'version_not_available'],
    ['held', 'plan_differs'],
    ['dpkg-interrupted', 'package_manager_broken'],
    ['no-download-missing', 'download_failed'],
  ])('%s is %s', (name, failure) => {
    expect(classifyFailure(recorded(name))).toMatchObject({ failure });
  });

  test('the message holds the line that says why', () => {
    expect(judgeApt('install', 100, recorded('postinst-fails'), only([]))).toEqual({
      ok: false,
      failure: 'maintainer_script_failed',
      message:
        'Installing failed: installed lab-broken package post-installation script subprocess returned error exit status 3 (it said: cannot go on)',
    });
  });

  test.each([
    ['dependency', 'lab-needs : Depends: lab-none (>= 9) but it is not installable'],
    [
      'unpack-disk-full',
      "'/usr/share/lab/filler.dpkg-new': failed to write (No space left on device) (unpacking lab-filler_2_all.deb)",
    ],
    ['download-unreachable', 'pool/updates/main/t/tzdata/tzdata_2026f'],
    ['update-unreachable-strict', '/dists/bookworm/InRelease  Could not connect to 127.0.0.1:1'],
    ['update-signature', 'bookworm InRelease: The following signatures'],
    ['hash-mismatch', 'E: Failed to fetch '],
    ['download-404', 'http://127.0.0.1:18943/./lab-404_2_all.deb  404'],
    ['lock-held', 'held by process 29503 (python3)'],
    ['held', 'Held packages were changed'],
  ])('%s says the concrete thing', (name, text) => {
    expect(classifyFailure(recorded(name)).line).toContain(text);
  });

  test('output of no known kind is a failure all the same', () => {
    expect(classifyFailure('')).toEqual({ failure: 'package_manager_broken', line: 'it wrote nothing' });
    expect(classifyFailure('a\nE: something new\nb').line).toBe('E: something new');
  });
});

describe('output that leaves the host', () => {
  test('holds no credentials', () => {
    const output =
      'Err http://asset:s3cr3t@10.0.0.1:8080/x\nProxy-Authorization: Basic QTpi\npassword=hunter2\nsession abcdefgh\n';
    const text = reportableOutput(output, ['abcdefgh']);
    for (const secret of ['s3cr3t', 'QTpi', 'hunter2', 'abcdefgh']) expect(text).not.toContain(secret);
    expect(text).toContain('10.0.0.1:8080');
  });

  test('is bounded, keeps the end, and has no control characters', () => {
    const text = reportableOutput(`${'x'.repeat(100_000)}\u001b[31m\0the end`, []);
    expect(text.length).toBeLessThanOrEqual(20_000);
    expect(text.endsWith('the end')).toBe(true);
    expect(text).not.toContain('\u001b');
  });
});
