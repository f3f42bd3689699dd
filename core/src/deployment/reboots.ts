import type { RebootRule } from '../patch-job/definition.ts';
import type { TaskState } from '../task/states.ts';
import { workingState } from '../task/transitions.ts';
import type { OfferStanding } from './offer-time.ts';
import type { DeploymentState } from './states.ts';

/** Whether an asset may go down for a reboot now. Pure; the server asks while nobody else takes a place. Times in milliseconds. */

/** Between the end of the countdown and the end of the window, for the reboot itself. */
const rebootSeconds = 60;
export const countdownDefaultSeconds = 60;
export const backWithinDefaultSeconds = 1_800;

export const rebootWaits = [
  'reboot_by_hand',
  'reboot_not_awaited',
  'reboot_deployment_not_running',
  'reboot_held',
  'reboot_put_off',
  'reboot_window_closed',
  'reboot_tag_unknown',
  'reboot_order',
  'reboot_limit_reached',
  'reboot_permitted',
] as const;
export type RebootWait = (typeof rebootWaits)[number];

export interface RebootQuestion {
  readonly now: number;
  readonly deployment: DeploymentState;
  readonly assetId: number;
  readonly rule: RebootRule | undefined;
  /** Of the times in which the asset may be changed, without any wish for time left. */
  readonly standing: OfferStanding;
  /** Why the task is held back (denied patches), or null. */
  readonly held: string | null;
  /** Put off, or given back: not before this. */
  readonly notBefore: number | null;
  /** A permission is on its way, or used, already. */
  readonly permitted: boolean;
  /** The host has done its part, with a reboot or without, and waits for none any more: one more would not help. */
  readonly hostIsDone: boolean;
  /** Who is in the tags that the rule names. A tag that is missing here does not exist. */
  readonly members: ReadonlyMap<string, { has(assetId: number): boolean }>;
  /** Assets that have a place, over all deployments. */
  readonly taken: Iterable<number>;
  /** Assets of this deployment whose reboot may still be ahead: see {@link isRebootAhead}. */
  readonly ahead: Iterable<number>;
}

export type RebootDecision =
  | { readonly kind: 'grant'; readonly countdownSeconds: number; readonly closesAt: number | null }
  | {
      readonly kind: 'wait';
      readonly reason: RebootWait;
      /** The tag that is in the way. */
      readonly tag?: string;
      /** When it can be different; null when nobody can say. */
      readonly until: number | null;
    };

/** Whether a task that waits as `reboot_pending` may go on, and if not, why. The rules are held in this order. */
export function decideReboot(question: RebootQuestion): RebootDecision {
  const { rule, standing, now, members } = question;
  const wait = (reason: RebootWait, more: { tag?: string; until?: number | null } = {}): RebootDecision => ({
    kind: 'wait',
    reason,
    until: null,
    ...more,
  });
  if (rule === undefined || rule.mode === 'suppress') return wait('reboot_by_hand');
  if (question.permitted) return wait('reboot_permitted');
  if (question.hostIsDone) return wait('reboot_not_awaited');
  if (question.deployment !== 'running') return wait('reboot_deployment_not_running');
  if (question.held !== null) return wait('reboot_held');
  if (question.notBefore !== null && now < question.notBefore)
    return wait('reboot_put_off', { until: question.notBefore });
  const countdownSeconds = rule.countdown_seconds ?? countdownDefaultSeconds;
  if (standing.kind !== 'open') {
    return wait('reboot_window_closed', {
      until: standing.kind === 'staging' ? standing.use.opensAt : standing.offerAt,
    });
  }
  const closesAt = standing.use?.closesAt ?? null;
  if (closesAt !== null && closesAt - now <= (countdownSeconds + rebootSeconds) * 1000)
    return wait('reboot_window_closed');
  const named = [...(rule.order ?? []), ...(rule.limits ?? []).map((limit) => limit.tag)];
  const unknown = named.find((tag) => !members.has(tag));
  if (unknown !== undefined) return wait('reboot_tag_unknown', { tag: unknown });
  const before = earlierTag(question);
  if (before !== null) return wait('reboot_order', { tag: before });
  const full = fullTag(question);
  if (full !== null) return wait('reboot_limit_reached', { tag: full });
  return { kind: 'grant', countdownSeconds, closesAt };
}

/** The tag of an asset that is to reboot before this one and has not; null when there is none. */
function earlierTag({ rule, members, assetId, ahead }: RebootQuestion): string | null {
  const order = rule?.order ?? [];
  const rankOf = (asset: number): number => {
    const rank = order.findIndex((tag) => members.get(tag)?.has(asset) === true);
    return rank === -1 ? order.length : rank;
  };
  const own = rankOf(assetId);
  let first: number | null = null;
  for (const asset of ahead) {
    if (asset === assetId) continue;
    const rank = rankOf(asset);
    if (rank < own && (first === null || rank < first)) first = rank;
  }
  return first === null ? null : (order[first] ?? null);
}

/** A tag of the asset of which as many assets as may be have a place already; null when there is none. */
function fullTag({ rule, members, assetId, taken }: RebootQuestion): string | null {
  const others = [...new Set(taken)].filter((asset) => asset !== assetId);
  for (const { tag, at_once: atOnce } of rule?.limits ?? []) {
    const inTag = members.get(tag);
    if (inTag?.has(assetId) !== true) continue;
    if (others.filter((asset) => inTag.has(asset)).length >= atOnce) return tag;
  }
  return null;
}

/**
 * Whether the reboot of a task may still come: it has not begun, or is at work, or waits for it. One whose asset said before
 * that the upgrade asks for no reboot counts only when it waits for one all the same.
 */
export function isRebootAhead(task: {
  readonly state: TaskState;
  readonly resumeState: TaskState | null;
  readonly rebootPredicted: boolean | null;
}): boolean {
  switch (workingState(task)) {
    case 'reboot_pending':
    case 'rebooting':
      return true;
    case 'queued':
    case 'offered':
    case 'downloading':
    case 'staged':
    case 'waiting_for_window':
    case 'installing':
    case 'installed':
      return task.rebootPredicted !== false;
    default:
      return false;
  }
}

const sentences: Readonly<Record<RebootWait, readonly [message: string, whatToDo: string]>> = {
  reboot_by_hand: ['Fixed on disk, but the old code runs until the host reboots.', 'Reboot the host.'],
  reboot_not_awaited: [
    'The host was done with its part, and all the same the old code still runs. It is not rebooted again for that.',
    'See on the host which kernel its boot loader starts, or what still runs; then reboot it by hand.',
  ],
  reboot_deployment_not_running: [
    'The deployment is not running, so no host of it is rebooted.',
    'Resume it, or reboot the host by hand.',
  ],
  reboot_held: ['The task is held back, so its host is not rebooted.', 'See why its patches are held back.'],
  reboot_put_off: [
    'The reboot was put off.',
    'Nothing needs to be done; it is asked for again. Who is logged in can run: fixpoint-agent reboot now.',
  ],
  reboot_window_closed: [
    'The host reboots in its next window.',
    'Nothing needs to be done, or reboot the host by hand.',
  ],
  reboot_tag_unknown: [
    'The job limits or orders reboots by a tag that there is not, so no host of it is rebooted.',
    'Create the tag again, or reboot the host by hand.',
  ],
  reboot_order: [
    'Hosts of a tag that comes first have not rebooted yet.',
    'Wait for them; cancel the tasks of those that will not come back.',
  ],
  reboot_limit_reached: [
    'As many hosts of a tag as may be are down for a reboot.',
    'Wait until one of them is back.',
  ],
  reboot_permitted: ['The host has been let go on to its reboot.', 'Nothing needs to be done.'],
};

/** The sentence and the advice for a wait, with the tag and the time where there are such. */
export function explainReboot(decision: RebootDecision & { readonly kind: 'wait' }): {
  readonly message: string;
  readonly whatToDo: string;
} {
  const [message, whatToDo] = sentences[decision.reason];
  const tag = decision.tag === undefined ? '' : ` Tag: ${decision.tag}.`;
  const until = decision.until === null ? '' : ` Not before ${new Date(decision.until).toISOString()}.`;
  return { message: `${message}${tag}${until}`, whatToDo };
}
