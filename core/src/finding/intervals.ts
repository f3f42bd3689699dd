/**
 * When a finding was open, from when the software that carries it was exposed.
 *
 * One finding is often carried by several binary packages of one source package, each with a time of its own. The finding is
 * open while any of them is: its intervals are the union of theirs.
 */
import { isRemediation, type ClosedHow, type FindingInterval } from './remediation-time.ts';

/** When one software of a finding was exposed. Times are milliseconds since 1970. */
export interface ExposedSpell {
  readonly openedAt: number;
  readonly closed: { readonly at: number; readonly how: ClosedHow } | null;
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
export function closedHow(reason: string | null): ClosedHow {
  return (reason === null ? undefined : closings[reason]) ?? 'no_longer_vulnerable';
}

/** Of several closings at the same time the one that speaks for the finding: remediation first. */
const rank: Readonly<Record<ClosedHow, number>> = {
  fixed: 0,
  removed: 1,
  accepted: 2,
  asset_retired: 3,
  withdrawn: 4,
  no_longer_vulnerable: 5,
};

/**
 * The intervals of one finding, in the order of time; spells that touch are one. `reopened` when the finding was remediated
 * before: here, or `remediatedBefore` earlier than what is given. A spell that cannot be (closed before it was opened, a time
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
    intervals.push({ ...spell, ...(reopened ? { reopened: true } : {}) });
    reopened ||= spell.closed !== null && isRemediation(spell.closed.how);
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
  return [...wrong, ...intervals];
}

function isSpell({ openedAt, closed }: ExposedSpell): boolean {
  return Number.isFinite(openedAt) && (closed === null || closed.at >= openedAt);
}

function later(a: ExposedSpell['closed'], b: ExposedSpell['closed']): ExposedSpell['closed'] {
  if (a === null || b === null) return null;
  if (a.at !== b.at) return a.at > b.at ? a : b;
  return rank[a.how] <= rank[b.how] ? a : b;
}
