import type { Candidate } from '@fixpoint/core/inventory/inventory.ts';
import { patchFor } from '@fixpoint/core/knowledge/patch.ts';
import { productOf } from '@fixpoint/core/knowledge/ecosystem.ts';
import { offeredVersions } from '@fixpoint/core/match/offered.ts';
import type { NewAuditEvent } from '../audit/commands.ts';
import type { SoftwareRow } from '../software/commands.ts';
import type { Endings } from './endings.ts';
import type { CarriedBy, ExposureChange } from './step.ts';
import type { ClosedExposure } from './store.ts';

/** What is told of an asset that went from one state to another: which vulnerabilities opened, which closed, and by what. */

/** What two states of an asset differ in. */
export interface Difference {
  /** With what carries them now. */
  readonly opened: ReadonlyMap<string, CarriedBy>;
  readonly changed: readonly { vulnerability: string; from: string; to: string }[];
  readonly closed: readonly string[];
  readonly evidence: readonly ClosedExposure[];
}

/** `endings`: see {@link endingsOf}; of what is closed altogether, it is the evidence. */
export function differenceOf(
  before: ReadonlyMap<string, CarriedBy>,
  after: ReadonlyMap<string, CarriedBy>,
  endings: Endings,
): Difference {
  const opened = new Map<string, CarriedBy>();
  const changed: { vulnerability: string; from: string; to: string }[] = [];
  for (const [vulnerability, now] of after) {
    const was = before.get(vulnerability);
    if (was === undefined) opened.set(vulnerability, now);
    else if (was.status !== now.status) changed.push({ vulnerability, from: was.status, to: now.status });
  }
  const closed = [...before.keys()].filter((vulnerability) => !after.has(vulnerability));
  const evidence = endings.closed.filter(({ vulnerability }) => !after.has(vulnerability));
  return { opened, changed, closed, evidence };
}

interface Correlated {
  readonly patch: string;
  readonly offered: boolean;
  readonly vulnerabilities: string[];
}

/** The patch that closes each of these on this asset, as it is known now; what has no fix has none. */
function patchesFor(
  change: ExposureChange,
  opened: ReadonlyMap<string, CarriedBy>,
  candidates: readonly Candidate[],
  rowOf: (id: number) => SoftwareRow,
): Correlated[] {
  if (opened.size === 0) return [];
  const product = productOf(change.os, change.osRelease);
  const offered = Map.groupBy(offeredVersions(product.ecosystem, candidates), (one) => one.package);
  const byPatch = new Map<string, Correlated>();
  for (const [vulnerability, { exposures }] of opened) {
    for (const { software, fixedVersion } of exposures) {
      const row = rowOf(software);
      const patch = patchFor(product, row.package, fixedVersion, offered.get(row.package) ?? []);
      if (patch === null) continue;
      const entry = byPatch.get(patch.id) ?? { patch: patch.id, offered: patch.offered, vulnerabilities: [] };
      // several packages of one source carry the same
      if (entry.vulnerabilities.at(-1) !== vulnerability) entry.vulnerabilities.push(vulnerability);
      byPatch.set(patch.id, entry);
    }
  }
  return [...byPatch.values()].sort((a, b) => (a.patch < b.patch ? -1 : 1));
}

/** The events, in this order, that tell it on the trail. */
export function storyOf(
  change: ExposureChange,
  told: Difference,
  candidates: readonly Candidate[],
  rowOf: (id: number) => SoftwareRow,
): NewAuditEvent[] {
  const { changed, closed, evidence } = told;
  const opened = [...told.opened.keys()];
  const patches = patchesFor(change, told.opened, candidates, rowOf);
  const base = { actor: change.actor, subjectKind: 'asset', subject: change.uid } as const;
  const events: NewAuditEvent[] = [];
  if (opened.length > 0) {
    events.push({ ...base, event: 'finding.opened', after: { vulnerabilities: opened.toSorted() } });
    if (patches.length > 0) events.push({ ...base, event: 'patch.correlated', after: { patches } });
  }
  if (changed.length > 0) {
    const byStep = Map.groupBy(changed, (c) => `${c.from}\t${c.to}`);
    for (const [step, list] of byStep) {
      const [from, to] = step.split('\t');
      const vulnerabilities = list.map((c) => c.vulnerability).sort();
      events.push({
        ...base,
        event: 'finding.status_changed',
        before: { status: from },
        after: { status: to, vulnerabilities },
      });
    }
  }
  if (closed.length > 0) {
    const sentences = [...new Set(evidence.map((e) => e.evidence.sentence))].sort();
    events.push({
      ...base,
      event: 'finding.closed',
      after: { vulnerabilities: closed.toSorted(), evidence: sentences },
    });
  }
  return events;
}
