import type { Static } from 'typebox';
import type { Patch, PatchQuery } from '@fixpoint/contract/finding.ts';
import { productOf } from '@fixpoint/core/knowledge/ecosystem.ts';
import { parsePatchId } from '@fixpoint/core/knowledge/patch.ts';
import { offeredVersions } from '@fixpoint/core/match/offered.ts';
import { assetSet } from '@fixpoint/core/posture/asset-set.ts';
import { fleetPatches } from '@fixpoint/core/posture/patches.ts';
import { selectPatches } from '@fixpoint/core/posture/select/select.ts';
import type { ServerContext } from '../app.ts';
import { assetRows, assetsByReference } from '../asset/commands.ts';
import { readOffset } from '../cursor.ts';
import { answer, refuse, type Answer } from '../refusal.ts';
import { readQuery } from '../search/query.ts';
import { patchWorth } from '../search/summary.ts';
import { closedAnywhere, closedOnAsset, KnownPatches, packagesToPatch, type Closed } from './closing.ts';
import { patchFacts, patchOrders, type PatchFacts, type PatchOrder } from './commands.ts';

export interface PatchPage {
  readonly items: Patch[];
  readonly total: number;
  readonly next: string | null;
}

type Rooms = Pick<ServerContext, 'db' | 'clock' | 'posture'>;
type Worth = Closed & { readonly risk_removed: number };

function view(facts: PatchFacts, worth: Worth): Patch {
  return {
    id: facts.id,
    ecosystem: facts.ecosystem,
    release: facts.release,
    package: facts.package,
    version: facts.version,
    known_since: facts.known_since.toISOString(),
    offered_since: facts.offered_since?.toISOString() ?? null,
    fixes: [...facts.fixes],
    supersedes: [...facts.supersedes],
    superseded_by: facts.supersededBy,
    ...worth,
  };
}

/**
 * Patches, those that close most findings first. Without a filter only patches that close something now are listed and
 * that nothing supersedes; with `package` all of that package, with a query all that it finds.
 */
export async function listPatches(
  context: Rooms,
  request: Static<typeof PatchQuery>,
): Promise<Answer<PatchPage>> {
  const cursor = readOffset(request.after);
  if (!cursor.ok) return cursor;
  const { offset } = cursor;
  const limit = request.limit ?? 100;
  const read = request.query === undefined ? null : readQuery(request.query, 'patch');
  if (read !== null && !read.ok) return read;
  const found = request.asset === undefined ? null : await assetsByReference(context.db, [request.asset]);
  if (found !== null && !found.ok) return found;
  const asset = found === null ? null : (found.value[0]?.id ?? null);
  const now = context.clock.now().getTime();
  const asked = await context.posture.run(function* (fleet) {
    const selected = read === null ? null : yield* selectPatches(fleet, read.value.query, now);
    const all = yield* fleetPatches(fleet);
    const packages =
      request.package !== undefined
        ? [request.package]
        : selected === null
          ? packagesToPatch(all, fleet, asset)
          : [...new Set(selected.map((patch) => patch.package))];
    return { packages, ids: selected === null ? null : new Set(selected.map(({ id }) => id)) };
  });
  const { orders, offeredHere } = await context.db.transaction().execute(async (trx) => ({
    orders: await patchOrders(trx, asked.packages),
    offeredHere:
      asset === null
        ? null
        : (await assetRows(trx, [asset])).flatMap((row) =>
            offeredVersions(productOf(row.os, row.os_release).ecosystem, row.candidates),
          ),
  }));
  const wanted = orders.filter((patch) => {
    if (asked.ids !== null && !asked.ids.has(patch.id)) return false;
    if (patch.supersededBy === null) return true;
    if (offeredHere !== null)
      return offeredHere.some((o) => o.package === patch.package && o.version === patch.version);
    return request.package !== undefined || asked.ids !== null;
  });
  const showsAll = request.package !== undefined || asked.ids !== null;
  const { page, total } = await pageByWorth(context, wanted, { asset, showsAll, offset, limit });
  const facts = new Map(
    (
      await context.db
        .transaction()
        .execute((trx) => patchFacts(trx, { ids: page.map(({ patch }) => patch.id) }))
    ).map((one) => [one.id, one]),
  );
  const items = page.flatMap(({ patch, worth }) => {
    const known = facts.get(patch.id);
    return known === undefined ? [] : [view(known, worth)];
  });
  const end = offset + page.length;
  return answer({ items, total, next: page.length > 0 && end < total ? String(end) : null });
}

interface Weighed {
  readonly patch: PatchOrder;
  readonly worth: Worth;
}

async function pageByWorth(
  { posture }: Rooms,
  wanted: readonly PatchOrder[],
  asked: {
    readonly asset: number | null;
    readonly showsAll: boolean;
    readonly offset: number;
    readonly limit: number;
  },
): Promise<{ page: Weighed[]; total: number }> {
  const { asset, offset, limit } = asked;
  return await posture.run(function* (fleet) {
    const known = new KnownPatches(yield* fleetPatches(fleet));
    const pairs = asset === null ? null : new Set(fleet.findingsOf(asset).map(({ pair }) => pair.index));
    const closing: { readonly patch: PatchOrder; readonly closed: Closed }[] = [];
    for (const patch of wanted) {
      const one = known.standingFor(patch);
      let closed: Closed = { assets: 0, findings: 0 };
      if (one !== null && asset !== null && pairs !== null) closed = closedOnAsset(one, asset, pairs);
      else if (one !== null) closed = yield* closedAnywhere(one);
      if (asked.showsAll || closed.findings > 0) closing.push({ patch, closed });
      yield;
    }
    closing.sort((a, b) => b.closed.findings - a.closed.findings || (a.patch.id < b.patch.id ? -1 : 1));
    const within = asset === null ? fleet.assets.live : assetSet([asset]);
    const weights = new Float64Array(fleet.assets.greatestId + 1);
    const page: Weighed[] = [];
    for (const { patch, closed } of closing.slice(offset, offset + limit)) {
      const one = closed.findings === 0 ? null : known.standingFor(patch);
      const removed = one === null ? 0 : (yield* patchWorth(fleet, one, within, weights)).risk_removed;
      page.push({ patch, worth: { ...closed, risk_removed: removed } });
    }
    return { page, total: closing.length };
  });
}

export async function patchDetail(context: Rooms, id: string): Promise<Answer<Patch>> {
  const parsed = parsePatchId(id);
  if (parsed === null) {
    return refuse(
      400,
      'bad_patch_id',
      `“${id}” is not the id of a patch`,
      'an id looks like debian:12/openssl@3.0.22-1~deb12u2',
    );
  }
  const [facts] = await context.db.transaction().execute((trx) => patchFacts(trx, { ids: [id] }));
  if (facts === undefined) {
    return refuse(
      404,
      'patch_not_found',
      `no patch ${id} is known`,
      `see \`fixpoint patch list --package ${parsed.package}\``,
    );
  }
  const { page } = await pageByWorth(context, [facts], { asset: null, showsAll: true, offset: 0, limit: 1 });
  const [weighed] = page;
  if (weighed === undefined) throw new Error('a patch that was weighed is not there');
  return answer(view(facts, weighed.worth));
}
