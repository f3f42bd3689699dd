import { chanceOf } from './seeded.ts';

/** What can go wrong in one run, and when: all decided by the seed. */

export const faultKinds = [
  'kill_agent',
  'kill_package_manager',
  'kill_server',
  'power_off',
  'disk_full_download',
  'disk_full_install',
  'clock_skew',
  'repository_not_found',
  'repository_truncated',
  'repository_corrupted',
  'lock_held',
  'two_jobs',
  'window_closes_download',
  'window_closes_install',
  'reboot_not_back',
] as const;
export type FaultKind = (typeof faultKinds)[number];

export interface Fault {
  readonly seed: number;
  readonly kind: FaultKind;
  /** Seconds after the start of the deployment. */
  readonly atSeconds: number;
  /** How often, for what can happen more than once. */
  readonly times: number;
  /** Which script of the package takes how long. */
  readonly slow: { readonly script: 'preinst' | 'postinst'; readonly seconds: number } | null;
  /** Of the host's clock, in hours; for `clock_skew`. */
  readonly skewHours: number;
  /** Whether the job says to roll back what fails. */
  readonly rollback: boolean;
}

/** Kills are what can happen anywhere, so they come oftener than what always happens alike. */
const weights: Readonly<Record<FaultKind, number>> = {
  kill_agent: 5,
  kill_package_manager: 5,
  kill_server: 4,
  power_off: 4,
  disk_full_download: 1,
  disk_full_install: 2,
  clock_skew: 1,
  repository_not_found: 1,
  repository_truncated: 1,
  repository_corrupted: 1,
  lock_held: 1,
  two_jobs: 1,
  window_closes_download: 1,
  window_closes_install: 1,
  reboot_not_back: 1,
};

const cycle = faultKinds.flatMap((kind) => Array.from({ length: weights[kind] }, () => kind));

/** The fault of a seed. Kinds come round in turn, so that any thirty seeds in a row meet all of them; the rest is chance. */
export function faultOf(seed: number): Fault {
  const chance = chanceOf(seed);
  // 7 and the length of the cycle have no common divisor: neighbours differ in kind.
  const kind = cycle[(seed * 7) % cycle.length] ?? 'kill_agent';
  return {
    seed,
    kind,
    atSeconds: chance.between(0, 45) / 10,
    times: chance.between(1, 3),
    slow:
      chance.fraction() < 0.6
        ? { script: chance.pick(['preinst', 'postinst'] as const), seconds: chance.between(1, 4) }
        : null,
    skewHours: chance.pick([-26, -3, 2, 5, 30]),
    rollback: chance.fraction() < 0.4,
  };
}
