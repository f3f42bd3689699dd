/** For tests: whether a model in memory is what the database says. */
import { expect } from 'vitest';
import { readAll } from '@fixpoint/core/posture/test-fleets.ts';
import { Fleet } from '@fixpoint/core/posture/fleet.ts';
import type { FleetReading } from '@fixpoint/core/posture/reading.ts';
import type { Pool } from 'pg';
import { everyFinding, findingsCalled } from '../finding/derived.ts';
import { inOneState, loadFleet } from './load.ts';

/** Compares everything that can be read of a fleet with one that is loaded anew, and its findings with those that SQL derives. */
export async function expectAgreement(pool: Pool, fleet: FleetReading, now: Date): Promise<void> {
  if (!(fleet instanceof Fleet)) throw new Error('another model');
  const client = await pool.connect();
  try {
    await inOneState(client, async (trx) => {
      const anew = await loadFleet(client, trx, now.getTime());
      expect(readAll(fleet)).toEqual(readAll(anew));
      const live = fleet.assets.live.toArray();
      const derived = await everyFinding(trx, { assetIds: live });
      const bySql = derived.map((one) =>
        [one.asset_id, one.vulnerability, one.package, one.status].join(' '),
      );
      const byModel = live.flatMap((id) =>
        fleet.findingsOf(id).map(({ pair, status }) => {
          const { id: vulnerability } = fleet.vulnerability(pair.vulnerability);
          return [id, vulnerability, pair.package, status].join(' ');
        }),
      );
      // PostgreSQL knows nothing of acceptances, which are queries.
      const plain = (text: string) => text.replace(/ \w+$/, '');
      const accepted = new Set(byModel.filter((text) => text.endsWith(' accepted')).map(plain));
      const open = (list: readonly string[]) => list.filter((text) => !accepted.has(plain(text))).toSorted();
      expect(open(byModel)).toEqual(open(bySql));
      const keys = live.flatMap((asset) =>
        fleet.findingsOf(asset).map(({ pair, firstSeenAt }) => ({
          asset,
          vulnerability: fleet.vulnerability(pair.vulnerability).id,
          package: pair.package,
          firstSeenAt,
        })),
      );
      const seen = (asset: number, vulnerability: string, name: string, at: number) =>
        [asset, vulnerability, name, new Date(at).toISOString()].join(' ');
      const seenBySql = (await findingsCalled(trx, keys)).map((one) =>
        seen(one.asset_id, one.vulnerability, one.package, one.first_seen_at.getTime()),
      );
      expect(keys.map((one) => seen(one.asset, one.vulnerability, one.package, one.firstSeenAt))).toEqual(
        seenBySql,
      );
      expect(byModel.map(plain).toSorted()).toEqual(bySql.map(plain).toSorted());
    });
  } finally {
    client.release();
  }
}
