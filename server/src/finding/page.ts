import { assetSet, intersection, type ReadonlyAssetSet } from '@fixpoint/core/posture/asset-set.ts';
import type { FleetReading } from '@fixpoint/core/posture/reading.ts';
import { byRisk, findingsInOrder } from '@fixpoint/core/posture/select/order.ts';
import { selectFindings } from '@fixpoint/core/posture/select/select.ts';
import type { FindingSelection, Sliced } from '@fixpoint/core/posture/select/selection.ts';
import { printOperand } from '@fixpoint/core/query/print.ts';
import type { Node, Query } from '@fixpoint/core/query/query.ts';
import type { ServerContext } from '../app.ts';
import { assetsByReference } from '../asset/commands.ts';
import { vulnerabilitiesCalled } from '../knowledge/commands.ts';
import { answer, type Answer } from '../refusal.ts';
import { assetsOfScope, unknownTag } from '../search/dashboard.ts';
import { readQuery } from '../search/query.ts';
import type { FindingKey } from './derived.ts';

/** Which findings a list is of, in which order: from the read model. */

export interface FindingFilters {
  readonly asset?: string | undefined;
  readonly vulnerability?: string | undefined;
  readonly package?: string | undefined;
  readonly tag?: string | undefined;
  readonly query?: string | undefined;
}

export interface FindingKeys {
  readonly keys: readonly FindingKey[];
  readonly total: number;
  /** The same filters for what the read model does not hold: findings that are fixed. */
  readonly scope: {
    readonly assetIds?: readonly number[];
    readonly vulnerabilities?: readonly string[];
    readonly package?: string;
  };
}

export async function pageOfFindings(
  { db, clock, posture }: Pick<ServerContext, 'db' | 'clock' | 'posture'>,
  filters: FindingFilters,
  page: { readonly statuses: readonly string[]; readonly offset: number; readonly limit: number },
): Promise<Answer<FindingKeys>> {
  const read = readQuery(filters.query ?? '', 'finding');
  if (!read.ok) return read;
  const assets = filters.asset === undefined ? null : await assetsByReference(db, [filters.asset]);
  if (assets !== null && !assets.ok) return assets;
  const asset = assets === null ? null : (assets.value[0]?.id ?? null);
  const ids =
    filters.vulnerability === undefined
      ? null
      : [
          filters.vulnerability,
          ...(await db
            .transaction()
            .execute((trx) => vulnerabilitiesCalled(trx, filters.vulnerability ?? ''))),
        ];
  const query = narrowed(read.value.query, page.statuses, ids);
  const now = clock.now().getTime();
  return await posture.run(function* (fleet): Sliced<Answer<FindingKeys>> {
    const tagged = yield* assetsOfScope(fleet, { tag: filters.tag ?? null, query: null }, now);
    if (tagged === null) return unknownTag(filters.tag ?? '');
    const within = asset === null ? tagged : intersection(tagged, assetSet([asset]));
    let selection = yield* selectFindings(fleet, query, now, within);
    if (filters.package !== undefined) selection = yield* inPackage(fleet, selection, filters.package);
    // By the score of the vulnerability on that system, then by the risk of the asset.
    const found = yield* findingsInOrder(fleet, selection, byRisk, page, now);
    const keys = found.map(({ asset: on, pair }) => ({
      asset: on,
      vulnerability: fleet.vulnerability(pair.vulnerability).id,
      package: pair.package,
    }));
    const limited = asset !== null || filters.tag !== undefined;
    return answer({
      keys,
      total: selection.total,
      scope: {
        ...(limited ? { assetIds: within.toArray() } : {}),
        ...(ids === null ? {} : { vulnerabilities: ids }),
        ...(filters.package === undefined ? {} : { package: filters.package }),
      },
    });
  });
}

/** The query with the statuses and vulnerabilities that are asked for besides. */
function narrowed(
  query: Query,
  statuses: readonly string[],
  vulnerabilities: readonly string[] | null,
): Query {
  const parts: Node[] = query.root === null ? [] : [query.root];
  const add = (text: string): void => {
    const read = readQuery(text, 'finding');
    if (!read.ok) throw new Error(`${text}: ${read.message}`);
    if (read.value.query.root !== null) parts.push(read.value.query.root);
  };
  // What is fixed is not in the read model; asked for alone, nothing of this is meant.
  add(`status in (${statuses.join(', ')})`);
  if (vulnerabilities !== null) {
    const values = [...new Set(vulnerabilities)].map((value) => printOperand({ kind: 'text', value }));
    add(`vulnerability.id in (${values.join(', ')})`);
  }
  const [only] = parts;
  if (only !== undefined && parts.length === 1) return { subject: 'finding', root: only };
  return { subject: 'finding', root: { kind: 'and', parts, at: 0, length: 0 } };
}

/** Of these findings those whose software on the asset has that name: of the package, its source, or what patches call it. */
function* inPackage(fleet: FleetReading, all: FindingSelection, name: string): Sliced<FindingSelection> {
  const byPair = new Map<number, ReadonlyAssetSet>();
  let total = 0;
  let looked = 0;
  for (const [index, assets] of all.byPair) {
    const { carriers } = fleet.pair(index);
    const named = carriers.filter(
      ({ software }) => software.package === name || software.source === name || software.name === name,
    );
    if (named.length === 0) continue;
    let kept = assets;
    if (named.length < carriers.length) {
      // Only some of the software that can carry it is called that: each asset tells which it has.
      const ids = new Set(named.map(({ software }) => software.id));
      const found: number[] = [];
      for (const asset of assets) {
        const finding = fleet.findingsOf(asset).find(({ pair }) => pair.index === index);
        if (finding?.software.some((id) => ids.has(id)) === true) found.push(asset);
        if (++looked % 50 === 0) yield;
      }
      kept = assetSet(found);
    }
    if (kept.isEmpty) continue;
    byPair.set(index, kept);
    total += kept.size;
  }
  return { byPair, total };
}
