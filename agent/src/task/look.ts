import type { InstallOrder } from '@fixpoint/contract/order.ts';
import type { Executor } from '../execute/executor.ts';

/** The truth about what an order asks for, from the package manager's database. */
export interface Look {
  /** Of what was ordered, as it is now. */
  readonly versions: { name: string; arch: string; version: string }[];
  /** What is not as ordered, for a person; empty when all is. */
  readonly wrong: readonly string[];
}

/** Looks at every package that the order names: those to be at a version, those to come, those to go. */
export async function lookAt(
  order: Pick<InstallOrder, 'packages' | 'added' | 'removed'>,
  executor: Executor,
): Promise<Look> {
  const state = await executor.state();
  const versions: Look['versions'] = [];
  const wrong: string[] = [];
  const wanted = [
    ...order.packages,
    ...(order.added ?? []).map(({ name, arch, version }) => ({ name, arch, to: version })),
  ];
  for (const { name, arch, to } of wanted) {
    const version = state.versions.get(`${name}:${arch}`);
    if (version === undefined) {
      wrong.push(`${name} is not installed`);
      continue;
    }
    versions.push({ name, arch, version });
    if (version !== to) wrong.push(`${name} is at ${version}`);
    else if (state.unfinished.has(`${name}:${arch}`))
      wrong.push(`${name} is at ${version} and not configured`);
  }
  for (const { name, arch } of order.removed ?? []) {
    if (state.versions.has(`${name}:${arch}`)) wrong.push(`${name} is still installed`);
  }
  return { versions, wrong };
}
