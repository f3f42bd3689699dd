import type { KeptSnapshot } from './task/kept.ts';

/** Snapshots of the root file system, where it can make them. */

export interface SnapshotPlace {
  readonly kind: 'btrfs' | 'lvm';
}

/** Of which kind a snapshot of the root file system could be made now; null when it could not. */
export function detectSnapshots(): Promise<SnapshotPlace | null> {
  return Promise.resolve(null);
}

export type Taken =
  | { readonly ok: true; readonly snapshot: KeptSnapshot }
  | { readonly ok: false; readonly message: string };

/** @param name of the task, unique among snapshots; one of that name that is there already is it */
export function takeSnapshot(name: string): Promise<Taken> {
  return Promise.resolve({ ok: false, message: `No snapshot ${name} can be made of this file system.` });
}

/** Takes a snapshot away; one that is not there any more is no problem. */
export function forgetSnapshot(snapshot: KeptSnapshot): Promise<void> {
  return Promise.reject(new Error(`being built: ${snapshot.kind}`));
}
