import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { parseSystemIds } from '@fixpoint/core/inventory/os-release.ts';
import { AgentFailure } from '../failure.ts';
import { readTextIfThere } from '../state-dir.ts';
import { createApkSource } from './apk.ts';
import { createDebSource } from './deb.ts';
import type { PackageSource } from './package-source.ts';
import { createRpmSource } from './rpm.ts';

export type HostFamily = 'deb' | 'rpm' | 'apk';

/** IDs of os-release(5), in ID or ID_LIKE, by what their packages are. */
const families: Readonly<Record<HostFamily, readonly string[]>> = {
  deb: ['debian', 'ubuntu'],
  rpm: [
    'rhel',
    'fedora',
    'centos',
    'suse',
    'opensuse',
    'sles',
    'amzn',
    'ol',
    'rocky',
    'almalinux',
    'mariner',
  ],
  apk: ['alpine', 'wolfi', 'chainguard'],
};

const databases: Readonly<Record<HostFamily, readonly string[]>> = {
  deb: ['var/lib/dpkg/status'],
  rpm: ['var/lib/rpm', 'usr/lib/sysimage/rpm'].flatMap((folder) =>
    ['rpmdb.sqlite', 'Packages', 'Packages.db'].map((file) => `${folder}/${file}`),
  ),
  apk: ['lib/apk/db/installed', 'usr/lib/apk/db/installed'],
};

/**
 * What a host's packages are: by what it says it is, since tools of another family may be installed on any, and a database
 * that is missing must not be replaced by theirs; only where it says nothing known, by the database that is there. Null when
 * nothing tells. Pure.
 * @param has whether a database of the family is there
 */
export function familyOf(osRelease: string, has: (family: HostFamily) => boolean): HostFamily | null {
  const all: readonly HostFamily[] = ['deb', 'rpm', 'apk'];
  for (const id of parseSystemIds(osRelease)) {
    const family = all.find(
      (one) => families[one].includes(id) || families[one].some((known) => id.startsWith(`${known}-`)),
    );
    if (family !== undefined) return family;
  }
  return all.find(has) ?? null;
}

/** The package source of this host. Throws AgentFailure where there is none that this agent knows. */
export function choosePackageSource(): PackageSource {
  const osRelease = readTextIfThere('/etc/os-release') ?? readTextIfThere('/usr/lib/os-release') ?? '';
  const has = (family: HostFamily): boolean => databases[family].some((path) => existsSync(join('/', path)));
  switch (familyOf(osRelease, has)) {
    case 'deb':
      return createDebSource();
    case 'rpm':
      return createRpmSource();
    case 'apk':
      return createApkSource();
    default:
      throw new AgentFailure(
        'package_manager_unknown',
        'this host has no package database of dpkg, rpm or apk',
        'This agent needs a host that one of them manages.',
      );
  }
}
