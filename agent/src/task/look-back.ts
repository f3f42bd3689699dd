import type { Executor, OrderedChanges } from '../execute/executor.ts';
import { keyOf } from '../execute/keeping.ts';

/** The truth about a rollback, from the package manager's database. */
export interface LookBack {
  readonly versions: { name: string; arch: string; version: string }[];
  /** What is not as before, for a person; empty when all is. */
  readonly wrong: readonly string[];
}

export async function lookBack(executor: Executor, changes: OrderedChanges): Promise<LookBack> {
  const { versions, unfinished } = await executor.state();
  const wrong: string[] = [];
  const there: LookBack['versions'] = [];
  const wanted = [...changes.packages.map((p) => ({ ...p, version: p.from })), ...changes.removed];
  for (const { name, arch, version } of wanted) {
    const key = `${name}:${arch}`;
    const now = versions.get(key);
    if (now !== undefined) there.push({ name, arch, version: now });
    if (now !== version) wrong.push(now === undefined ? `${name} is not installed` : `${name} is at ${now}`);
    else if (unfinished.has(key)) wrong.push(`${name} is at ${version} and not configured`);
  }
  for (const p of changes.added) {
    if (versions.has(keyOf(p))) wrong.push(`${p.name} is still installed`);
  }
  return { versions: there, wrong };
}
