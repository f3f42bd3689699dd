import { join } from 'node:path';
import { Type } from '@fixpoint/contract/schema.ts';
import { diffPackages, packagesDigest } from '@fixpoint/core/inventory/digest.ts';
import type { InstalledPackage, InventoryDigests } from '@fixpoint/core/inventory/inventory.ts';
import {
  InstalledPackage as InstalledPackageSchema,
  InventoryAccepted,
  type InventoryReport,
} from '@fixpoint/contract/inventory.ts';
import { toIso } from './clock.ts';
import { AgentFailure } from './failure.ts';
import type { CollectedInventory } from './inventory.ts';
import type { Session } from './session.ts';
import { readStateFile, writeFileAtomically } from './state-dir.ts';

/** Sends what the server does not hold: changed sections only, and of the packages only the difference where both know the base. */

/** The package list that the server has acknowledged: the base of the next difference. */
export interface AcknowledgedPackages {
  read(): readonly InstalledPackage[] | null;
  write(packages: readonly InstalledPackage[]): void;
}

const Acknowledged = Type.Object({ format: Type.Literal(1), packages: Type.Array(InstalledPackageSchema) });

export function openAcknowledgedPackages(stateDir: string): AcknowledgedPackages {
  const path = join(stateDir, 'acknowledged-packages.json');
  let packages: readonly InstalledPackage[] | null = null;
  try {
    packages = readStateFile(path, Acknowledged)?.packages ?? null;
  } catch {
    // Without it the next report is a whole one, which is only larger.
  }
  return {
    read: () => packages,
    write(next) {
      packages = next;
      writeFileAtomically(path, JSON.stringify({ format: 1, packages: next }));
    },
  };
}

/**
 * What to send so that a server which holds `held` holds this inventory. Pure.
 * @param base the packages that the server acknowledged last
 */
export function composeReport(
  collected: CollectedInventory,
  held: InventoryDigests | null,
  base: readonly InstalledPackage[] | null,
): InventoryReport | null {
  const { inventory, digests } = collected;
  const differs = (section: keyof InventoryDigests): boolean =>
    held === null || held[section] !== digests[section];
  const report: InventoryReport = { collected_at: toIso(collected.collectedAt), digests };
  let empty = true;
  if (differs('packages')) {
    empty = false;
    if (held !== null && base !== null && packagesDigest(base) === held.packages) {
      const { set, removed } = diffPackages(base, inventory.packages);
      report.package_delta = { base: held.packages, set: [...set], removed: [...removed] };
    } else report.packages = [...inventory.packages];
  }
  if (differs('candidates')) {
    empty = false;
    report.candidates = [...inventory.candidates];
  }
  if (differs('host')) {
    empty = false;
    const { mitigations, cloud, ...host } = inventory.host;
    report.host = {
      ...host,
      ...(mitigations === undefined ? {} : { mitigations: [...mitigations] }),
      ...(cloud === undefined ? {} : { cloud: { ...cloud } }),
      addresses: [...host.addresses],
      kernels: [...host.kernels],
      reboot_required_by: [...host.reboot_required_by],
      held: [...host.held],
      units: [...host.units],
    };
  }
  if (differs('residue')) {
    empty = false;
    report.residue = [...inventory.residue];
  }
  return empty ? null : report;
}

export interface InventoryReporter {
  /** What the server is known to hold; undefined before it said so. */
  held(): InventoryDigests | null | undefined;
  /** The server said what it holds. */
  learn(held: InventoryDigests | null): void;
  /** Makes the server hold this inventory. Throws AgentFailure when it does not take it. */
  send(collected: CollectedInventory): Promise<InventoryDigests>;
}

export function createInventoryReporter(
  session: Session,
  acknowledged: AcknowledgedPackages,
): InventoryReporter {
  let held: InventoryDigests | null | undefined;
  let running: Promise<unknown> = Promise.resolve();

  async function post(collected: CollectedInventory): Promise<InventoryDigests> {
    // First the difference to what it said it holds; if it no longer knows that base, everything.
    for (const base of [held ?? null, null]) {
      const report = composeReport(collected, base, acknowledged.read());
      if (report === null) return collected.digests;
      const answer = await session.call('/agent/v1/inventory', report, InventoryAccepted);
      if (answer.ok) {
        held = answer.value.digests;
        if (report.packages !== undefined || report.package_delta !== undefined) {
          acknowledged.write(collected.inventory.packages);
        }
        return held;
      }
      held = undefined;
      if (base === null || answer.code !== 'inventory_base_unknown') {
        throw new AgentFailure(
          'inventory_refused',
          `the server did not take the inventory: ${answer.message} (${answer.code})`,
          'See the log of the server; the agent goes on trying.',
        );
      }
    }
    throw new Error('the whole inventory was sent and answered neither way');
  }

  return {
    held: () => held,
    learn(next) {
      held = next;
    },
    send(collected) {
      const next = running.then(() => post(collected));
      running = next.catch(() => undefined);
      return next;
    },
  };
}
