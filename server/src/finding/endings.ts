import { sinceEpochSeconds } from '@fixpoint/core/finding/exposure.ts';
import type { SoftwareRow } from '../software/commands.ts';
import type { CarriedBy, Counted, ExposureChange } from './step.ts';
import { findingKey, type ClosedExposure } from './store.ts';

/**
 * What ended on an asset that went from one state to another, finding by finding: a vulnerability in a package. A finding whose
 * software is replaced by a version that is vulnerable too goes on, and is as old as before: nothing of it has ended.
 */
export interface Endings {
  /** Exposures of findings that are closed. */
  readonly closed: readonly ClosedExposure[];
  /** Since when findings are there that are older than their software, as it is now. At most {@link maxFirstSeenKept}. */
  readonly firstSeen: Readonly<Record<string, number>>;
}

/**
 * So many findings of an asset are kept that are older than their software; the age of others begins anew with it. A new kernel
 * leaves hundreds unfixed: this bounds the row of an asset to a few kilobytes, and what a model of a million assets holds of them.
 */
export const maxFirstSeenKept = 100;

/** How an exposure ended, from what is there now under the same package name. */
function closingEvidence(
  before: SoftwareRow,
  kind: Counted['kind'],
  now: SoftwareRow | undefined,
): ClosedExposure['evidence'] {
  const was = `${before.name} ${before.version}`;
  if (kind === 'process') {
    return { reason: 'restarted', sentence: `No process runs code of ${was} any more.` };
  }
  if (kind === 'file') {
    return { reason: 'files_replaced', sentence: `The files of ${was} are gone from the disk.` };
  }
  if (kind === 'kernel' || (before.kernel && now !== undefined && now.version === before.version)) {
    return { reason: 'rebooted', sentence: `The kernel ${before.version} does not run any more.` };
  }
  if (now === undefined) return { reason: 'removed', sentence: `${was} is no longer installed.` };
  return {
    reason: 'upgraded',
    sentence: `${was} was replaced by ${now.version}, and nothing runs the old code any more.`,
  };
}

type Exposures = CarriedBy['exposures'];

export function endingsOf(
  change: ExposureChange,
  before: ReadonlyMap<string, CarriedBy>,
  after: ReadonlyMap<string, CarriedBy>,
  /** As it was before. */
  firstSeen: Readonly<Record<string, number>>,
  /** The vulnerabilities that both states were looked at for; null: all. Of others nothing changed. */
  asked: ReadonlySet<string> | null,
  rowOf: (id: number) => SoftwareRow,
): Endings {
  const closed: ClosedExposure[] = [];
  const kept = new Map(
    Object.entries(firstSeen).filter(
      ([key]) => asked !== null && !asked.has(key.slice(0, key.indexOf('\t'))),
    ),
  );
  const packageOf = (one: Counted): string => rowOf(one.software).package;
  let installed: Map<string, number> | null = null;
  const nowOf = ({ name, arch }: SoftwareRow): number | undefined => {
    installed ??= byName(change.after.software, before, rowOf);
    return installed.get(`${name}:${arch}`);
  };
  for (const [vulnerability, { exposures }] of before) {
    const now = after.get(vulnerability)?.exposures ?? [];
    for (const [name, were] of Map.groupBy(exposures, packageOf)) {
      const key = findingKey(vulnerability, name);
      const seconds = firstSeen[key];
      const since = seconds === undefined ? Infinity : (seconds + sinceEpochSeconds) * 1000;
      const left = now.filter((one) => packageOf(one) === name);
      if (left.length > 0) {
        const first = Math.min(since, opening(were));
        if (first < opening(left)) kept.set(key, Math.floor(first / 1000) - sinceEpochSeconds);
        continue;
      }
      for (const one of were) {
        const software = rowOf(one.software);
        const id = nowOf(software);
        closed.push({
          software_id: one.software,
          vulnerability,
          opened_at: new Date(Math.min(since, one.openedAt.getTime())),
          evidence: closingEvidence(software, one.kind, id === undefined ? undefined : rowOf(id)),
        });
      }
    }
  }
  return { closed, firstSeen: Object.fromEntries(oldest(kept)) };
}

/** As many as are kept: the oldest, and of the same age the first by key, so that the same ones stay. */
function oldest(kept: ReadonlyMap<string, number>): Iterable<[string, number]> {
  if (kept.size <= maxFirstSeenKept) return kept;
  return [...kept]
    .toSorted(([a, seenA], [b, seenB]) => seenA - seenB || (a < b ? -1 : 1))
    .slice(0, maxFirstSeenKept);
}

const opening = (exposures: Exposures): number =>
  exposures.reduce((least, { openedAt }) => Math.min(least, openedAt.getTime()), Infinity);

/** Installed software by name and architecture, of the names that carried something before. */
function byName(
  software: readonly number[],
  before: ReadonlyMap<string, CarriedBy>,
  rowOf: (id: number) => SoftwareRow,
): Map<string, number> {
  const names = new Set<string>();
  for (const { exposures } of before.values())
    for (const one of exposures) names.add(rowOf(one.software).name);
  const found = new Map<string, number>();
  for (const id of software) {
    const row = rowOf(id);
    if (names.has(row.name)) found.set(`${row.name}:${row.arch}`, id);
  }
  return found;
}

/** Whether two assets' worth of kept times are the same. */
export function sameFirstSeen(
  a: Readonly<Record<string, number>>,
  b: Readonly<Record<string, number>>,
): boolean {
  const keys = Object.keys(a);
  return keys.length === Object.keys(b).length && keys.every((key) => a[key] === b[key]);
}
