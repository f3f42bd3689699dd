import { describe, expect, test } from 'vitest';
import type { Candidate, InstalledPackage } from '../inventory/inventory.ts';
import { parseRpmQuery } from '../inventory/rpm-query.ts';
import { patchId } from '../knowledge/patch.ts';
import type { PlanAsset, PlanPatch } from './plan.ts';
import { everythingNewer, packagesOfPatch } from './select-packages.ts';

/** Hosts of rpm: packages as `rpm -qa` prints them, with epochs, two architectures, modules and kernels beside each other. */
const installed = (os: string): InstalledPackage[] => {
  const parsed = parseRpmQuery(
    [
      'openssl-libs\t1\t3.0.7\t24.el9\tx86_64\topenssl-3.0.7-24.el9.src.rpm\t(none)\tAlmaLinux',
      'openssl-libs\t1\t3.0.7\t24.el9\ti686\topenssl-3.0.7-24.el9.src.rpm\t(none)\tAlmaLinux',
      'openssl\t1\t3.0.7\t24.el9\tx86_64\topenssl-3.0.7-24.el9.src.rpm\t(none)\tAlmaLinux',
      'nodejs\t1\t18.18.2\t2.module_el9.3.0\tx86_64\tnodejs-18.18.2-2.module_el9.3.0.src.rpm\tnodejs:18:9030020231214:rhel9\tAlmaLinux',
      'kernel-core\t(none)\t5.14.0\t362.8.1.el9_3\tx86_64\tkernel-5.14.0-362.8.1.el9_3.src.rpm\t(none)\tAlmaLinux',
      'kernel-core\t(none)\t5.14.0\t427.13.1.el9_4\tx86_64\tkernel-5.14.0-427.13.1.el9_4.src.rpm\t(none)\tAlmaLinux',
      '',
    ].join('\n'),
    os,
  );
  if (!parsed.ok) throw new Error(parsed.message);
  return parsed.packages;
};

const candidate = (name: string, arch: string, version: string, source: string): Candidate => ({
  name,
  arch,
  version,
  source,
  source_version: version,
  repository: 'baseos',
  download_bytes: 1_000,
});
const candidates = [
  candidate('openssl-libs', 'x86_64', '1:3.0.7-27.el9', 'openssl'),
  candidate('openssl-libs', 'i686', '1:3.0.7-27.el9', 'openssl'),
  candidate('openssl', 'x86_64', '1:3.0.7-27.el9', 'openssl'),
  candidate('nodejs', 'x86_64', '1:18.20.2-1.module_el9.4.0', 'nodejs'),
  candidate('kernel-core', 'x86_64', '5.14.0-427.16.1.el9_4', 'kernel'),
];

const inventoryOf = (
  ecosystem: string,
  os: string,
  release: string,
): NonNullable<PlanAsset['inventory']> => ({
  product: { ecosystem, release },
  packages: installed(os),
  candidates,
  held: [],
});
const patch = (ecosystem: string, release: string, name: string, version: string): PlanPatch => ({
  id: patchId({ ecosystem, release, package: name, version }),
  ecosystem,
  release,
  package: name,
  version,
});
const alma = inventoryOf('almalinux', 'almalinux', '9');
const rocky = inventoryOf('rocky', 'rocky', '9');

describe('a patch on a host of rpm', () => {
  test('named by the binary package takes every architecture of it, with its epoch', () => {
    const result = packagesOfPatch(patch('almalinux', '9', 'openssl-libs', '1:3.0.7-27.el9'), alma);
    expect(result).toMatchObject({
      ok: true,
      packages: [
        {
          name: 'openssl-libs',
          arch: 'i686',
          from: '1:3.0.7-24.el9',
          to: '1:3.0.7-27.el9',
          source: 'openssl',
        },
        { name: 'openssl-libs', arch: 'x86_64', from: '1:3.0.7-24.el9', to: '1:3.0.7-27.el9' },
      ],
      patchIds: ['almalinux:9/openssl-libs@1:3.0.7-27.el9'],
    });
  });

  test('named by the source takes all of its packages', () => {
    const result = packagesOfPatch(patch('rocky', '9', 'openssl', '1:3.0.7-27.el9'), rocky);
    expect(result.ok && result.packages.map((p) => `${p.name}.${p.arch}`)).toEqual([
      'openssl-libs.i686',
      'openssl-libs.x86_64',
      'openssl.x86_64',
    ]);
  });

  test('of a module stream goes by the versions of rpm', () => {
    const result = packagesOfPatch(patch('almalinux', '9', 'nodejs', '1:18.20.2-1.module_el9.4.0'), alma);
    expect(result).toMatchObject({ ok: true, packages: [{ to: '1:18.20.2-1.module_el9.4.0' }] });
  });

  test('of kernels brings one beside the newest, once', () => {
    for (const [of, name] of [
      [alma, 'kernel-core'],
      [rocky, 'kernel'],
    ] as const) {
      const { ecosystem = '', release = '' } = of.product ?? {};
      expect(packagesOfPatch(patch(ecosystem, release, name, '5.14.0-427.16.1.el9_4'), of)).toMatchObject({
        ok: true,
        packages: [{ name: 'kernel-core', from: '5.14.0-427.13.1.el9_4', to: '5.14.0-427.16.1.el9_4' }],
      });
    }
    const known = packagesOfPatch(patch('almalinux', '9', 'kernel-core', '5.14.0-427.13.1.el9_4'), alma);
    expect(known).toMatchObject({ ok: false, reason: 'already_fixed' });
  });

  test('everything newer names each package once', () => {
    const all = everythingNewer(alma).flatMap((one) => one.packages.map((p) => `${p.name}.${p.arch}`));
    expect(all.toSorted()).toEqual([
      'kernel-core.x86_64',
      'nodejs.x86_64',
      'openssl-libs.i686',
      'openssl-libs.x86_64',
      'openssl.x86_64',
    ]);
  });
});
