import { type Undetermined } from '@fixpoint/core/finding/exposure.ts';
import type { VerdictEvidence } from '@fixpoint/core/match/evidence.ts';
import type { Context, Transact } from '../context.ts';
import { softwareOf, type SoftwareRow } from '../software/commands.ts';
import {
  closeByKnowledge,
  countAssets,
  fixableFindings,
  exposedFindings,
  exposureOf,
  findingTotals,
} from './store.ts';

/** A finding of one asset as the deployment judges by it. */
export interface AssetFinding {
  readonly vulnerability: string;
  readonly source: string;
  readonly status: 'open' | 'restart_pending' | 'reboot_pending' | 'undetermined';
  readonly statusReason: string | null;
  readonly fixState: string;
  readonly fixedVersion: string | null;
  readonly installed: readonly SoftwareRow[];
  readonly evidence: VerdictEvidence;
}

/** All findings of these assets that are not fixed, what still runs or lies about included. */
export async function findingsOfAssets(
  trx: Transact,
  assetIds: readonly number[],
  filter: { vulnerabilities?: readonly string[] } = {},
): Promise<Map<number, AssetFinding[]>> {
  const rows = await exposedFindings(trx, { assetIds, ...filter, limit: 1_000_000, offset: 0 });
  const software = await softwareOf(trx, [...new Set(rows.flatMap((row) => row.software))]);
  const byId = new Map(software.map((row) => [row.id, row]));
  const result = new Map<number, AssetFinding[]>(assetIds.map((id) => [id, []]));
  for (const row of rows) {
    if (row.status === 'fixed') continue;
    result.get(row.asset_id)?.push({
      vulnerability: row.vulnerability,
      source: row.package,
      status: row.status,
      statusReason: row.reasons?.join(' ') ?? null,
      fixState: row.fix_state,
      fixedVersion: row.fixed_version,
      installed: row.software.flatMap((id) => byId.get(id) ?? []),
      evidence: row.evidence,
    });
  }
  return result;
}

export async function undeterminedOfAsset(trx: Transact, assetId: number): Promise<readonly Undetermined[]> {
  return (await exposureOf(trx, assetId)).undetermined;
}

/** Writes to history what a change of knowledge takes away from assets; to be called before the verdicts are dropped. */
export async function closedByKnowledge(
  trx: Transact,
  context: Context,
  feed: string,
  gone: readonly { softwareId: number; vulnerability: string }[],
): Promise<number> {
  const evidence = {
    reason: 'no_longer_vulnerable',
    sentence: `The data of ${feed} no longer says that this version is vulnerable.`,
  };
  return closeByKnowledge(trx, gone, evidence, context.clock.now());
}

export interface FindingCounts {
  readonly open: number;
  readonly restart_pending: number;
  readonly undetermined: number;
}

/** Findings of each asset by status. `restart_pending` counts those that wait for a reboot too. */
export async function findingCounts(
  trx: Transact,
  assetIds: readonly number[],
): Promise<Map<number, FindingCounts>> {
  const counts = new Map(assetIds.map((id) => [id, { open: 0, restart_pending: 0, undetermined: 0 }]));
  for (const row of await findingTotals(trx, assetIds)) {
    const entry = counts.get(row.asset_id);
    if (entry === undefined) continue;
    if (row.status === 'open') entry.open += row.findings;
    else if (row.status === 'undetermined') entry.undetermined += row.findings;
    else entry.restart_pending += row.findings;
  }
  for (const [id, entry] of counts) entry.undetermined += (await exposureOf(trx, id)).undetermined.length;
  return counts;
}

/** Number of assets on which a vulnerability is not fixed. */
export async function assetsWith(trx: Transact, vulnerability: string): Promise<number> {
  return countAssets(trx, vulnerability);
}

/** What could be fixed where, one row a finding: for counting what each patch would close. */
export async function fixable(trx: Transact, filter: { assetIds?: readonly number[]; package?: string }) {
  return fixableFindings(trx, filter);
}
