import { detectBtrfs, forgetBtrfs, restoreBtrfs, takeBtrfs } from './snapshot-btrfs.ts';
import { detectLvm, forgetLvm, restoreLvm, takeLvm } from './snapshot-lvm.ts';
import type { KeptSnapshot } from './task/kept.ts';

/** Snapshots of the root file system, by whatever it lies on: btrfs, or a logical volume. */

export type Taken<S extends KeptSnapshot = KeptSnapshot> =
  | { readonly ok: true; readonly snapshot: S }
  | { readonly ok: false; readonly message: string };

/** Of which kind a snapshot of the root file system could be made now; null when it could not. */
export async function detectSnapshots(): Promise<{ readonly kind: 'btrfs' | 'lvm' } | null> {
  return (await detectBtrfs()) ?? (await detectLvm());
}

/** @param name of the task, unique among snapshots; one of that name that is there already is it */
export async function takeSnapshot(name: string): Promise<Taken> {
  if ((await detectBtrfs()) !== null) return await takeBtrfs(name);
  return await takeLvm(name);
}

/** Takes a snapshot away; one that is not there any more is no problem. */
export async function forgetSnapshot(snapshot: KeptSnapshot): Promise<void> {
  if (snapshot.kind === 'btrfs') await forgetBtrfs(snapshot);
  else await forgetLvm(snapshot);
}

/** Makes the snapshot what is mounted as the root at the next boot, with the agent's own state as it is now. */
export async function restoreAtNextBoot(snapshot: KeptSnapshot, stateDir: string): Promise<void> {
  if (snapshot.kind === 'btrfs') await restoreBtrfs(snapshot, stateDir);
  else await restoreLvm(snapshot, stateDir);
}
