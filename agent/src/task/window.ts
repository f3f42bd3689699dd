import type { InstallOrder, RebootOrder } from '@fixpoint/contract/order.ts';

/** When a task may go on. Pure: the steps ask it again and again. */

export type Standing =
  | { readonly kind: 'open'; readonly closesAt: number }
  /** `opensAt` is null when the order names no later time. */
  | { readonly kind: 'closed'; readonly opensAt: number | null };

/**
 * Whether `now` (milliseconds since 1970 UTC) is within one of the order's times, with at least so many seconds left of it.
 * An order without times is open until it expires.
 */
export function standingOf(
  order: Pick<InstallOrder | RebootOrder, 'windows' | 'expires_at'>,
  remainingSeconds: number,
  now: number,
): Standing {
  const expiresAt = Date.parse(order.expires_at);
  const intervals = (
    order.windows?.map((one) => ({
      opensAt: Date.parse(one.opens_at),
      closesAt: Math.min(Date.parse(one.closes_at), expiresAt),
    })) ?? [{ opensAt: Number.NEGATIVE_INFINITY, closesAt: expiresAt }]
  ).filter((one) => one.closesAt > now);
  const current = intervals.find(
    (one) => one.opensAt <= now && one.closesAt - now >= remainingSeconds * 1000,
  );
  if (current !== undefined) return { kind: 'open', closesAt: current.closesAt };
  const later = intervals.filter((one) => one.opensAt > now).map((one) => one.opensAt);
  return { kind: 'closed', opensAt: later.length === 0 ? null : Math.min(...later) };
}
