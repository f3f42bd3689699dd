/**
 * The assets of one value: most values of a name or an instance id have one asset, and a bitmap takes some three hundred
 * bytes whatever is in it. So: one id (0 for nobody), a few ids in no order, or a set.
 */
import { addIds, assetSet, union, type AssetSet, type ReadonlyAssetSet } from './asset-set.ts';

export type Members = number | number[] | AssetSet;

const few = 24;

/** What the members are from now on; what was given is not to be used any more. */
export function withMember(members: Members, id: number): Members {
  if (members === 0) return id;
  if (typeof members === 'number') return [members, id];
  if (Array.isArray(members)) {
    members.push(id);
    return members.length > few ? assetSet(members) : members;
  }
  members.add(id);
  return members;
}

/** The same without one that is among them. */
export function withoutMember(members: Members, id: number): Members {
  if (typeof members === 'number') return 0;
  if (Array.isArray(members)) {
    members.splice(members.indexOf(id), 1);
    return members.length === 0 ? 0 : members;
  }
  members.delete(id);
  if (!members.isEmpty) return members;
  members.dispose();
  return 0;
}

export function sizeOf(members: Members): number {
  if (typeof members === 'number') return Number(members !== 0);
  return Array.isArray(members) ? members.length : members.size;
}

/** Collects members of many values, to unite them all at once. */
export class Gathering {
  readonly #sets: ReadonlyAssetSet[] = [];
  readonly #ids: number[] = [];

  addMembers(members: Members): void {
    if (typeof members === 'number') {
      if (members !== 0) this.#ids.push(members);
    } else if (Array.isArray(members)) for (const id of members) this.#ids.push(id);
    else this.#sets.push(members);
  }

  /** A new set. */
  all(): AssetSet {
    const found = this.#sets.length === 0 ? assetSet() : union(this.#sets);
    if (this.#ids.length > 0) addIds(found, Uint32Array.from(this.#ids).sort());
    return found;
  }
}
