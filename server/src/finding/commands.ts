import { type Undetermined } from '@fixpoint/core/finding/exposure.ts';
import type { VerdictEvidence } from '@fixpoint/core/match/evidence.ts';
import type { Context, Transact } from '../context.ts';
import { isProductKnown, productOf } from '../knowledge/commands.ts';
import { softwareOf, type SoftwareRow } from '../software/commands.ts';
import { everyFinding, findingTotals, judgedByProduct, unspokenSoftware } from './derived.ts';
import { closeByKnowledge, forgetFirstSeen } from './store.ts';

/** A finding of one asset as the deployment judges by it. */
export interface AssetFinding {
  readonly vulnerability: string;
  readonly source: string;
  readonly status: 'open' | 'mitigated' | 'restart_pending' | 'reboot_pending' | 'undetermined';
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
  const rows = await everyFinding(trx, { assetIds, ...filter });
  const software = await softwareOf(trx, [...new Set(rows.flatMap((row) => row.software))]);
  const byId = new Map(software.map((row) => [row.id, row]));
  const result = new Map<number, AssetFinding[]>(assetIds.map((id) => [id, []]));
  for (const row of rows) {
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

/** What of each asset could not be judged: of itself, or because nothing is known of its system (any more, or yet). */
async function undeterminedOf(
  trx: Transact,
  assetIds: readonly number[],
): Promise<Map<number, Undetermined[]>> {
  const known = new Map<string, boolean>();
  const result = new Map<number, Undetermined[]>();
  for (const row of await judgedByProduct(trx, assetIds)) {
    const list = [...row.undetermined];
    const system = `${row.os} ${row.os_release}`.trim();
    const product = productOf(row.os, row.os_release);
    let isKnown = known.get(system);
    if (isKnown === undefined) known.set(system, (isKnown = await isProductKnown(trx, product)));
    if (!row.has_inventory) {
      list.push({
        subject: 'inventory',
        reason: 'The asset has sent no inventory yet, so nothing of it could be judged.',
        what_to_do: 'See whether its agent runs and what it says: systemctl status, journalctl -u.',
      });
    } else if (!isKnown) {
      list.push({
        subject: system,
        reason: `No vulnerability data is loaded for this system, so none of its ${row.packages} packages could be judged.`,
        what_to_do:
          'Import a feed that covers this release; until then do not read the absence of findings as safety.',
      });
    }
    result.set(row.asset_id, list);
  }
  for (const row of await unspokenSoftware(trx, assetIds)) result.get(row.asset_id)?.push(unspoken(row));
  return result;
}

function unspoken(row: Awaited<ReturnType<typeof unspokenSoftware>>[number]): Undetermined {
  const { names, origin } = row;
  const what = names.length === 1 ? (names[0] ?? '') : `${names.length} packages`;
  const which = `${names.slice(0, 8).join(', ')}${names.length > 8 ? ', …' : ''}`;
  if (origin === 'no_data') {
    return {
      subject: what,
      reason: `Microsoft’s data at hand does not name ${which}, so nothing of it could be judged.`,
      what_to_do: 'Synchronise the feed microsoft-cvrf; products past their support have no data at all.',
    };
  }
  const vendor = row.vendor === '' ? 'somebody else' : row.vendor;
  return origin === 'third_party'
    ? {
        subject: `${what} of ${vendor}`,
        reason: `The distribution did not build ${which}, so its data says nothing about that, and no feed of ${vendor} is loaded.`,
        what_to_do: `Follow the advisories of ${vendor}.`,
      }
    : {
        subject: what,
        reason: `Nobody can say who built ${which}: no repository of the host has it.`,
        what_to_do: 'Install it from a repository, or remove it.',
      };
}

export async function undeterminedOfAsset(trx: Transact, assetId: number): Promise<readonly Undetermined[]> {
  return (await undeterminedOf(trx, [assetId])).get(assetId) ?? [];
}

/** Writes to history what a change of knowledge takes away from assets; to be called before the verdicts are dropped. */
export async function closedByKnowledge(
  trx: Transact,
  context: Context,
  feed: string,
  gone: readonly { softwareId: number; vulnerability: string }[],
  /** Vulnerabilities that the feed now calls withdrawn, with the time that it names. */
  withdrawn: ReadonlyMap<string, string>,
): Promise<number> {
  const at = context.clock.now();
  let closed = 0;
  for (const [vulnerability, list] of Map.groupBy(gone, (one) =>
    withdrawn.has(one.vulnerability) ? one.vulnerability : null,
  )) {
    const evidence =
      vulnerability === null
        ? {
            reason: 'no_longer_vulnerable',
            sentence: `The data of ${feed} no longer says that this version is vulnerable.`,
          }
        : {
            reason: 'withdrawn',
            sentence: `${vulnerability} was withdrawn on ${withdrawn.get(vulnerability)?.slice(0, 10) ?? 'an unknown day'}, says ${feed}: there is nothing to fix.`,
          };
    closed += await closeByKnowledge(trx, list, evidence, at);
  }
  await forgetFirstSeen(trx, gone);
  return closed;
}

export interface FindingCounts {
  readonly open: number;
  /** Kept from being used by a mitigation; the software is not fixed. */
  readonly mitigated: number;
  readonly restart_pending: number;
  readonly undetermined: number;
}

/** Findings of each asset by status. `restart_pending` counts those that wait for a reboot too. */
export async function findingCounts(
  trx: Transact,
  assetIds: readonly number[],
): Promise<Map<number, FindingCounts>> {
  const counts = new Map(
    assetIds.map((id) => [id, { open: 0, mitigated: 0, restart_pending: 0, undetermined: 0 }]),
  );
  for (const row of await findingTotals(trx, assetIds)) {
    const entry = counts.get(row.asset_id);
    if (entry === undefined) continue;
    if (row.status === 'open') entry.open += row.findings;
    else if (row.status === 'mitigated') entry.mitigated += row.findings;
    else if (row.status === 'undetermined') entry.undetermined += row.findings;
    else entry.restart_pending += row.findings;
  }
  for (const [id, list] of await undeterminedOf(trx, assetIds)) {
    const entry = counts.get(id);
    if (entry !== undefined) entry.undetermined += list.length;
  }
  return counts;
}
