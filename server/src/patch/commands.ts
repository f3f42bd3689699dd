import type { Candidate } from '@fixpoint/core/inventory/inventory.ts';
import { patchedBy } from '@fixpoint/core/knowledge/ecosystem.ts';
import {
  fixedBy,
  parsePatchId,
  patchId,
  supersedence,
  type PatchIdentity,
} from '@fixpoint/core/knowledge/patch.ts';
import { offeredVersions } from '@fixpoint/core/match/offered.ts';
import { fixedByUpdate, updateToDeploy } from '@fixpoint/core/match/windows-updates.ts';
import type { Context, Transact } from '../context.ts';
import {
  decisionsFor,
  productsOfUpdates,
  windowsKnowledge,
  type PackageNames,
  type Product,
} from '../knowledge/commands.ts';
import { patchesOfEcosystem, patchesOfPackages, patchRows, savePatches, type PatchRow } from './store.ts';

/** What the patches are called that these candidates of a host amount to. */
export function patchesOfCandidates(product: Product, candidates: readonly Candidate[]): PatchIdentity[] {
  const byId = new Map<string, PatchIdentity>();
  for (const offered of offeredVersions(product.ecosystem, candidates)) {
    const patch = { ...product, package: offered.package, version: offered.version };
    byId.set(patchId(patch), patch);
  }
  return [...byId.values()];
}

/** Remembers what the repositories of a host offer. */
export async function candidatesSeen(
  trx: Transact,
  context: Context,
  product: Product,
  candidates: readonly Candidate[],
): Promise<void> {
  const patches = patchesOfCandidates(product, candidates).map((p) => ({ id: patchId(p), ...p }));
  await savePatches(trx, patches, context.clock.now(), true);
}

/** What statements call the packages that patches are named by. */
function patchNames(product: Product, packages: readonly string[]): PackageNames {
  return patchedBy(product.ecosystem) === 'source'
    ? { sources: packages, binaries: [] }
    : { sources: [], binaries: packages };
}

/** Remembers every version in which something is fixed in these packages. */
export async function fixesKnown(
  trx: Transact,
  context: Context,
  product: Product,
  packages: readonly string[],
  /** Only what is said of these vulnerabilities is new; null: of any. */
  vulnerabilities: readonly string[] | null,
): Promise<void> {
  const byId = new Map<string, PatchIdentity & { id: string }>();
  if (product.ecosystem === 'windows') {
    await updatesKnown(trx, context, packages);
    return;
  }
  const names = patchNames(product, packages);
  for (const decision of await decisionsFor(trx, product, names, vulnerabilities)) {
    if (decision.status !== 'fixed' || decision.fixedVersion === null) continue;
    const patch = { ...product, package: decision.package, version: decision.fixedVersion };
    byId.set(patchId(patch), { id: patchId(patch), ...patch });
  }
  await savePatches(trx, [...byId.values()], context.clock.now(), false);
}

const windows: Product = { ecosystem: 'windows', release: '' };

/** On Windows a patch is an update: every one that a vendor names as a fix, or that supersedes such a one. */
async function updatesKnown(trx: Transact, context: Context, products: readonly string[]): Promise<void> {
  const { graph } = await windowsKnowledge(trx, products);
  const byId = new Map<string, PatchIdentity & { id: string }>();
  for (const product of products) {
    for (const update of graph.of(product)?.updates.values() ?? []) {
      const patch = { ...windows, package: update.id, version: update.fixedBuild ?? update.id };
      byId.set(patchId(patch), { id: patchId(patch), ...patch });
    }
  }
  await savePatches(trx, [...byId.values()], context.clock.now(), false);
}

/** Facts of updates: what each fixes, in all products that it is for, and what it supersedes there. */
async function windowsFacts(trx: Transact, rows: readonly PatchRow[]): Promise<PatchFacts[]> {
  const products = await productsOfUpdates(
    trx,
    rows.map((row) => row.package),
  );
  const { decisions, graph } = await windowsKnowledge(trx, products);
  const idOf = new Map((await patchesOfEcosystem(trx, windows)).map((row) => [row.package, row.id]));
  return rows.map((row) => {
    const fixes = new Set<string>();
    const below = new Set<string>();
    const above = new Set<string>();
    for (const product of products) {
      const known = graph.of(product);
      if (known?.updates.has(row.package) !== true) continue;
      for (const id of fixedByUpdate(graph, product, row.package, decisions)) fixes.add(id);
      for (const id of known.below(row.package)) below.add(id);
      const newest = updateToDeploy(graph, product, [row.package]);
      if (newest !== null && newest.update.id !== row.package) above.add(newest.update.id);
    }
    const named = (ids: ReadonlySet<string>) => [...ids].sort().map((id) => idOf.get(id) ?? id);
    return {
      ...row,
      fixes: [...fixes].sort(),
      supersedes: named(below),
      supersededBy: named(above)[0] ?? null,
    };
  });
}

export interface PatchFacts extends PatchRow {
  /** Vulnerabilities that it fixes. */
  readonly fixes: readonly string[];
  readonly supersedes: readonly string[];
  readonly supersededBy: string | null;
}

/** Of each of these patches the newest known one that supersedes it; those that nothing supersedes are left out. */
export async function newestPatches(trx: Transact, ids: readonly string[]): Promise<Map<string, string>> {
  const newest = new Map<string, string>();
  const asked = [...new Set(ids)].flatMap((id) => parsePatchId(id) ?? []);
  for (const list of Map.groupBy(asked, (one) => `${one.ecosystem}\t${one.release}`).values()) {
    const [product] = list;
    // A finding on Windows names the update at the end of the chain already.
    if (product === undefined || product.ecosystem === 'windows') continue;
    const packages = [...new Set(list.map((one) => one.package))];
    const all = Map.groupBy(await patchesOfPackages(trx, product, packages), (row) => row.package);
    for (const one of list) {
      const { supersededBy } = supersedence(one, all.get(one.package) ?? []);
      if (supersededBy !== null) newest.set(patchId(one), supersededBy.id);
    }
  }
  return newest;
}

/** A patch, and the newest known one that supersedes it. */
export interface PatchOrder extends PatchIdentity {
  readonly id: string;
  readonly supersededBy: string | null;
}

/** All patches of these packages with what supersedes them, without what they fix: that is much to read. */
export async function patchOrders(trx: Transact, packages: readonly string[]): Promise<PatchOrder[]> {
  const rows = await patchRows(trx, { packages });
  const orders: PatchOrder[] = [];
  for (const list of Map.groupBy(
    rows,
    (row) => `${row.ecosystem}\t${row.release}\t${row.package}`,
  ).values()) {
    const [first] = list;
    if (first?.ecosystem === 'windows') continue;
    for (const row of list)
      orders.push({ ...row, supersededBy: supersedence(row, list).supersededBy?.id ?? null });
  }
  const updates = rows.filter((row) => row.ecosystem === 'windows');
  return [...orders, ...(updates.length === 0 ? [] : await windowsFacts(trx, updates))];
}

/** Patches with what they fix and supersede. Ids that are not known are missing from the answer. */
export async function patchFacts(
  trx: Transact,
  filter: { ids?: readonly string[]; packages?: readonly string[] },
): Promise<PatchFacts[]> {
  const rows = await patchRows(trx, filter);
  const byProduct = Map.groupBy(rows, (row) => `${row.ecosystem}\t${row.release}`);
  const facts: PatchFacts[] = [];
  for (const list of byProduct.values()) {
    const [first] = list;
    if (first === undefined) continue;
    if (first.ecosystem === 'windows') {
      facts.push(...(await windowsFacts(trx, list)));
      continue;
    }
    const product = { ecosystem: first.ecosystem, release: first.release };
    const packages = [...new Set(list.map((row) => row.package))];
    const decisions = Map.groupBy(
      await decisionsFor(trx, product, patchNames(product, packages)),
      (d) => d.package,
    );
    const all = Map.groupBy(await patchesOfPackages(trx, product, packages), (row) => row.package);
    for (const row of list) {
      const order = supersedence(row, all.get(row.package) ?? []);
      facts.push({
        ...row,
        fixes: fixedBy(row, decisions.get(row.package) ?? []),
        supersedes: order.supersedes.map((p) => p.id),
        supersededBy: order.supersededBy?.id ?? null,
      });
    }
  }
  return facts;
}
