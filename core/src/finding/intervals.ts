/**
 * When a finding was open, from when the software that carries it was exposed.
 *
 * One finding is often carried by several binary packages of one source package, each with a time of its own. The finding is
 * open while any of them is: its intervals are the union of theirs.
 */
import { isRemediation, type ClosedHow, type FindingInterval } from './remediation-time.ts';

/**
 * When one software of a finding was exposed. `replaced`: other software of the finding was exposed when it ended, so that the
 * finding goes on. Times are milliseconds since 1970.
 */
export interface ExposedSpell {
  readonly openedAt: number;
  readonly closed: { readonly at: number; readonly how: ClosedHow | 'replaced' } | null;
}

const closings: Readonly<Record<string, ClosedHow>> = {
  upgraded: 'fixed',
  restarted: 'fixed',
  rebooted: 'fixed',
  files_replaced: 'fixed',
  removed: 'removed',
  withdrawn: 'withdrawn',
  no_longer_vulnerable: 'no_longer_vulnerable',
};

/** The reasons that remediate. */
export const remediatingReasons: readonly string[] = Object.keys(closings).filter((reason) => {
  const how = closings[reason];
  return how !== undefined && isRemediation(how);
});

/** How an exposure ended, by the `reason` of its evidence. One that is not known here remediates nothing. */
export function closedHow(reason: string | null): ClosedHow | 'replaced' {
  if (reason === 'replaced') return reason;
  return (reason === null ? undefined : closings[reason]) ?? 'no_longer_vulnerable';
}

/** Of several closings at the same time the one that speaks for the finding: remediation first. */
const rank: Readonly<Record<ClosedHow | 'replaced', number>> = {
  fixed: 0,
  removed: 1,
  accepted: 2,
  asset_retired: 3,
  withdrawn: 4,
  no_longer_vulnerable: 5,
  replaced: 6,
};

/**
 * The intervals of one finding, in the order of time; spells that touch are one. `reopened` when the finding was remediated
 * before: here, or `remediatedBefore` earlier than what is given. What was replaced ends with whatever it touches; by itself, as
 * where only the old version is asked for, it is no remediation. A spell that cannot be (closed before it was opened, a time
 * that is no number) is passed on as it is, for whoever counts them to refuse.
 */
export function findingIntervals(
  spells: readonly ExposedSpell[],
  remediatedBefore = false,
): FindingInterval[] {
  const wrong = spells.filter((spell) => !isSpell(spell));
  const intervals: FindingInterval[] = [];
  let current: ExposedSpell | null = null;
  let reopened = remediatedBefore;
  const close = (spell: ExposedSpell): void => {
    const ended = intervalOf(spell);
    intervals.push({ ...ended, ...(reopened ? { reopened: true } : {}) });
    reopened ||= ended.closed !== null && isRemediation(ended.closed.how);
  };
  for (const spell of spells.filter(isSpell).toSorted((a, b) => a.openedAt - b.openedAt)) {
    if (current === null) current = spell;
    else if (current.closed === null || spell.openedAt <= current.closed.at)
      current = { openedAt: current.openedAt, closed: later(current.closed, spell.closed) };
    else {
      close(current);
      current = spell;
    }
  }
  if (current !== null) close(current);
  return [...wrong.map(intervalOf), ...intervals];
}

function isSpell({ openedAt, closed }: ExposedSpell): boolean {
  return Number.isFinite(openedAt) && (closed === null || closed.at >= openedAt);
}

function intervalOf({ openedAt, closed }: ExposedSpell): FindingInterval {
  const how = closed?.how === 'replaced' ? 'no_longer_vulnerable' : closed?.how;
  return { openedAt, closed: closed === null || how === undefined ? null : { at: closed.at, how } };
}

/** Which of two ends of touching spells is that of both: an end of the software alone gives way, even where it is later. */
function later(a: ExposedSpell['closed'], b: ExposedSpell['closed']): ExposedSpell['closed'] {
  if (a === null || b === null) return null;
  if ((a.how === 'replaced') !== (b.how === 'replaced')) return a.how === 'replaced' ? b : a;
  if (a.at !== b.at) return a.at > b.at ? a : b;
  return rank[a.how] <= rank[b.how] ? a : b;
}
