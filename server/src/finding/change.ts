import {
  kernelExposure,
  residueSentence,
  sinceEpochSeconds,
  statusOf,
  type Undetermined,
} from '@fixpoint/core/finding/exposure.ts';
import { productOf } from '@fixpoint/core/knowledge/ecosystem.ts';
import type { Candidate } from '@fixpoint/core/inventory/inventory.ts';
import type { NewAuditEvent } from '../audit/commands.ts';
import type { Context, Transact } from '../context.ts';
import { storedCandidates } from '../asset/commands.ts';
import { internSoftware, sourceVersionOf, type SoftwareRow } from '../software/commands.ts';
import type { SoftwareReading } from '../software/known.ts';
import { endingsOf, sameFirstSeen } from './endings.ts';
import { blockedBy, keysInForce } from './mitigated.ts';
import {
  addHistory,
  carriedVulnerabilities,
  exposuresOf,
  nothingExposed,
  saveExposures,
  type ClosedExposure,
  type Exposure,
  type StaleSoftware,
} from './store.ts';
import type { CarriedBy, Counted, ExposureChange, InstalledState } from './step.ts';
import { differenceOf, storyOf } from './story.ts';

/**
 * What counts as exposed and carries something: installed software that is not inert, and replaced software that is still there.
 */
function counted(
  state: InstalledState,
  exposure: Exposure,
  carried: ReadonlyMap<number, unknown>,
): Counted[] {
  const list: Counted[] = [];
  state.software.forEach((software, i) => {
    if (!carried.has(software) || exposure.inert.includes(software)) return;
    list.push({ software, since: state.since[i] ?? 0, kind: 'installed' });
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
  if (change.residue.length === 0) return { stale: [], undetermined: [] };
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

type Carried = Awaited<ReturnType<typeof carriedVulnerabilities>>;

/** The vulnerabilities of a state, from what its software carries. */
function vulnerabilitiesOf(
  state: InstalledState,
  exposure: Exposure,
  carried: ReadonlyMap<number, Carried>,
  /** Only these; null: all. */
  only: ReadonlySet<string> | null,
  rowOf: (id: number) => SoftwareRow,
  isBlocked: (vulnerability: string, name: string) => boolean,
): Map<string, CarriedBy> {
  const { nextKernel } = exposure;
  const inNextKernel = new Set(
    nextKernel === null ? [] : (carried.get(nextKernel) ?? []).map((row) => row.vulnerability),
  );
  const exposures = new Map<
    string,
    (Counted & {
      openedAt: Date;
      fixedVersion: string | null;
      fixedInNextKernel: boolean;
      mitigated: boolean;
    })[]
  >();
  for (const one of counted(state, exposure, carried)) {
    for (const { vulnerability, since, fixed_version } of carried.get(one.software) ?? []) {
      if (only !== null && !only.has(vulnerability)) continue;
      const row = rowOf(one.software);
      const installedAt = new Date((one.since + sinceEpochSeconds) * 1000);
      const entry = {
        ...one,
        openedAt: installedAt > since ? installedAt : since,
        fixedVersion: fixed_version,
        fixedInNextKernel: nextKernel !== null && row.kernel && !inNextKernel.has(vulnerability),
        mitigated: isBlocked(vulnerability, row.package),
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

/** An asset between two states, with what counts as exposed in both. */
interface Step {
  readonly change: ExposureChange;
  readonly earlier: Exposure;
  readonly exposure: Exposure;
  /** Whether, but for the software that differs, everything counts as it did. */
  readonly sameTerms: boolean;
}

function sameTerms(a: Exposure, b: Exposure): boolean {
  const text = ({ inert, nextKernel, stale, mitigations }: Exposure) =>
    JSON.stringify([inert, nextKernel, stale, mitigations]);
  return text(a) === text(b);
}

async function stepOf(
  trx: Transact,
  context: Context,
  software: SoftwareReading,
  change: ExposureChange,
  earlier: Exposure,
): Promise<Step> {
  // A few of hundreds: only these can be the kernel, whatever the running one is called.
  const reported = new Set(change.host?.kernels.map((kernel) => kernel.name));
  const rowsOf = (ids: readonly number[], isWanted: (row: SoftwareRow) => boolean) => {
    const rows: SoftwareRow[] = [];
    for (const id of ids) {
      const { row } = software.get(id);
      if (isWanted(row)) rows.push(row);
    }
    return rows;
  };
  const mayBeKernel = (row: SoftwareRow) => row.kernel || reported.has(row.name);
  const stale = earlier.stale.map((s) => s.software);
  const kernel = kernelExposure(
    change.host,
    rowsOf(change.after.software, mayBeKernel),
    rowsOf([...change.before.software, ...stale], mayBeKernel),
  );
  const left = new Set(change.residue.map((one) => one.name));
  const residue = await staleSoftware(
    trx,
    context,
    change,
    earlier,
    left.size === 0
      ? []
      : rowsOf([...change.after.software, ...change.before.software, ...stale], (row) => left.has(row.name)),
  );
  await software.load(
    trx,
    residue.stale.map((s) => s.software),
  );
  const exposure: Exposure = {
    inert: kernel.inert,
    nextKernel: kernel.nextKernel,
    stale: [...residue.stale, ...removedKernel(change, earlier, kernel.removedRunning)],
    undetermined: [...kernel.undetermined, ...residue.undetermined],
    mitigations: keysInForce(change.host?.mitigations),
    firstSeen: earlier.firstSeen,
  };
  return { change, earlier, exposure, sameTerms: sameTerms(earlier, exposure) };
}

/**
 * What the software of these steps carries. Where only some software differs, a vulnerability that none of it carries is in
 * both states alike: it is not asked for, which leaves a few of hundreds.
 */
async function carriedIn(
  trx: Transact,
  steps: readonly Step[],
): Promise<{ carried: Map<number, Carried>; only: Map<Step, Set<string> | null> }> {
  const kernelsOf = ({ earlier, exposure }: Step) =>
    [earlier.nextKernel, exposure.nextKernel].filter((id) => id !== null);
  const everyOf = ({ change, earlier, exposure }: Step) => [
    ...change.before.software,
    ...change.after.software,
    ...[...earlier.stale, ...exposure.stale].map((stale) => stale.software),
  ];
  const whole = new Set<number>();
  for (const step of steps) {
    for (const id of step.sameTerms ? step.change.differing : everyOf(step)) whole.add(id);
    if (!step.sameTerms) for (const id of kernelsOf(step)) whole.add(id);
  }
  const rows = await carriedVulnerabilities(trx, [...whole], null);
  const ofWhole = Map.groupBy(rows, (row) => row.software_id);
  const only = new Map<Step, Set<string> | null>();
  const asked = new Set<string>();
  const others = new Set<number>();
  for (const step of steps) {
    if (!step.sameTerms) {
      only.set(step, null);
      continue;
    }
    const told = new Set(
      step.change.differing.flatMap((id) => (ofWhole.get(id) ?? []).map((row) => row.vulnerability)),
    );
    only.set(step, told);
    if (told.size === 0) continue;
    for (const vulnerability of told) asked.add(vulnerability);
    for (const id of [...everyOf(step), ...kernelsOf(step)]) if (!whole.has(id)) others.add(id);
  }
  const more = await carriedVulnerabilities(trx, [...others], [...asked]);
  return { carried: Map.groupBy([...rows, ...more], (row) => row.software_id), only };
}

/**
 * Takes assets, each once, from one state to the next: decides what counts as exposed, writes ended exposures to history, and
 * keeps since when findings are there whose software was replaced by a version with the same vulnerability.
 * Answers for each, for the caller to append after its own event, which findings opened, changed their status and closed.
 * To be called in the transaction that stores the new inventories.
 */
export async function exposuresChanged(
  trx: Transact,
  context: Context,
  software: SoftwareReading,
  changes: readonly ExposureChange[],
): Promise<NewAuditEvent[][]> {
  const stored = await exposuresOf(
    trx,
    changes.map((change) => change.assetId),
  );
  for (const { before, after } of changes) {
    await software.load(trx, before.software);
    await software.load(trx, after.software);
  }
  for (const { stale } of stored.values()) {
    await software.load(
      trx,
      stale.map((one) => one.software),
    );
  }
  const steps: Step[] = [];
  for (const change of changes) {
    steps.push(await stepOf(trx, context, software, change, stored.get(change.assetId) ?? nothingExposed));
  }
  const { carried, only } = await carriedIn(trx, steps);
  const rowOf = (id: number) => software.get(id).row;
  const closed: (ClosedExposure & { asset_id: number })[] = [];
  const saved: { assetId: number; exposure: Exposure }[] = [];
  const told = steps.map((step) => {
    const { change, earlier, exposure } = step;
    const asked = only.get(step) ?? null;
    const of = (state: InstalledState, then: Exposure) =>
      asked?.size === 0
        ? new Map<string, CarriedBy>()
        : vulnerabilitiesOf(
            state,
            then,
            carried,
            asked,
            rowOf,
            blockedBy(then.mitigations, change.os, change.osRelease),
          );
    const [was, is] = [of(change.before, earlier), of(change.after, exposure)];
    const endings = endingsOf(change, was, is, earlier.firstSeen, asked, rowOf);
    for (const one of endings.closed) closed.push({ ...one, asset_id: change.assetId });
    const now: Exposure = { ...exposure, firstSeen: endings.firstSeen };
    if (!stored.has(change.assetId) || !sameExposure(earlier, now))
      saved.push({ assetId: change.assetId, exposure: now });
    return differenceOf(was, is, endings);
  });
  await saveExposures(trx, saved);
  await addHistory(trx, closed, context.clock.now());
  const candidates = await candidatesOf(
    trx,
    changes.filter((change, i) => change.candidates === null && told[i]?.opened.size !== 0),
  );
  return changes.map((change, i) => {
    const difference = told[i];
    if (difference === undefined) throw new Error('a change was not judged');
    return storyOf(change, difference, change.candidates ?? candidates.get(change.assetId) ?? [], rowOf);
  });
}

function sameExposure(a: Exposure, b: Exposure): boolean {
  const same = JSON.stringify(a.undetermined) === JSON.stringify(b.undetermined);
  return sameTerms(a, b) && same && sameFirstSeen(a.firstSeen, b.firstSeen);
}

async function candidatesOf(
  trx: Transact,
  changes: readonly ExposureChange[],
): Promise<Map<number, readonly Candidate[]>> {
  return await storedCandidates(
    trx,
    changes.map((change) => change.assetId),
  );
}
