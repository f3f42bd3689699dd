import type { Static } from 'typebox';
import type { AffectedAsset, AffectedQuery } from '@fixpoint/contract/search.ts';
import { intersection, type ReadonlyAssetSet } from '@fixpoint/core/posture/asset-set.ts';
import type { FleetReading } from '@fixpoint/core/posture/reading.ts';
import type { Sliced } from '@fixpoint/core/posture/select/selection.ts';
import type { ServerContext } from '../app.ts';
import { readOffset } from '../cursor.ts';
import { answer, refuse, type Answer } from '../refusal.ts';
import { assetsOfScope, readScope, unknownTag } from './dashboard.ts';

/** The blast radius of a vulnerability: the assets that have it, those at the greatest risk first. */
export async function affectedAssets(
  { posture, clock }: Pick<ServerContext, 'posture' | 'clock'>,
  id: string,
  request: Static<typeof AffectedQuery>,
): Promise<Answer<{ items: AffectedAsset[]; total: number; next: string | null }>> {
  const cursor = readOffset(request.after);
  if (!cursor.ok) return cursor;
  const scope = readScope(request);
  if (!scope.ok) return scope;
  const { offset } = cursor;
  const limit = request.limit ?? 100;
  const now = clock.now().getTime();
  return await posture.run(function* (fleet): Sliced<
    Answer<{ items: AffectedAsset[]; total: number; next: string | null }>
  > {
    const index = fleet.vulnerabilityCalled(id);
    if (index === null) {
      return refuse(
        404,
        'vulnerability_not_found',
        `no software of an asset was ever vulnerable to ${id}`,
        'check the spelling (CVE-2024-6387); what feeds say of it: GET /api/v1/vulnerabilities/…',
      );
    }
    const within = yield* assetsOfScope(fleet, scope.value, now);
    if (within === null) return unknownTag(scope.value.tag ?? '');
    const all = fleet.affectedBy(index);
    const affected = within === fleet.assets.live ? all : intersection(all, within);
    const total = affected.size;
    const page = (yield* byRisk(fleet, affected, offset + limit)).slice(offset);
    return answer({
      items: page.map((asset) => view(fleet, index, asset)),
      total,
      next: offset + limit < total ? String(offset + limit) : null,
    });
  });
}

const assetsInSlice = 20_000;

/** The first `most` by risk, the greatest first; of equals the lower id. */
export function* byRisk(fleet: FleetReading, assets: ReadonlyAssetSet, most: number): Sliced<number[]> {
  const ids = assets.toUint32Array();
  const risks = new Float64Array(ids.length);
  for (let at = 0; at < ids.length; at++) {
    risks[at] = fleet.risk(ids[at] ?? 0);
    if (at % assetsInSlice === assetsInSlice - 1) yield;
  }
  // The least of the first `most` is found in a heap, so that not everything has to be put in order.
  const heap: number[] = [];
  const isLess = (a: number, b: number): boolean => {
    const [left, right] = [risks[a] ?? 0, risks[b] ?? 0];
    return left < right || (left === right && a > b);
  };
  for (let at = 0; at < ids.length; at++) {
    if (heap.length < most) {
      heap.push(at);
      for (let child = heap.length - 1; child > 0;) {
        const parent = (child - 1) >> 1;
        if (!isLess(heap[child] ?? 0, heap[parent] ?? 0)) break;
        swap(heap, child, parent);
        child = parent;
      }
    } else if (isLess(heap[0] ?? 0, at)) {
      heap[0] = at;
      for (let parent = 0; ;) {
        let least = parent;
        for (const child of [2 * parent + 1, 2 * parent + 2])
          if (child < heap.length && isLess(heap[child] ?? 0, heap[least] ?? 0)) least = child;
        if (least === parent) break;
        swap(heap, parent, least);
        parent = least;
      }
    }
    if (at % assetsInSlice === assetsInSlice - 1) yield;
  }
  return heap.sort((a, b) => (isLess(b, a) ? -1 : 1)).map((at) => ids[at] ?? 0);
}

function swap(heap: number[], a: number, b: number): void {
  const held = heap[a] ?? 0;
  heap[a] = heap[b] ?? 0;
  heap[b] = held;
}

function view(fleet: FleetReading, vulnerability: number, asset: number): AffectedAsset {
  const findings = fleet.findingsOf(asset).filter(({ pair }) => pair.vulnerability === vulnerability);
  return {
    id: fleet.assets.uid(asset),
    hostname: fleet.assets.hostname(asset),
    os: fleet.assets.os(asset),
    os_release: fleet.assets.osRelease(asset),
    risk: fleet.risk(asset),
    criticality: fleet.criticality(asset).level,
    findings: findings.map(({ pair, status, firstSeenAt }) => ({
      package: pair.package,
      status,
      first_seen_at: new Date(firstSeenAt).toISOString(),
    })),
  };
}
