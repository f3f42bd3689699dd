import type { Static } from 'typebox';
import type { AffectedAsset, AffectedQuery } from '@fixpoint/contract/posture.ts';
import { intersection } from '@fixpoint/core/posture/asset-set.ts';
import type { FleetReading } from '@fixpoint/core/posture/reading.ts';
import { assetsInOrder, byRisk } from '@fixpoint/core/posture/select/order.ts';
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
    const page = yield* assetsInOrder(fleet, affected, byRisk, { offset, limit });
    return answer({
      items: page.map((asset) => view(fleet, index, asset)),
      total,
      next: offset + limit < total ? String(offset + limit) : null,
    });
  });
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
