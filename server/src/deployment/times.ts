import type { PatchJobDefinition } from '@fixpoint/contract/patch-job.ts';
import {
  missedUse,
  offerHorizonMilliseconds,
  offerStanding,
  type OfferStanding,
  type OfferTimes,
} from '@fixpoint/core/deployment/offer-time.ts';
import { minimumRemainingSeconds } from '@fixpoint/core/window/intervals.ts';
import type { Kysely } from 'kysely';
import { blackoutsFor } from '../calendar/commands.ts';
import type { Database } from '../database/tables.ts';
import { lookBackMilliseconds } from './order-texts.ts';

/** When the tasks of one job may be offered, as far as its windows and the calendars decide it. */
export interface JobTimes {
  /** Of an asset in this zone. `missed`: it need not wait for a window any more. */
  of(zone: string, missed: boolean): OfferTimes;
  /** The same, decided for now; decided once for each zone and second. */
  standing(zone: string, missed: boolean): OfferStanding;
  /** Without a wish for time left and without downloads ahead: what a reboot goes by. */
  rebootStanding(zone: string, missed: boolean): OfferStanding;
  /** Whether a calendar says that nothing is to be changed now. */
  readonly isFrozen: boolean;
}

/**
 * What was decided in the present second, for all who ask in it: windows and blackouts begin and end on whole seconds, and to look
 * for the next one takes milliseconds, which thousands of waiting assets would each cost at every check-in.
 */
const decidedNow = { second: 0, standings: new Map<string, OfferStanding>() };
const standingsMaximum = 10_000;

function remembered(now: number, key: string, decide: () => OfferStanding): OfferStanding {
  const second = Math.floor(now / 1000);
  if (decidedNow.second !== second || decidedNow.standings.size >= standingsMaximum) {
    decidedNow.second = second;
    decidedNow.standings.clear();
  }
  const known = decidedNow.standings.get(key) ?? decide();
  decidedNow.standings.set(key, known);
  return known;
}

/** Reads the calendars that a job heeds. `since`: blackouts are known from then on; absent: from a moment ago. */
export async function timesOfJob(
  db: Kysely<Database>,
  definition: PatchJobDefinition,
  at: Date,
  since: Date = new Date(at.getTime() - lookBackMilliseconds),
): Promise<JobTimes> {
  const now = at.getTime();
  const names = definition.calendars ?? [];
  const blackouts = await blackoutsFor(db, names, since.getTime(), now + offerHorizonMilliseconds);
  const of: JobTimes['of'] = (zone, missed) => ({
    windows: missed ? undefined : definition.windows,
    blackouts,
    assetZone: zone,
    prestageMinutes: definition.prestage_minutes ?? null,
    minimumRemainingSeconds: missed ? 0 : (minimumRemainingSeconds(definition.windows) ?? 0),
  });
  const rule = JSON.stringify([
    definition.windows ?? null,
    definition.prestage_minutes ?? null,
    blackouts.flatMap((one) => [one.opensAt, one.closesAt]),
  ]);
  const once = (key: string, decide: () => OfferStanding): OfferStanding =>
    remembered(now, `${key} ${rule}`, decide);
  return {
    of,
    standing: (zone, missed) =>
      once(`offer ${String(missed)} ${zone}`, () => offerStanding(of(zone, missed), now)),
    rebootStanding: (zone, missed) =>
      once(`reboot ${String(missed)} ${zone}`, () =>
        offerStanding({ ...of(zone, missed), prestageMinutes: null, minimumRemainingSeconds: 0 }, now),
      ),
    isFrozen: blackouts.some((one) => one.opensAt <= now && now < one.closesAt),
  };
}

/** Whether a whole window went by while the asset, last heard at `heardAt`, was not there for its task. */
export async function hasMissedWindow(
  db: Kysely<Database>,
  definition: PatchJobDefinition,
  asset: { readonly timeZone: string; readonly lastSeenAt: Date | null },
  queuedAt: Date,
  now: Date,
): Promise<boolean> {
  if (definition.windows === undefined || definition.missed_window !== 'next_chance') return false;
  const times = await timesOfJob(db, definition, now, queuedAt);
  return missedUse(
    times.of(asset.timeZone, false),
    queuedAt.getTime(),
    asset.lastSeenAt?.getTime() ?? null,
    now.getTime(),
  );
}
