import { compareText } from '@fixpoint/core/knowledge/compare-text.ts';
import { inventoryDigests } from '@fixpoint/core/inventory/digest.ts';
import type { HostFacts, Inventory, InventoryDigests, Residue } from '@fixpoint/core/inventory/inventory.ts';
import type { Clock } from './clock.ts';
import { collectHost, rebootWishes } from './collect/host.ts';
import { heldTo } from './collect/held-to.ts';
import { type CollectProblem, type PackageSource } from './collect/package-source.ts';
import { stampOf } from './collect/stamp.ts';
import { collectFileResidue, createFileDigests, type TouchedPackages } from './file-residue.ts';
import { collectMitigations } from './mitigation/carry-out.ts';
import { thisHost } from './mitigation/host-access.ts';
import { openMitigationRecords } from './mitigation/records.ts';
import { readHostPolicy } from './policy.ts';
import { readBootId } from './process.ts';
import { createProcessResidueCollector } from './runtime.ts';

/** What this host is now. Looked at again as far as cheap signs say that it has changed. */

export interface CollectedInventory {
  readonly inventory: Inventory;
  readonly digests: InventoryDigests;
  /** Milliseconds since 1970. */
  readonly collectedAt: number;
  /** What could not be found out about a host that could be read otherwise. */
  readonly problems: readonly CollectProblem[];
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
  source: PackageSource,
): InventoryCollector {
  const processes = createProcessResidueCollector(stateDir, source.files);
  const files = createFileDigests();
  const records = stateDir === null ? null : openMitigationRecords(stateDir);
  let current: CollectedInventory | null = null;
  let stamp = '';
  let everythingAt = 0;
  let residueAt = 0;
  let hostAt = 0;
  let changedAt = -hotSeconds;
  let running: Promise<unknown> = Promise.resolve();

  async function lookAtHost(fromPackages: Parameters<typeof collectHost>[0]): Promise<HostFacts> {
    const facts = await collectHost(fromPackages);
    const mitigations = records === null ? [] : await collectMitigations(thisHost, records);
    const { manager, takesOrders } = source;
    return {
      ...facts,
      ...(mitigations.length === 0 ? {} : { mitigations }),
      ...(takesOrders ? { package_manager: { name: manager, held: await heldTo(manager) } } : {}),
    };
  }

  async function look(depth: CollectDepth): Promise<CollectedInventory> {
    const now = clock.elapsedSeconds();
    // Read before the data: a change in between is then seen as one next time.
    const stampNow = changeStamp(source);
    const earlier = current?.inventory ?? null;
    const all =
      depth === 'everything' ||
      earlier === null ||
      stampNow !== stamp ||
      now - everythingAt > everythingSeconds;
    const hot = now - changedAt < hotSeconds || (earlier !== null && earlier.residue.length > 0);
    const often = depth === 'now' || (hot && now - residueAt >= hotEverySeconds);
    let { packages, candidates, host, residue } = earlier ?? emptyInventory;
    let problems = current?.problems ?? [];
    if (all) {
      const read = await source.collect();
      ({ packages, candidates, problems } = read);
      host = await lookAtHost(read);
      if (stampNow !== stamp && stamp !== '') changedAt = now;
    } else if (often || now - hostAt > hostSeconds) {
      host = await lookAtHost(host);
    }
    host = withPolicy(host, readHostPolicy().policy);
    const lookAtResidue = all || often || now - residueAt > residueSeconds;
    if (lookAtResidue) {
      residue = sortResidue([
        ...(await processes.collect(packages, touched.list())),
        ...(await collectFileResidue(packages, touched.list(), files, source.files)),
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
    current = { inventory, digests, collectedAt: clock.now(), problems };
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

/** Looked at each time: what the owner forbids is to be known with the next check-in. */
function withPolicy(host: HostFacts, policy: HostFacts['policy'] | null): HostFacts {
  const { policy: _, ...rest } = host;
  return policy === null || policy === undefined ? rest : { ...rest, policy };
}

/** Changes when packages, repositories, the boot, the system's release, or the wish for a reboot have changed. */
function changeStamp(source: PackageSource): string {
  return [
    source.stamp(),
    stampOf('/etc/os-release'),
    ...rebootWishes.map(stampOf),
    stampOf('/run/reboot-required.pkgs'),
    readBootId(),
  ].join('|');
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
