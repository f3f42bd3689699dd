import type { InventoryAccepted, InventoryReport } from '@fixpoint/contract/inventory.ts';
import { sinceEpochSeconds } from '@fixpoint/core/finding/exposure.ts';
import {
  applyPackageDelta,
  digestJson,
  packageKey,
  packagesDigest,
  sameDigests,
} from '@fixpoint/core/inventory/digest.ts';
import {
  inventorySections,
  type Candidate,
  type HostFacts,
  type InstalledPackage,
  type InventoryDigests,
  type Residue,
} from '@fixpoint/core/inventory/inventory.ts';
import type { ServerContext } from '../app.ts';
import { appendAudits } from '../audit/commands.ts';
import type { AgentIdentity } from '../auth/guard.ts';
import type { Transact } from '../context.ts';
import { afterInventory } from '../deployment/commands.ts';
import { exposuresChanged } from '../finding/change.ts';
import { productOf } from '../knowledge/commands.ts';
import { raiseAlert } from '../notify/commands.ts';
import { candidatesSeen } from '../patch/commands.ts';
import { answer, refuse, type Answer } from '../refusal.ts';
import { installedPackage, internSoftware, softwareOf } from '../software/commands.ts';
import { transact } from '../transact.ts';
import { insertChange, lockAsset, updateAsset, type AssetRow } from './store.ts';

/** How many packages an audit event names; the rest is counted. The change log has all. */
const namedPackages = 200;

interface Held {
  readonly packages: readonly InstalledPackage[];
  readonly candidates: readonly Candidate[];
  readonly host: HostFacts | null;
  readonly residue: readonly Residue[];
  readonly digests: InventoryDigests | null;
}

/**
 * Takes an inventory: the sections that changed, packages whole or as the difference from what the server holds. Either
 * all of it is stored, with everything that follows from it, or none.
 */
export async function takeInventory(
  context: ServerContext,
  agent: AgentIdentity,
  report: InventoryReport,
): Promise<Answer<InventoryAccepted>> {
  return await transact(context.db, async (trx) => {
    const asset = await lockAsset(trx, agent.assetId);
    if (asset.retired_at !== null) {
      return refuse(
        401,
        'asset_retired',
        'this host is retired from Fixpoint',
        'enrol it again if it should be managed',
      );
    }
    const held = await heldBy(trx, asset);
    if (held.digests !== null && sameDigests(held.digests, report.digests)) {
      // Said already, the answer got lost. What comes with it must not change what is held under the same digests.
      return answer({ digests: held.digests });
    }
    const merged = merge(held, report);
    if (!merged.ok) return merged;
    await store(trx, context, agent, asset, held, merged.value, report);
    return answer({ digests: report.digests });
  });
}

/** Installed packages by their software ids, as the agent reported them. */
export async function packagesOf(trx: Transact, ids: readonly number[]): Promise<InstalledPackage[]> {
  const rows = await softwareOf(trx, ids);
  return rows.map(installedPackage);
}

async function heldBy(trx: Transact, asset: AssetRow): Promise<Held> {
  return {
    packages: await packagesOf(trx, asset.software),
    candidates: asset.candidates,
    host: asset.host,
    residue: asset.residue,
    digests: asset.digests,
  };
}

interface Merged {
  readonly packages: readonly InstalledPackage[];
  readonly candidates: readonly Candidate[];
  readonly host: HostFacts;
  readonly residue: readonly Residue[];
}

/** What the host has now, or why that cannot be said from this report. */
function merge(held: Held, report: InventoryReport): Answer<Merged> {
  const sendAll = 'send every section whole';
  const unknownBase = refuse(
    409,
    'inventory_base_unknown',
    'the report builds on an inventory that this server does not hold',
    sendAll,
  );
  if (report.packages !== undefined && report.package_delta !== undefined) {
    return refuse(
      422,
      'inventory_contradicts',
      'the report has packages both whole and as a difference',
      'send one of them',
    );
  }
  let packages = report.packages ?? held.packages;
  if (report.package_delta !== undefined) {
    const applied = applyPackageDelta(held.packages, report.package_delta);
    if (!applied.ok || held.digests === null) return unknownBase;
    packages = applied.packages;
  }
  const host = report.host ?? held.host;
  const sections = {
    packages: report.packages !== undefined || report.package_delta !== undefined,
    candidates: report.candidates !== undefined,
    host: report.host !== undefined,
    residue: report.residue !== undefined,
  };
  for (const section of inventorySections) {
    if (!sections[section] && held.digests?.[section] !== report.digests[section]) return unknownBase;
  }
  if (host === null) return unknownBase;
  const merged = {
    packages,
    candidates: report.candidates ?? held.candidates,
    host,
    residue: report.residue ?? held.residue,
  };
  // No package, no finding: it would read as safe. There is no host without packages, only one that could not be read.
  if (packages.length === 0) {
    return refuse(
      422,
      'inventory_implausible',
      held.packages.length === 0
        ? 'the host reports no package at all'
        : `the host had ${held.packages.length} packages and now reports none`,
      'look at the package database of the host (dpkg --audit); the last good inventory, if any, is kept',
    );
  }
  const twice = repeated(packages);
  if (twice !== null) {
    return refuse(
      422,
      'inventory_contradicts',
      `the report names ${twice} twice`,
      'report each package and architecture once',
    );
  }
  const different = inventorySections.filter((section) => {
    if (!sections[section]) return false;
    const digest = section === 'packages' ? packagesDigest(packages) : digestJson(merged[section]);
    return digest !== report.digests[section];
  });
  if (different.length > 0) {
    return refuse(
      422,
      'inventory_digest_mismatch',
      `what arrived is not what was sent: the digest of ${different.join(', ')} differs`,
      sendAll,
    );
  }
  return answer(merged);
}

function repeated(packages: readonly InstalledPackage[]): string | null {
  const seen = new Set<string>();
  for (const one of packages) {
    const key = packageKey(one);
    if (seen.has(key)) return key;
    seen.add(key);
  }
  return null;
}

async function store(
  trx: Transact,
  context: ServerContext,
  agent: AgentIdentity,
  asset: AssetRow,
  held: Held,
  merged: Merged,
  report: InventoryReport,
): Promise<void> {
  const { host } = merged;
  const now = context.clock.now();
  const product = productOf(host.os, host.os_release);
  const ids = (await internSoftware(trx, context, product, merged.packages)).toSorted((a, b) => a - b);
  const sinceBefore = new Map(asset.software.map((id, i) => [id, asset.since[i] ?? 0]));
  const nowSeconds = Math.floor(now.getTime() / 1000) - sinceEpochSeconds;
  const since = ids.map((id) => sinceBefore.get(id) ?? nowSeconds);
  const after = new Set(ids);
  const added = ids.filter((id) => !sinceBefore.has(id));
  const removed = asset.software.filter((id) => !after.has(id));

  await updateAsset(trx, asset.id, {
    hostname: host.hostname,
    os: host.os,
    os_release: host.os_release,
    arch: host.arch,
    software: ids,
    since,
    digests: JSON.stringify(report.digests),
    inventory_at: now,
    host: JSON.stringify(host),
    candidates: JSON.stringify(merged.candidates),
    residue: JSON.stringify(merged.residue),
  });
  if (added.length > 0 || removed.length > 0)
    await insertChange(trx, { asset_id: asset.id, added, removed, at: now });
  const actor = { kind: 'agent', name: agent.uid } as const;
  const story = await exposuresChanged(trx, context, {
    assetId: asset.id,
    uid: agent.uid,
    actor,
    os: host.os,
    osRelease: host.os_release,
    host,
    candidates: merged.candidates,
    residue: merged.residue,
    before: { software: asset.software, since: asset.since },
    after: { software: ids, since },
  });
  // After all software is known: rows of patches are written by imports too, which then hold what is known.
  if (held.digests?.candidates !== report.digests.candidates) {
    await candidatesSeen(trx, context, product, merged.candidates);
  }
  await appendAudits(trx, context, [
    {
      actor,
      event: 'asset.inventory_changed',
      subjectKind: 'asset',
      subject: agent.uid,
      ...packageChanges(held, merged, report.digests),
    },
    ...story,
  ]);
  await alertOfShrinking(trx, context, agent.uid, held, merged, report.digests);
  await afterInventory(trx, context, asset.id);
}

/** A list that lost more than this share, and this many, may have been cut short where nobody could tell. */
const implausibleLossShare = 0.5;
const implausibleLossPackages = 50;

/** Packages that are gone close findings. When most are gone at once, a person should know that this is why. */
async function alertOfShrinking(
  trx: Transact,
  context: ServerContext,
  uid: string,
  held: Held,
  merged: Merged,
  digests: InventoryDigests,
): Promise<void> {
  const [before, after] = [held.packages.length, merged.packages.length];
  const lost = before - after;
  if (lost <= implausibleLossPackages || lost <= before * implausibleLossShare) return;
  await raiseAlert(trx, context, {
    kind: 'inventory_shrank',
    severity: 'warning',
    subjectKind: 'asset',
    subject: uid,
    message: `${merged.host.hostname} had ${before} packages and now reports ${after}; findings of what is gone are closed.`,
    whatToDo:
      'If nobody removed them, look at the package database of the host (dpkg --audit); its next whole inventory opens the findings again.',
    detail: { before, after },
    deduplicationKey: `inventory_shrank:${uid}:${digests.packages}`,
  });
}

const differs = (one: Map<string, string>, other: Map<string, string>) =>
  [...one].filter(([key, version]) => other.get(key) !== version);

/** Before and after for the trail: the packages that changed, and which other sections did. */
function packageChanges(held: Held, merged: Merged, digests: InventoryDigests) {
  const before = new Map(held.packages.map((one) => [packageKey(one), one.version]));
  const after = new Map(merged.packages.map((one) => [packageKey(one), one.version]));
  const gone = differs(before, after);
  const come = differs(after, before);
  const first = held.digests === null;
  // The first inventory names no packages: all of them are new.
  const named = (list: [string, string][]) =>
    first ? undefined : Object.fromEntries(list.slice(0, namedPackages));
  const state = (packages: number, changed: [string, string][], kernel: string | null) => ({
    packages,
    running_kernel: kernel,
    changed_packages: changed.length,
    versions: named(changed),
  });
  return {
    before: first ? null : state(before.size, gone, held.host?.running_kernel ?? null),
    after: {
      ...state(after.size, come, merged.host.running_kernel),
      sections: inventorySections.filter((section) => held.digests?.[section] !== digests[section]),
      residue: merged.residue.length,
    },
  };
}
