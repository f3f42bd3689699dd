import { isAnythingAccepted } from '../acceptance/commands.ts';
import type { FleetFinding, FleetReading } from '@fixpoint/core/posture/reading.ts';
import type { Sliced } from '@fixpoint/core/posture/select/selection.ts';
import { compareText } from '@fixpoint/core/knowledge/compare-text.ts';
import type { Static } from 'typebox';
import type { Asset, AssetDetail, AssetQuery } from '@fixpoint/contract/asset.ts';
import type { Actor } from '@fixpoint/core/audit/events.ts';
import type { Context, Transact } from '../context.ts';
import { appendAudit } from '../audit/commands.ts';
import { isWorkUnderWay } from '../deployment/commands.ts';
import { findingCounts, undeterminedOfAsset } from '../finding/commands.ts';
import { answer, refuse, type Answer } from '../refusal.ts';
import { criticalityWords } from '../search/asset-risk.ts';
import { assetsOfTags } from '../tag/members.ts';
import type { ServerContext } from '../app.ts';
import { transact } from '../transact.ts';
import { assetsByReference } from './commands.ts';
import { contactOf } from './contact.ts';
import { packagesOf } from './inventory.ts';
import { selectedAssets } from './selected.ts';
import { assetsByIds, countAssets, listAssets, lockAsset, updateAsset, type ListedAsset } from './store.ts';

/** A page of assets, by host name or risk. */
export async function assetPage(
  context: Pick<ServerContext, 'db' | 'clock' | 'posture'>,
  query: Static<typeof AssetQuery>,
): Promise<Answer<{ items: Asset[]; total: number; next: string | null }>> {
  if (query.query !== undefined || query.sort !== undefined) return await selectedPage(context, query);
  const after = query.after === undefined ? null : readCursor(query.after);
  if (query.after !== undefined && after === null) {
    return refuse(
      400,
      'cursor_invalid',
      'after is not what an earlier page said',
      'pass next of the page before, or nothing',
    );
  }
  const tagged = query.tag === undefined ? null : await assetsOfTags(context, [query.tag]);
  if (tagged !== null && !tagged.ok) return tagged;
  const { last, ...page } = await transact(context.db, async (trx) => {
    const filter = { assetIds: tagged?.value ?? null, hostname: query.hostname ?? null };
    const limit = query.limit ?? 100;
    const rows = await listAssets(trx, filter, after, limit + 1);
    const shown = rows.slice(0, limit);
    return {
      rows: shown,
      items: await views(trx, context, shown),
      total: await countAssets(trx, filter),
      last: rows.length > limit ? shown.at(-1) : undefined,
    };
  });
  return answer({
    items: await judged(context, page.rows, page.items),
    total: page.total,
    next: last === undefined ? null : writeCursor(last),
  });
}

async function selectedPage(
  context: Pick<ServerContext, 'db' | 'clock' | 'posture'>,
  query: Static<typeof AssetQuery>,
): Promise<Answer<{ items: Asset[]; total: number; next: string | null }>> {
  const selected = await selectedAssets(context, query);
  if (!selected.ok) return selected;
  const { ids, total, next } = selected.value;
  const place = new Map(ids.map((id, at) => [id, at]));
  const page = await transact(context.db, async (trx) => {
    const found = await listAssets(trx, { assetIds: ids, hostname: null }, null, ids.length);
    const rows = found.toSorted((a, b) => (place.get(a.id) ?? 0) - (place.get(b.id) ?? 0));
    return { rows, items: await views(trx, context, rows) };
  });
  return answer({ items: await judged(context, page.rows, page.items), total, next });
}

type StoredAsset = Omit<Asset, 'tags' | 'criticality' | 'criticality_why' | 'risk'>;

/** With what the read model knows of them. It is asked outside of transactions, as it needs a connection of its own. */
async function judged(
  context: Pick<ServerContext, 'db' | 'clock' | 'posture'>,
  rows: readonly { readonly id: number; readonly uid: string }[],
  stored: readonly StoredAsset[],
): Promise<Asset[]> {
  const idOf = new Map(rows.map((row) => [row.uid, row.id]));
  const counted = (await isAnythingAccepted(context))
    ? await context.posture.run((fleet) => withoutAccepted(fleet, idOf, stored))
    : stored;
  const fleet = await context.posture.fresh();
  return counted.map((view) => {
    const id = idOf.get(view.id) ?? 0;
    return {
      ...view,
      tags: fleet.tagsOf(id),
      criticality: fleet.criticality(id).level,
      criticality_why: criticalityWords(fleet, id),
      risk: fleet.risk(id),
    };
  });
}

/** The database counts what is accepted as what it would be otherwise; which findings are is of the read model. */
function* withoutAccepted(
  fleet: FleetReading,
  idOf: ReadonlyMap<string, number>,
  stored: readonly StoredAsset[],
): Sliced<StoredAsset[]> {
  const counted: StoredAsset[] = [];
  for (const view of stored) {
    yield;
    const findings = fleet.findingsOf(idOf.get(view.id) ?? 0);
    const accepted = findings.filter(({ acceptance }) => acceptance !== null).length;
    if (accepted === 0) {
      counted.push(view);
      continue;
    }
    const many = (...of: FleetFinding['status'][]): number =>
      findings.filter(({ status }) => of.includes(status)).length;
    const open = many('open');
    const mitigated = many('mitigated');
    const restarting = many('restart_pending', 'reboot_pending');
    const known = view.open_findings + view.mitigated_findings + view.restart_pending_findings;
    const elsewhere = known - open - mitigated - restarting;
    counted.push({
      ...view,
      open_findings: open,
      mitigated_findings: mitigated,
      restart_pending_findings: restarting,
      // Of the asset itself something can be undetermined as well, which nobody accepts.
      undetermined: Math.max(0, view.undetermined - Math.max(0, accepted - elsewhere)),
    });
  }
  return counted;
}

async function views(
  trx: Transact,
  context: Pick<Context, 'clock'>,
  rows: readonly ListedAsset[],
): Promise<StoredAsset[]> {
  const ids = rows.map((row) => row.id);
  const counts = await findingCounts(trx, ids);
  const now = context.clock.now();
  return rows.map((row) => {
    const count = counts.get(row.id) ?? { open: 0, mitigated: 0, restart_pending: 0, undetermined: 0 };
    return {
      id: row.uid,
      hostname: row.hostname,
      mode: row.mode === 'manage' ? 'manage' : 'assess',
      os: row.os,
      os_release: row.os_release,
      arch: row.arch,
      agent_version: row.agent_version,
      enrolled_at: row.enrolled_at.toISOString(),
      last_seen_at: row.last_seen_at?.toISOString() ?? null,
      contact: contactOf(row, now),
      inventory_at: row.inventory_at?.toISOString() ?? null,
      packages: row.packages,
      open_findings: count.open,
      mitigated_findings: count.mitigated,
      restart_pending_findings: count.restart_pending,
      undetermined: count.undetermined + row.problem_count,
    };
  });
}

const writeCursor = (row: { hostname: string; id: number }) =>
  Buffer.from(`${row.id}\t${row.hostname}`, 'utf8').toString('base64url');

function readCursor(text: string): { hostname: string; id: number } | null {
  const parts = /^(\d{1,10})\t(.*)$/s.exec(Buffer.from(text, 'base64url').toString('utf8'));
  return parts === null || Number(parts[1]) > 2_147_483_647
    ? null
    : { id: Number(parts[1]), hostname: parts[2] ?? '' };
}

/** Problems of an agent that do not make what it reports old: it can read the host, and something else is amiss. */
const notAboutReading: ReadonlySet<string> = new Set([
  'orders_not_supported',
  'orders_held_to_recordings',
  'repositories_unreachable',
]);

/** One asset, by id or host name, with all that it reported. */
export async function assetDetail(
  context: Pick<ServerContext, 'db' | 'clock' | 'posture'>,
  reference: string,
): Promise<Answer<AssetDetail>> {
  const found = await storedDetail(context, reference);
  if (!found.ok) return found;
  const { row, asset, ...rest } = found.value;
  const [view] = await judged(context, [row], [asset]);
  if (view === undefined) throw new Error('an asset has no view');
  return answer({ asset: view, ...rest });
}

type StoredDetail = Omit<AssetDetail, 'asset'> & {
  readonly row: ListedAsset;
  readonly asset: StoredAsset;
};

async function storedDetail(
  context: Pick<Context, 'db' | 'clock'>,
  reference: string,
): Promise<Answer<StoredDetail>> {
  return await transact(context.db, async (trx): Promise<Answer<StoredDetail>> => {
    const found = await assetsByReference(trx, [reference]);
    if (!found.ok) return found;
    const ids = found.value.map((asset) => asset.id);
    const [row] = await listAssets(trx, { assetIds: ids, hostname: null }, null, 1);
    if (row === undefined) throw new Error('an asset that was found is gone');
    const [view] = await views(trx, context, [row]);
    if (view === undefined) throw new Error('an asset has no view');
    const [whole] = await assetsByIds(trx, ids);
    if (whole === undefined) throw new Error('an asset that was found is gone');
    const packages = await packagesOf(trx, whole.software);
    return answer({
      row,
      asset: view,
      host: whole.host,
      executor: executorOf(whole.host),
      packages: packages.toSorted((a, b) => compareText(a.name, b.name) || compareText(a.arch, b.arch)),
      candidates: whole.candidates,
      residue: whole.residue,
      undetermined: [
        ...whole.problems.map((problem) => ({
          subject: notAboutReading.has(problem.code) ? 'agent' : 'inventory',
          reason: notAboutReading.has(problem.code)
            ? problem.message
            : `The agent cannot read the host as a whole just now (${problem.code}): ${problem.message}`,
          what_to_do: notAboutReading.has(problem.code)
            ? 'Mend what it names on the host; what is shown is current all the same.'
            : 'Mend what it names on the host; until then what is shown is the last inventory that could be read.',
        })),
        ...(await undeterminedOfAsset(trx, row.id)),
      ],
    });
  });
}

function executorOf(host: AssetDetail['host']): AssetDetail['executor'] {
  if (host?.package_manager === undefined) return null;
  const { name: manager, held } = host.package_manager;
  return { manager, held };
}

/** Takes an asset out of management. Its agent is refused from now on; its history stays. Retiring it again changes nothing. */
export async function retireAsset(
  context: Pick<Context, 'db' | 'clock'>,
  actor: Actor,
  reference: string,
  reason: string,
): Promise<Answer<{ id: string; retired_at: string }>> {
  return await transact(context.db, async (trx) => {
    const found = await assetsByReference(trx, [reference]);
    if (!found.ok) return found;
    const [asset] = found.value;
    if (asset === undefined) throw new Error('one reference found no asset and no refusal');
    const row = await lockAsset(trx, asset.id);
    if (row.retired_at !== null) return answer({ id: row.uid, retired_at: row.retired_at.toISOString() });
    if (await isWorkUnderWay(trx, asset.id)) {
      return refuse(
        409,
        'task_under_way',
        `a deployment is at work on ${row.hostname}`,
        'wait until its task has ended, or cancel the deployment: fixpoint deployment list',
      );
    }
    const retiredAt = context.clock.now();
    await updateAsset(trx, asset.id, { retired_at: retiredAt });
    await appendAudit(trx, context, {
      actor,
      event: 'asset.retired',
      subjectKind: 'asset',
      subject: row.uid,
      reason,
      before: { hostname: row.hostname, mode: row.mode },
    });
    return answer({ id: row.uid, retired_at: retiredAt.toISOString() });
  });
}
