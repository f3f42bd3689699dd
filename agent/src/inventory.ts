import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { inventoryDigests } from '@fixpoint/core/inventory/digest.ts';
import type { Inventory, InventoryDigests, Residue } from '@fixpoint/core/inventory/inventory.ts';
import type { Clock } from './clock.ts';
import { collectCandidates, compareText } from './collect/apt.ts';
import { createFileOwners, statusStamp } from './collect/dpkg-files.ts';
import { readDpkgStatus } from './collect/dpkg.ts';
import { collectHost, readNativeArch } from './collect/host.ts';
import { collectFileResidue, createFileDigests, type TouchedPackages } from './file-residue.ts';
import { readBootId } from './process.ts';
import { createProcessResidueCollector } from './runtime.ts';

/** What this host is now. Looked at again as far as cheap signs say that it has changed. */

export interface CollectedInventory {
  readonly inventory: Inventory;
  readonly digests: InventoryDigests;
  /** Milliseconds since 1970. */
  readonly collectedAt: number;
}

/**
 * `due`: what cheap signs or time say may have changed. `now`: besides, units and what runs, since a task has just changed
 * them. `everything`: all anew whatever the signs say.
 */
export type CollectDepth = 'due' | 'now' | 'everything';

export interface InventoryCollector {
  /** The last one; null before the first. */
  current(): CollectedInventory | null;
  /** Brings it up to date. Throws AgentFailure when the package database cannot be read whole; `current` then stays as it was. */
  collect(depth?: CollectDepth): Promise<CollectedInventory>;
}

/** All is looked at anew after this long, whatever the signs say. */
const everythingSeconds = 30 * 60;
const residueSeconds = 10 * 60;
const hostSeconds = 60;
/** After packages changed, and while there is residue, units and processes are looked at often. */
const hotSeconds = 15 * 60;
const hotEverySeconds = 5;

/** @param stateDir where to remember whose the mapped files are; null remembers nothing */
export function createInventoryCollector(
  stateDir: string | null,
  touched: TouchedPackages,
  clock: Clock,
): InventoryCollector {
  const owners = createFileOwners();
  const processes = createProcessResidueCollector(stateDir, owners);
  const files = createFileDigests();
  let current: CollectedInventory | null = null;
  let stamp = '';
  let everythingAt = 0;
  let residueAt = 0;
  let hostAt = 0;
  let changedAt = -hotSeconds;
  let running: Promise<unknown> = Promise.resolve();

  async function look(depth: CollectDepth): Promise<CollectedInventory> {
    const now = clock.elapsedSeconds();
    // Read before the data: a change in between is then seen as one next time.
    const stampNow = changeStamp();
    const earlier = current?.inventory ?? null;
    const all =
      depth === 'everything' ||
      earlier === null ||
      stampNow !== stamp ||
      now - everythingAt > everythingSeconds;
    const hot = now - changedAt < hotSeconds || (earlier !== null && earlier.residue.length > 0);
    const often = depth === 'now' || (hot && now - residueAt >= hotEverySeconds);
    let { packages, candidates, host, residue } = earlier ?? emptyInventory;
    if (all) {
      const status = readDpkgStatus('/');
      packages = [...status.packages].sort(
        (a, b) => compareText(a.name, b.name) || compareText(a.arch, b.arch),
      );
      candidates = await collectCandidates(packages, await readNativeArch());
      host = await collectHost(packages, status.held);
      if (stampNow !== stamp && stamp !== '') changedAt = now;
    } else if (often || now - hostAt > hostSeconds) {
      host = await collectHost(packages, host.held);
    }
    const lookAtResidue = all || often || now - residueAt > residueSeconds;
    if (lookAtResidue) {
      residue = sortResidue([
        ...processes.collect(packages, touched.list()),
        ...(await collectFileResidue(packages, touched.list(), files, owners)),
      ]);
    }
    const inventory: Inventory = { packages, candidates, host, residue };
    if (all) {
      stamp = stampNow;
      everythingAt = now;
    }
    if (all || often || now - hostAt > hostSeconds) hostAt = now;
    if (lookAtResidue) residueAt = now;
    const digests = inventoryDigests(inventory);
    current = { inventory, digests, collectedAt: clock.now() };
    return current;
  }

  return {
    current: () => current,
    collect(depth = 'due') {
      // One at a time: the check-in and a task both ask.
      const next = running.then(
        () => look(depth),
        () => look(depth),
      );
      running = next.catch(() => undefined);
      return next;
    },
  };
}

const emptyInventory: Inventory = {
  packages: [],
  candidates: [],
  host: {
    hostname: 'unknown',
    os: 'linux',
    os_release: '',
    os_title: '',
    arch: 'unknown',
    addresses: [],
    boot_id: '',
    booted_at: '1970-01-01T00:00:00.000Z',
    running_kernel: '',
    kernels: [],
    machine: 'physical_or_virtual',
    reboot_required: false,
    reboot_required_by: [],
    held: [],
    units: [],
  },
  residue: [],
};

/** Changes when packages, apt's lists or settings, the boot, or the wish for a reboot have changed. */
function changeStamp(): string {
  return [
    statusStamp(),
    ...[
      '/var/lib/apt/lists',
      '/etc/apt/preferences',
      '/etc/apt/preferences.d',
      '/etc/apt/sources.list',
      '/etc/apt/sources.list.d',
      '/etc/os-release',
    ].map(stampOf),
    ...listStamps('/var/lib/apt/lists'),
    stampOf('/run/reboot-required'),
    stampOf('/run/reboot-required.pkgs'),
    readBootId(),
  ].join('|');
}

function stampOf(path: string): string {
  try {
    const { mtimeMs, size } = statSync(path);
    return `${String(mtimeMs)} ${String(size)}`;
  } catch {
    return '';
  }
}

/** apt replaces its lists in place. */
function listStamps(dir: string): string[] {
  try {
    return readdirSync(dir)
      .filter((name) => name.includes('Packages'))
      .sort(compareText)
      .map((name) => stampOf(join(dir, name)));
  } catch {
    return [];
  }
}

/** One order whatever the kernel lists first, so that the same residue has the same digest. */
export function sortResidue(residue: readonly Residue[]): Residue[] {
  return residue
    .toSorted(
      (a, b) =>
        compareText(a.kind, b.kind) ||
        compareText(a.name, b.name) ||
        compareText(a.arch, b.arch) ||
        compareText(a.path, b.path) ||
        (a.process?.pid ?? 0) - (b.process?.pid ?? 0),
    )
    .slice(0, 20_000);
}
