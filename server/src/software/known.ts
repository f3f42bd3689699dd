import { packageKey, packageLine } from '@fixpoint/core/inventory/digest.ts';
import type { InstalledPackage } from '@fixpoint/core/inventory/inventory.ts';
import type { Context, Transact } from '../context.ts';
import type { Product } from '../knowledge/commands.ts';
import { installedPackage, internSoftware, softwareOf, type SoftwareRow } from './commands.ts';

/** A software with what comparing lists of packages asks of it again and again. */
export interface KnownSoftware {
  readonly id: number;
  readonly row: SoftwareRow;
  readonly package: InstalledPackage;
  /** `packageKey` and `packageLine` of the package. */
  readonly key: string;
  readonly line: string;
}

/**
 * Software as this process has read it. A row of software never changes, and hosts of one fleet have much the same; so it is read
 * once. What a transaction reads counts for others only when it is committed: it may have added the software itself.
 */
export interface SoftwareMemory {
  read(): SoftwareReading;
}

export interface SoftwareReading {
  /** Reads those of these that are not known yet. */
  load(trx: Transact, ids: Iterable<number>): Promise<void>;
  /** One that was loaded, or interned. */
  get(id: number): KnownSoftware;
  /** As `internSoftware`, and loads them. */
  intern(
    trx: Transact,
    context: Context,
    product: Product,
    packages: readonly { readonly line: string; readonly package: InstalledPackage }[],
  ): Promise<number[]>;
  /** To be called when the transaction is committed. */
  keep(): void;
}

/** About a kilobyte each. */
const mostKept = 100_000;

export function openSoftwareMemory(): SoftwareMemory {
  // By id an array: ids are given in order, and hundreds are looked up for each host.
  const empty = () => ({ size: 0, byId: new Array<KnownSoftware>(), ids: new Map<string, number>() });
  /** Who reads keeps what was there when it began, so that forgetting takes nothing away from it. */
  let current = empty();
  return {
    read() {
      const { byId, ids } = current;
      const readById = new Map<number, KnownSoftware>();
      /** By product and line. */
      const readIds = new Map<string, number>();
      return {
        async load(trx, wanted) {
          const missing = new Set<number>();
          for (const id of wanted) if (byId[id] === undefined && !readById.has(id)) missing.add(id);
          for (const { ecosystem, release, ...row } of await softwareOf(trx, [...missing])) {
            const one = installedPackage(row);
            const line = packageLine(one);
            readById.set(row.id, { id: row.id, row, package: one, key: packageKey(one), line });
            readIds.set(identityOf({ ecosystem, release }, line), row.id);
          }
        },
        get(id) {
          const known = byId[id] ?? readById.get(id);
          if (known === undefined) throw new Error(`software ${String(id)} is not there, or was not loaded`);
          return known;
        },
        async intern(trx, context, product, packages) {
          const found = packages.map(({ line }) => {
            const identity = identityOf(product, line);
            return ids.get(identity) ?? readIds.get(identity) ?? null;
          });
          const missing = packages.filter((_, i) => found[i] === null);
          if (missing.length > 0) {
            const added = await internSoftware(
              trx,
              context,
              product,
              missing.map((one) => one.package),
            );
            await this.load(trx, added);
            missing.forEach(({ line }, i) => {
              const id = added[i];
              if (id !== undefined) readIds.set(identityOf(product, line), id);
            });
          }
          return packages.map(({ line }, i) => {
            const id = found[i] ?? readIds.get(identityOf(product, line));
            if (id === undefined) throw new Error('software was interned and is not there');
            return id;
          });
        },
        keep() {
          if (current.size + readById.size > mostKept) current = empty();
          for (const [identity, id] of readIds) current.ids.set(identity, id);
          for (const [id, known] of readById) current.byId[id] = known;
          current.size += readById.size;
        },
      };
    },
  };
}

const identityOf = ({ ecosystem, release }: Product, line: string) => `${ecosystem}\t${release}\t${line}`;
