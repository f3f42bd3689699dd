import {
  kernelExposure,
  residueSentence,
  sinceEpochSeconds,
  statusOf,
  type ExposedStatus,
  type ExposureKind,
  type Undetermined,
} from '@fixpoint/core/finding/exposure.ts';
import { patchFor } from '@fixpoint/core/knowledge/patch.ts';
import { productOf } from '@fixpoint/core/knowledge/ecosystem.ts';
import { offeredVersions } from '@fixpoint/core/match/offered.ts';
import type { Candidate, HostFacts, Residue } from '@fixpoint/core/inventory/inventory.ts';
import type { Actor } from '@fixpoint/core/audit/events.ts';
import type { NewAuditEvent } from '../audit/commands.ts';
import type { Context, Transact } from '../context.ts';
import { internSoftware, softwareOf, sourceVersionOf, type SoftwareRow } from '../software/commands.ts';
import { blockedBy, keysInForce } from './mitigated.ts';
import {
  addHistory,
  carriedVulnerabilities,
  exposureOf,
  saveExposure,
  type ClosedExposure,
  type Exposure,
  type StaleSoftware,
} from './store.ts';

/** What an asset has installed: software ids and, in parallel, since when (seconds since 2020-01-01 UTC). */
export interface InstalledState {
  readonly software: readonly number[];
  readonly since: readonly number[];
}

export interface ExposureChange {
  readonly assetId: number;
  /** As people see it. */
  readonly uid: string;
  readonly actor: Actor;
  readonly os: string;
  readonly osRelease: string;
  readonly host: HostFacts | null;
  readonly candidates: readonly Candidate[];
  readonly residue: readonly Residue[];
  readonly before: InstalledState;
  readonly after: InstalledState;
}

interface Counted {
  readonly software: number;
  readonly since: number;
  readonly kind: ExposureKind;
}

/** What counts as exposed: installed software that is not inert, and replaced software that is still there. */
function counted(state: InstalledState, exposure: Exposure): Counted[] {
  const inert = new Set(exposure.inert);
  const list: Counted[] = [];
  state.software.forEach((software, i) => {
    if (!inert.has(software)) list.push({ software, since: state.since[i] ?? 0, kind: 'installed' });
  });
  for (const stale of exposure.stale) list.push(stale);
  return list;
}

/** Resolves what a host reports as still there to the software it came from; what cannot be resolved is undetermined. */
async function staleSoftware(
  trx: Transact,
  context: Context,
  change: ExposureChange,
  earlier: Exposure,
  /** Software that the asset has, and had before. */
  known: readonly SoftwareRow[],
): Promise<{ stale: StaleSoftware[]; undetermined: Undetermined[] }> {
  const product = productOf(change.os, change.osRelease);
  const stale = new Map<string, StaleSoftware>();
  const undetermined: Undetermined[] = [];
  const sinceBefore = new Map<number, number>();
  change.before.software.forEach((id, i) => sinceBefore.set(id, change.before.since[i] ?? 0));
  for (const s of earlier.stale) sinceBefore.set(s.software, s.since);
  const now = Math.floor(context.clock.now().getTime() / 1000) - sinceEpochSeconds;

  for (const residue of change.residue) {
    const built =
      residue.version === null
        ? null
        : residue.source_version === null
          ? await sourceVersionOf(trx, product, { ...residue, version: residue.version })
          : { source: residue.source, source_version: residue.source_version };
    if (residue.version === null || built === null) {
      undetermined.push({
        subject: `${residue.name} ${residue.version ?? '(earlier version)'}`,
        reason: `${residueSentence(residue)} Which version that code is from, and so what it is vulnerable to, is not known.`,
        what_to_do: 'Restart the process or the host.',
      });
      continue;
    }
    // A residue does not say who built it: the very package where the asset had it, else who builds its package now. An old
    // build of a third party is no build of the distribution's.
    const ofPackage = known.filter((row) => row.name === residue.name && row.arch === residue.arch);
    const alike = ofPackage.find((row) => row.version === residue.version) ?? ofPackage[0];
    const [software] = await internSoftware(trx, context, product, [
      {
        name: residue.name,
        arch: residue.arch,
        version: residue.version,
        ...built,
        ...(alike?.origin === undefined ? {} : { origin: alike.origin }),
        ...(alike?.vendor === undefined ? {} : { vendor: alike.vendor }),
        ...(alike?.module === undefined ? {} : { module: alike.module }),
      },
    ]);
    if (software === undefined) continue;
    const reason = residueSentence(residue);
    const key = `${software}\t${residue.kind}`;
    const same = stale.get(key);
    stale.set(key, {
      software,
      since: sinceBefore.get(software) ?? now,
      kind: residue.kind,
      reason:
        same === undefined ? reason : same.reason.length > 900 ? same.reason : `${same.reason} ${reason}`,
    });
  }
  return { stale: [...stale.values()], undetermined };
}

/** A kernel that runs on after its package was removed is as exposed as before. */
function removedKernel(change: ExposureChange, earlier: Exposure, software: number | null): StaleSoftware[] {
  if (software === null) return [];
  const at = change.before.software.indexOf(software);
  const since = at >= 0 ? change.before.since[at] : earlier.stale.find((s) => s.software === software)?.since;
  const reason = `The kernel ${change.host?.running_kernel ?? ''} still runs although its package has been removed.`;
  return [{ software, since: since ?? 0, kind: 'kernel', reason }];
}

interface CarriedBy {
  readonly exposures: readonly (Counted & {
    readonly openedAt: Date;
    readonly fixedVersion: string | null;
  })[];
  readonly status: ExposedStatus;
}

type Carried = Awaited<ReturnType<typeof carriedVulnerabilities>>;

/** The vulnerabilities of a state, from what its software carries. */
function vulnerabilitiesOf(
  state: readonly Counted[],
  nextKernel: number | null,
  carried: ReadonlyMap<number, Carried>,
  byId: ReadonlyMap<number, SoftwareRow>,
  isBlocked: (vulnerability: string, name: string) => boolean,
): Map<string, CarriedBy> {
  const inNextKernel = new Set(
    nextKernel === null ? [] : (carried.get(nextKernel) ?? []).map((row) => row.vulnerability),
  );
  const isKernel = (id: number) => {
    const software = byId.get(id);
    return software?.kernel === true;
  };
  const exposures = new Map<
    string,
    (Counted & {
      openedAt: Date;
      fixedVersion: string | null;
      fixedInNextKernel: boolean;
      mitigated: boolean;
    })[]
  >();
  for (const one of state) {
    for (const { vulnerability, since, fixed_version } of carried.get(one.software) ?? []) {
      const installedAt = new Date((one.since + sinceEpochSeconds) * 1000);
      const entry = {
        ...one,
        openedAt: installedAt > since ? installedAt : since,
        fixedVersion: fixed_version,
        fixedInNextKernel: nextKernel !== null && isKernel(one.software) && !inNextKernel.has(vulnerability),
        mitigated: isBlocked(vulnerability, byId.get(one.software)?.package ?? ''),
      };
      const list = exposures.get(vulnerability);
      if (list === undefined) exposures.set(vulnerability, [entry]);
      else list.push(entry);
    }
  }
  const result = new Map<string, CarriedBy>();
  for (const [vulnerability, list] of exposures) {
    result.set(vulnerability, { exposures: list, status: statusOf(list) });
  }
  return result;
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

/**
 * Takes an asset from one state to the next: decides what counts as exposed and writes ended exposures to history. Answers,
 * for the caller to append after its own event, which findings opened, changed their status and closed. To be called in
 * the transaction that stores the new inventory.
 */
export async function exposuresChanged(
  trx: Transact,
  context: Context,
  change: ExposureChange,
): Promise<NewAuditEvent[]> {
  const earlier = await exposureOf(trx, change.assetId);
  const rows = await softwareOf(trx, [...new Set([...change.before.software, ...change.after.software])]);
  const byId = new Map(rows.map((row) => [row.id, row]));
  const installedRows = change.after.software.flatMap((id) => byId.get(id) ?? []);
  const staleRows = await softwareOf(
    trx,
    earlier.stale.map((s) => s.software),
  );
  for (const row of staleRows) byId.set(row.id, row);
  const gone = [...change.before.software, ...staleRows.map((row) => row.id)].flatMap(
    (id) => byId.get(id) ?? [],
  );
  const kernel = kernelExposure(change.host, installedRows, gone);
  const residue = await staleSoftware(trx, context, change, earlier, [...installedRows, ...rows]);
  const exposure: Exposure = {
    inert: kernel.inert,
    nextKernel: kernel.nextKernel,
    stale: [...residue.stale, ...removedKernel(change, earlier, kernel.removedRunning)],
    undetermined: [...kernel.undetermined, ...residue.undetermined],
    mitigations: keysInForce(change.host?.mitigations),
  };
  await saveExposure(trx, change.assetId, exposure);

  const states = [counted(change.before, earlier), counted(change.after, exposure)] as const;
  const ids = new Set(states.flat().map((one) => one.software));
  for (const row of await softwareOf(
    trx,
    [...ids].filter((id) => !byId.has(id)),
  )) {
    byId.set(row.id, row);
  }
  const kernels = [earlier.nextKernel, exposure.nextKernel].filter((id) => id !== null);
  // What both states have is read once.
  const rowsOfBoth = await carriedVulnerabilities(trx, [...new Set([...ids, ...kernels])]);
  const carried = Map.groupBy(rowsOfBoth, (row) => row.software_id);
  const blocked = ({ mitigations }: Exposure) => blockedBy(mitigations, change.os, change.osRelease);
  const before = vulnerabilitiesOf(states[0], earlier.nextKernel, carried, byId, blocked(earlier));
  const after = vulnerabilitiesOf(states[1], exposure.nextKernel, carried, byId, blocked(exposure));
  const opened: string[] = [];
  const changed: { vulnerability: string; from: string; to: string }[] = [];
  for (const [vulnerability, now] of after) {
    const was = before.get(vulnerability);
    if (was === undefined) opened.push(vulnerability);
    else if (was.status !== now.status) changed.push({ vulnerability, from: was.status, to: now.status });
  }
  const nowByName = new Map(installedRows.map((row) => [`${row.name}:${row.arch}`, row]));
  const closed: ClosedExposure[] = [];
  const closedVulnerabilities: string[] = [];
  for (const [vulnerability, was] of before) {
    if (after.has(vulnerability)) continue;
    closedVulnerabilities.push(vulnerability);
    for (const one of was.exposures) {
      const software = byId.get(one.software);
      if (software === undefined) continue;
      const now = nowByName.get(`${software.name}:${software.arch}`);
      closed.push({
        software_id: one.software,
        vulnerability,
        opened_at: one.openedAt,
        evidence: closingEvidence(software, one.kind, now),
      });
    }
  }
  await addHistory(trx, change.assetId, closed, context.clock.now());
  const patches = patchesFor(change, opened, after, byId);
  return story(change, { opened, patches, changed, closed: closedVulnerabilities, evidence: closed });
}

interface Correlated {
  readonly patch: string;
  readonly offered: boolean;
  readonly vulnerabilities: string[];
}

/** The patch that closes each of these on this asset, as it is known now; what has no fix has none. */
function patchesFor(
  change: ExposureChange,
  vulnerabilities: readonly string[],
  after: ReadonlyMap<string, CarriedBy>,
  byId: ReadonlyMap<number, SoftwareRow>,
): Correlated[] {
  const product = productOf(change.os, change.osRelease);
  const offered = Map.groupBy(offeredVersions(product.ecosystem, change.candidates), (one) => one.package);
  const byPatch = new Map<string, Correlated>();
  for (const vulnerability of vulnerabilities) {
    for (const { software, fixedVersion } of after.get(vulnerability)?.exposures ?? []) {
      const row = byId.get(software);
      if (row === undefined) continue;
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

interface Story {
  readonly opened: readonly string[];
  readonly patches: readonly Correlated[];
  readonly changed: readonly { vulnerability: string; from: string; to: string }[];
  readonly closed: readonly string[];
  readonly evidence: readonly ClosedExposure[];
}

function story(change: ExposureChange, told: Story): NewAuditEvent[] {
  const { opened, patches, changed, closed, evidence } = told;
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
