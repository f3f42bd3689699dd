/** Whether an asset's agent answers in time. */

/** An asset that misses this many check-ins in a row is silent. */
const missedCheckIns = 3;
/** An agent adds jitter, and a host may be slow to come back. */
const graceSeconds = 15;

export type ContactState = 'never' | 'current' | 'silent' | 'retired';

/** Times are milliseconds since 1970; `lastSeenAt` null: never. */
export function contactStateOf(
  asset: {
    readonly retired: boolean;
    readonly lastSeenAt: number | null;
    readonly nextCheckInSeconds: number;
  },
  now: number,
): ContactState {
  if (asset.retired) return 'retired';
  if (asset.lastSeenAt === null) return 'never';
  const silentSeconds = (now - asset.lastSeenAt) / 1000;
  return silentSeconds > asset.nextCheckInSeconds * missedCheckIns + graceSeconds ? 'silent' : 'current';
}
