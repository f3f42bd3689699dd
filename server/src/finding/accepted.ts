import type { Finding } from '@fixpoint/contract/finding.ts';
import { acceptedBy, isAnythingAccepted } from '../acceptance/commands.ts';
import type { ServerContext } from '../app.ts';

/**
 * The same findings with the status `accepted`, and who accepted them until when and why, where an acceptance covers them.
 * Which does is known by the read model.
 */
export async function withAcceptances(
  context: Pick<ServerContext, 'db' | 'clock' | 'posture'>,
  findings: readonly Finding[],
): Promise<Finding[]> {
  if (findings.length === 0 || !(await isAnythingAccepted(context))) return [...findings];
  const fleet = await context.posture.fresh();
  const ofAsset = new Map<string, Map<string, string>>();
  for (const uid of new Set(findings.map((each) => each.asset_id))) {
    const id = fleet.assets.idOf(uid);
    const accepted = new Map<string, string>();
    for (const { pair, acceptance } of id === null ? [] : fleet.findingsOf(id)) {
      if (acceptance !== null)
        accepted.set(`${fleet.vulnerability(pair.vulnerability).id}\t${pair.package}`, acceptance);
    }
    ofAsset.set(uid, accepted);
  }
  const acceptanceOf = (one: Finding): string | null =>
    one.status === 'fixed'
      ? null
      : (ofAsset.get(one.asset_id)?.get(`${one.vulnerability}\t${one.package}`) ?? null);
  const ids = new Set(findings.map(acceptanceOf).filter((id) => id !== null));
  const known = await acceptedBy(context, [...ids]);
  return findings.map((one) => {
    const by = known.get(acceptanceOf(one) ?? '');
    return by === undefined ? one : { ...one, status: 'accepted', status_reason: by.sentence };
  });
}
