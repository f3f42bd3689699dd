import type { VersionScheme } from '@fixpoint/core/version/version.ts';

/** What is the same for every host of a package manager. */

export type Manager = 'apt' | 'dnf' | 'yum' | 'zypper' | 'apk' | 'pacman' | 'windows';

export interface ManagerTraits {
  /** How versions of its packages are compared. */
  readonly scheme: VersionScheme;
  /**
   * What the executor was tried on. `real`: the real package manager, with its real failures; `recorded`: built to what is
   * published about it and held to outputs that others recorded, and never run by us.
   */
  readonly held: 'real' | 'recorded';
}

export const managerTraits: Readonly<Record<Manager, ManagerTraits>> = {
  apt: { scheme: 'dpkg', held: 'real' },
  dnf: { scheme: 'rpm', held: 'real' },
  yum: { scheme: 'rpm', held: 'recorded' },
  zypper: { scheme: 'rpm', held: 'real' },
  apk: { scheme: 'apk', held: 'recorded' },
  // vercmp of pacman is rpm's order, with its own rule for a release that is absent on one side.
  pacman: { scheme: 'rpm', held: 'recorded' },
  windows: { scheme: 'windows-build', held: 'recorded' },
};
