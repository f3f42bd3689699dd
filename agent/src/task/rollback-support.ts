import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { RollbackSupport } from '@fixpoint/core/plan/plan.ts';
import type { Executor } from '../execute/executor.ts';
import { keyOf, type Keeping, type PackageId } from '../execute/keeping.ts';
import { detectSnapshots } from '../snapshot.ts';
import { installedDir, isWhole, listKept, packageFile } from './kept.ts';

/** Whether what is installed now could be put back after a task, told before there is one. */

/** @param packages what would be upgraded (`from` is what is there), and what would be removed */
export async function rollbackSupport(
  packages: readonly Pick<PackageId & { readonly from: string }, 'name' | 'arch' | 'from'>[],
  executor: Executor,
  stateDir: string,
): Promise<RollbackSupport> {
  const snapshots = await detectSnapshots();
  const reasons = await notToBeKept(
    packages.map(({ name, arch, from }) => ({ name, arch, version: from })),
    executor,
    stateDir,
  );
  return {
    possible: reasons.length === 0,
    reasons: reasons.slice(0, 1_000),
    ...(snapshots === null ? {} : { snapshots: snapshots.kind }),
  };
}

async function notToBeKept(
  packages: readonly PackageId[],
  executor: Executor,
  stateDir: string,
): Promise<{ package: string; message: string }[]> {
  const { keeping } = executor;
  if (keeping === undefined) {
    return packages.map((p) => ({
      package: p.name,
      message: `${executor.manager} cannot keep packages here.`,
    }));
  }
  const offered = await keeping.offered(packages);
  const reasons: { package: string; message: string }[] = [];
  for (const p of packages) {
    if (offered.has(keyOf(p)) || (await findLying(p, keeping, stateDir)) !== null) continue;
    reasons.push({ package: p.name, message: nowhere(p) });
  }
  return reasons;
}

export function nowhere(p: PackageId): string {
  return `${p.name} ${p.version} is offered by no repository any more and lies nowhere on this host.`;
}

/** A file of exactly that package on this host: what an earlier task kept, or what the package manager has still. */
export async function findLying(p: PackageId, keeping: Keeping, stateDir: string): Promise<string | null> {
  for (const { dir, manifest } of listKept(stateDir)) {
    const file = manifest?.packages.find((one) => isSame(p, one))?.file ?? null;
    if (file !== null && isWhole(dir, file)) return packageFile(dir, file.name);
  }
  const own = join(installedDir(stateDir), keeping.fileName(p));
  for (const path of [own, ...keeping.cachedPaths(p)]) {
    if (existsSync(path) && isSame(p, await keeping.identify(path))) return path;
  }
  return null;
}

export function isSame(p: PackageId, other: PackageId | null): boolean {
  return other?.name === p.name && other.arch === p.arch && other.version === p.version;
}
