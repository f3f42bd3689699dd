import { sinceEpochSeconds } from '@fixpoint/core/finding/exposure.ts';
import type { SoftwareRow } from '../software/commands.ts';
import type { CarriedBy, Counted, ExposureChange } from './step.ts';
import { findingKey, type ClosedExposure } from './store.ts';

/**
 * What ended on an asset that went from one state to another, finding by finding: a vulnerability in a package. A finding whose
 * software is replaced by a version that is vulnerable too goes on, and is as old as before.
 */
export interface Endings {
  /** Exposures of findings that are closed. */
  readonly closed: readonly ClosedExposure[];
  /** Exposures of findings that go on with other software. */
  readonly replaced: readonly ClosedExposure[];
  /** Since when findings are there that are older than their software, as it is now. */
  readonly firstSeen: Readonly<Record<string, number>>;
}

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
  const replaced: ClosedExposure[] = [];
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
      const [other] = left;
      if (other === undefined) {
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
        continue;
      }
      const first = Math.min(since, opening(were));
      if (first < opening(left)) kept.set(key, Math.floor(first / 1000) - sinceEpochSeconds);
      const still = new Set(left.map((one) => one.software));
      for (const one of were) {
        if (still.has(one.software)) continue;
        // Once, however many of its processes and files were there.
        still.add(one.software);
        const evidence = replacedEvidence(one, nowOf(rowOf(one.software)), other, left, rowOf);
        replaced.push({ software_id: one.software, vulnerability, opened_at: new Date(first), evidence });
      }
    }
  }
  return { closed, replaced, firstSeen: Object.fromEntries(kept) };
}

const opening = (exposures: Exposures): number =>
  exposures.reduce((least, { openedAt }) => Math.min(least, openedAt.getTime()), Infinity);

/** How an exposure ended whose finding goes on. Its reason is one that remediates nothing. */
function replacedEvidence(
  was: Counted,
  /** What is installed now under its name. */
  id: number | undefined,
  other: Counted,
  left: Exposures,
  rowOf: (id: number) => SoftwareRow,
): ClosedExposure['evidence'] {
  const before = rowOf(was.software);
  const now = id === undefined ? undefined : rowOf(id);
  if (now !== undefined && was.kind === 'installed' && left.some(({ software }) => software === id)) {
    const sentence = `${before.name} ${before.version} was replaced by ${now.version}, which has it too.`;
    return { reason: 'replaced', sentence };
  }
  const { name, version } = rowOf(other.software);
  const ended = closingEvidence(before, was.kind, now).sentence;
  return { reason: 'replaced', sentence: `${ended} ${name} ${version} has it too.` };
}

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
