import type { PatchJobDefinition } from '@fixpoint/contract/patch-job.ts';

/** What a patch job says, in words for a terminal. Everything that a definition can hold is told; what it leaves out is not. */

type Opens = NonNullable<PatchJobDefinition['windows']>[number]['opens'];

const nth = { 1: 'first', 2: 'second', 3: 'third', 4: 'fourth', 5: 'fifth', last: 'last' } as const;

/** `sat, sun at 22:00`, `Patch Tuesday + 4 days at 20:00`. */
function recurrenceWords(opens: Opens): string {
  switch (opens.kind) {
    case 'once':
      return `once, ${opens.local.replace('T', ' ')}`;
    case 'daily':
      return `every day at ${opens.at}`;
    case 'weekly':
      return `${opens.days.join(', ')} at ${opens.at}`;
    case 'monthly':
      return `${nth[opens.week]} ${opens.day} of the month at ${opens.at}`;
    case 'patch_tuesday': {
      const days = opens.offset_days;
      const offset =
        days === 0
          ? ''
          : ` ${days > 0 ? '+' : '-'} ${String(Math.abs(days))} day${Math.abs(days) === 1 ? '' : 's'}`;
      return `Patch Tuesday${offset} at ${opens.at}`;
    }
    case 'rrule':
      return `${opens.rule} from ${opens.local.replace('T', ' ')}`;
  }
}

function zoneWords(zone: string): string {
  return zone === 'asset' ? "each asset's own zone" : zone;
}

function windowWords(windows: NonNullable<PatchJobDefinition['windows']>): string {
  return windows
    .map((window) => {
      const name = window.name === undefined ? '' : `${window.name}: `;
      const least = window.minimum_remaining_minutes;
      const rest = least === undefined ? '' : `, nothing begun in the last ${String(least)} min`;
      return `${name}${recurrenceWords(window.opens)} (${zoneWords(window.zone)}) for ${String(window.duration_minutes)} min${rest}`;
    })
    .join('; ');
}

function rebootWords(rule: PatchJobDefinition['reboot']): string {
  if (rule === undefined || rule.mode === 'suppress') return 'by hand: such tasks wait as reboot pending';
  const parts: string[] = [rule.mode];
  if (rule.countdown_seconds !== undefined)
    parts.push(`announced ${String(rule.countdown_seconds)} s before`);
  if (rule.deferrals_maximum !== undefined) {
    const by = rule.deferral_minutes === undefined ? '' : ` by ${String(rule.deferral_minutes)} min`;
    parts.push(`put off at most ${String(rule.deferrals_maximum)} times${by}`);
  }
  if (rule.mode === 'prompt') parts.push(`${rule.when_nobody ?? 'reboot'} when nobody is signed in`);
  for (const limit of rule.limits ?? []) {
    parts.push(`never more than ${String(limit.at_once)} of tag:${limit.tag} at once`);
  }
  if (rule.order !== undefined && rule.order.length > 0) {
    parts.push(`in the order ${rule.order.map((tag) => `tag:${tag}`).join(', ')}, the rest`);
  }
  if (rule.back_within_seconds !== undefined) parts.push(`back within ${String(rule.back_within_seconds)} s`);
  return parts.join('; ');
}

function rollbackWords(rule: PatchJobDefinition['rollback']): string {
  if (rule === undefined || rule.on === 'off') return 'off: nothing is kept';
  const parts = [rule.on.replaceAll('_', ' '), `by ${rule.method ?? 'packages'}`];
  if (rule.required === true) parts.push('only assets where it is possible');
  return parts.join('; ');
}

function actionWords(actions: readonly { name: string; timeout_seconds: number; on_failure: string }[]) {
  return actions
    .map((one) => `${one.name} (${String(one.timeout_seconds)} s, ${one.on_failure} when it fails)`)
    .join(', ');
}

function healthWords(health: NonNullable<PatchJobDefinition['health']>): string {
  const probes = health.probes.map((probe) => {
    switch (probe.kind) {
      case 'unit_active':
        return `unit ${probe.unit}`;
      case 'tcp':
        return `TCP ${probe.host}:${String(probe.port)}`;
      case 'http':
        return probe.status === undefined ? probe.url : `${probe.url} (${String(probe.status)})`;
      case 'command':
        return `command ${probe.name}`;
    }
  });
  if (health.failed_units !== false) probes.push('no newly failed unit');
  return `${probes.join(', ')}${health.settle_seconds === undefined ? '' : `; within ${String(health.settle_seconds)} s`}`;
}

/** Names and values for `facts`; null is what the job does not say. */
export function definitionFacts(d: PatchJobDefinition): (readonly [name: string, value: string | null])[] {
  const { before = [], after = [] } = d.actions ?? {};
  const schedule =
    d.schedule === undefined
      ? 'by hand'
      : `${recurrenceWords(d.schedule.starts)} (${zoneWords(d.schedule.zone)})`;
  const { windows = [] } = d;
  const hasWindows = windows.length > 0;
  return [
    ['started', schedule],
    ['windows', hasWindows ? windowWords(windows) : 'none: at any time'],
    ['calendars', d.calendars?.join(', ') ?? null],
    [
      'missed window',
      hasWindows ? (d.missed_window === 'next_chance' ? 'at the next chance' : 'waits for the next') : null,
    ],
    [
      'downloads',
      d.prestage_minutes === undefined ? null : `${String(d.prestage_minutes)} min before a window opens`,
    ],
    [
      'bandwidth',
      d.bandwidth_bytes_per_second === undefined
        ? null
        : `${String(d.bandwidth_bytes_per_second)} bytes/s on each asset`,
    ],
    ['never touched', d.exclude_packages?.join(', ') ?? null],
    ['pinned', d.pins?.map((pin) => `${pin.package} ${pin.version}`).join(', ') ?? null],
    ['removals', d.allow_removals === true ? 'allowed' : 'not allowed'],
    [
      'units',
      d.units === 'restart'
        ? 'restarted when they still run replaced files'
        : 'left as they are, and reported',
    ],
    ['reboot', rebootWords(d.reboot)],
    ['actions before', before.length === 0 ? null : actionWords(before)],
    ['actions after', after.length === 0 ? null : actionWords(after)],
    ['health', d.health === undefined ? null : healthWords(d.health)],
    ['rollback', rollbackWords(d.rollback)],
    ['assets at once', String(d.concurrency)],
    ['install time limit', `${String(d.install_timeout_seconds)} s`],
    ['expires after', `${String(d.expire_after_seconds)} s`],
  ];
}
