import type { InventoryAccepted, InventoryReport } from '@fixpoint/contract/inventory.ts';
import { sinceEpochSeconds } from '@fixpoint/core/finding/exposure.ts';
import { inventorySections, type InventoryDigests } from '@fixpoint/core/inventory/inventory.ts';
import type { ServerContext } from '../app.ts';
import { appendAudits } from '../audit/commands.ts';
import type { AgentIdentity } from '../auth/guard.ts';
import type { Transact } from '../context.ts';
import { afterInventory, assetsWithOpenTask } from '../deployment/commands.ts';
import { exposuresChanged } from '../finding/change.ts';
import { productOf } from '../knowledge/commands.ts';
import { raiseAlert } from '../notify/commands.ts';
import { candidatesSeen } from '../patch/commands.ts';
import { answer, refuse, type Answer } from '../refusal.ts';
import type { SoftwareMemory, SoftwareReading } from '../software/known.ts';
import { transact } from '../transact.ts';
import { merge, type Held, type ListedPackage, type Merged } from './inventory.ts';
import { insertChanges, lockAssetsForInventory, storeInventories, type LockedAsset } from './store.ts';

/** How many packages an audit event names; the rest is counted. The change log has all. */
const namedPackages = 200;

export interface ReportOfAgent {
  readonly agent: AgentIdentity;
  readonly report: InventoryReport;
}

interface Accepted extends ReportOfAgent {
  readonly asset: LockedAsset;
  readonly held: Held;
  readonly merged: Merged;
}

/** With the software that the asset has now. */
interface Stored extends Accepted {
  readonly software: readonly number[];
  readonly since: readonly number[];
  readonly added: readonly number[];
  readonly removed: readonly number[];
}

/**
 * Takes the inventories of several assets, each asset once, in one transaction: the sections that changed, packages whole or
 * as the difference from what the server holds. Each is stored with everything that follows from it or is refused, whatever
 * becomes of the others; when it throws, none is stored.
 */
export async function takeInventories(
  context: ServerContext,
  memory: SoftwareMemory,
  reports: readonly ReportOfAgent[],
): Promise<Answer<InventoryAccepted>[]> {
  const { answers, software } = await transact(context.db, async (trx) => {
    const reading = memory.read();
    return { answers: await take(trx, context, reading, reports), software: reading };
  });
  software.keep();
  return answers;
}

async function take(
  trx: Transact,
  context: ServerContext,
  software: SoftwareReading,
  reports: readonly ReportOfAgent[],
): Promise<Answer<InventoryAccepted>[]> {
  const assets = await lockAssetsForInventory(
    trx,
    reports.map((one) => one.agent.assetId),
  );
  for (const asset of assets.values()) await software.load(trx, asset.software);
  const accepted: Accepted[] = [];
  const answers = reports.map((one): Answer<InventoryAccepted> => {
    const asset = assets.get(one.agent.assetId);
    if (asset === undefined) throw new Error('an asset that has a session is gone');
    if (asset.retired_at !== null) {
      return refuse(
        401,
        'asset_retired',
        'this host is retired from Fixpoint',
        'enrol it again if it should be managed',
      );
    }
    const held = heldBy(software, asset);
    const merged = merge(held, one.report);
    if (!merged.ok) return merged;
    if (!merged.value.known) accepted.push({ ...one, asset, held, merged: merged.value });
    return answer({ digests: one.report.digests });
  });
  if (accepted.length > 0) await store(trx, context, software, accepted);
  return answers;
}

function heldBy(software: SoftwareReading, asset: LockedAsset): Held {
  return {
    packages: asset.software.map((id) => software.get(id)),
    host: asset.host,
    residue: asset.residue,
    digests: asset.digests,
  };
}

const productOfHost = (one: Accepted) => productOf(one.merged.host.os, one.merged.host.os_release);
const productText = (one: Accepted) => {
  const { ecosystem, release } = productOfHost(one);
  return `${ecosystem}\t${release}`;
};

/** The software that each has now; software of another release is other software, whatever it is called. */
async function softwareNow(
  trx: Transact,
  context: ServerContext,
  software: SoftwareReading,
  accepted: readonly Accepted[],
): Promise<Map<Accepted, number[]>> {
  const ids = new Map<Accepted, number[]>();
  for (const [, ofProduct] of Map.groupBy(accepted, productText)) {
    const news: { of: Accepted; one: ListedPackage }[] = [];
    for (const each of ofProduct) {
      const { ecosystem, release } = productOf(each.asset.os, each.asset.os_release);
      const same = `${ecosystem}\t${release}` === productText(each);
      const own: number[] = [];
      ids.set(each, own);
      for (const one of each.merged.packages) {
        if (same && one.id !== undefined) own.push(one.id);
        else news.push({ of: each, one });
      }
    }
    const [first] = ofProduct;
    if (first === undefined || news.length === 0) continue;
    const distinct = [...new Map(news.map(({ one }) => [one.line, one])).values()];
    const found = await software.intern(trx, context, productOfHost(first), distinct);
    const byLine = new Map(distinct.map((one, i) => [one.line, found[i]]));
    for (const { of, one } of news) {
      const id = byLine.get(one.line);
      if (id === undefined) throw new Error(`software ${one.package.name} was interned and is not there`);
      ids.get(of)?.push(id);
    }
  }
  return ids;
}

/** What came and went, and since when each is there, in one walk over both lists. */
function follow(asset: LockedAsset, now: readonly number[], nowSeconds: number) {
  const software = [...Int32Array.from(now).sort()];
  const since: number[] = [];
  const added: number[] = [];
  const removed: number[] = [];
  let i = 0;
  for (const id of software) {
    for (; (asset.software[i] ?? Infinity) < id; i++) removed.push(asset.software[i] ?? 0);
    if (asset.software[i] === id) {
      since.push(asset.since[i] ?? 0);
      i++;
    } else {
      since.push(nowSeconds);
      added.push(id);
    }
  }
  removed.push(...asset.software.slice(i));
  return { software, since, added, removed };
}

async function store(
  trx: Transact,
  context: ServerContext,
  software: SoftwareReading,
  accepted: readonly Accepted[],
): Promise<void> {
  const now = context.clock.now();
  const nowSeconds = Math.floor(now.getTime() / 1000) - sinceEpochSeconds;
  const interned = await softwareNow(trx, context, software, accepted);
  const stored = accepted.map((one): Stored => {
    return { ...one, ...follow(one.asset, interned.get(one) ?? [], nowSeconds) };
  });
  await storeInventories(
    trx,
    stored.map(({ asset, merged, report, software: ids, since }) => ({
      id: asset.id,
      hostname: merged.host.hostname,
      os: merged.host.os,
      os_release: merged.host.os_release,
      arch: merged.host.arch,
      software: ids,
      since,
      digests: report.digests,
      host: report.host ?? null,
      candidates: report.candidates ?? null,
      residue: report.residue ?? null,
    })),
    now,
  );
  await insertChanges(
    trx,
    stored
      .filter(({ added, removed }) => added.length > 0 || removed.length > 0)
      .map(({ asset, added, removed }) => ({ assetId: asset.id, added, removed })),
    now,
  );
  const stories = await exposuresChanged(
    trx,
    context,
    software,
    stored.map(({ agent, asset, merged, report, software: ids, since, added, removed }) => ({
      assetId: asset.id,
      uid: agent.uid,
      actor: { kind: 'agent', name: agent.uid },
      os: merged.host.os,
      osRelease: merged.host.os_release,
      host: merged.host,
      candidates: report.candidates ?? null,
      residue: merged.residue,
      before: { software: asset.software, since: asset.since },
      after: { software: ids, since },
      differing: [...added, ...removed],
    })),
  );
  // After all software is known: rows of patches are written by imports too, which then hold what is known.
  await rememberCandidates(trx, context, stored);
  await appendAudits(
    trx,
    context,
    stored.flatMap((one, i) => [
      {
        actor: { kind: 'agent', name: one.agent.uid },
        event: 'asset.inventory_changed',
        subjectKind: 'asset',
        subject: one.agent.uid,
        ...packageChanges(one, software),
      },
      ...(stories[i] ?? []),
    ]),
  );
  for (const one of stored) await alertOfShrinking(trx, context, one);
  const busy = await assetsWithOpenTask(
    trx,
    stored.map((one) => one.asset.id),
  );
  for (const { asset } of stored) if (busy.has(asset.id)) await afterInventory(trx, context, asset.id);
}

async function rememberCandidates(
  trx: Transact,
  context: ServerContext,
  stored: readonly Stored[],
): Promise<void> {
  const changed = stored.filter(({ held, report }) => held.digests?.candidates !== report.digests.candidates);
  for (const [, ofProduct] of Map.groupBy(changed, productText)) {
    const [first] = ofProduct;
    if (first === undefined) continue;
    const candidates = ofProduct.flatMap(({ report }) => report.candidates ?? []);
    await candidatesSeen(trx, context, productOfHost(first), candidates);
  }
}

/** A list that lost more than this share, and this many, may have been cut short where nobody could tell. */
const implausibleLossShare = 0.5;
const implausibleLossPackages = 50;

/** Packages that are gone close findings. When most are gone at once, a person should know that this is why. */
async function alertOfShrinking(trx: Transact, context: ServerContext, one: Stored): Promise<void> {
  const { agent, held, merged, report } = one;
  const [before, after] = [held.packages.length, merged.packages.length];
  const lost = before - after;
  if (lost <= implausibleLossPackages || lost <= before * implausibleLossShare) return;
  await raiseAlert(trx, context, {
    kind: 'inventory_shrank',
    severity: 'warning',
    subjectKind: 'asset',
    subject: agent.uid,
    message: `${merged.host.hostname} had ${before} packages and now reports ${after}; findings of what is gone are closed.`,
    whatToDo:
      'If nobody removed them, look at the package database of the host (dpkg --audit); its next whole inventory opens the findings again.',
    detail: { before, after },
    deduplicationKey: `inventory_shrank:${agent.uid}:${report.digests.packages}`,
  });
}

/** Before and after for the trail: the packages that changed, and which other sections did. */
function packageChanges(one: Stored, software: SoftwareReading) {
  const { held, merged, report, added, removed } = one;
  const versionOf = (id: number): [string, string] => {
    const { key, package: known } = software.get(id);
    return [key, known.version];
  };
  const [gone, come] = [removed.map(versionOf), added.map(versionOf)];
  const differs = (list: [string, string][], others: [string, string][]) => {
    const known = new Map(others);
    return list.filter(([key, version]) => known.get(key) !== version);
  };
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
    before: first
      ? null
      : state(held.packages.length, differs(gone, come), held.host?.running_kernel ?? null),
    after: {
      ...state(merged.packages.length, differs(come, gone), merged.host.running_kernel),
      sections: changedSections(held, report.digests),
      residue: merged.residue.length,
    },
  };
}

const changedSections = (held: Held, digests: InventoryDigests) =>
  inventorySections.filter((section) => held.digests?.[section] !== digests[section]);
