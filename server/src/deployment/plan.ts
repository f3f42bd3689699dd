import { Type, type Static } from 'typebox';
import { Compile } from 'typebox/compile';
import { Value } from 'typebox/value';
import {
  Candidate,
  HostFacts,
  HostPolicySchema,
  ReportedMitigation,
  Residue,
} from '@fixpoint/contract/inventory.ts';
import { Plan, type PatchJob, type PlannedTask } from '@fixpoint/contract/patch-job.ts';
import type { InstalledPackage } from '@fixpoint/core/inventory/inventory.ts';
import { productOf } from '@fixpoint/core/knowledge/ecosystem.ts';
import { patchId } from '@fixpoint/core/knowledge/patch.ts';
import { mitigationPatchId } from '@fixpoint/core/mitigation/mitigation.ts';
import { splitPatches } from '@fixpoint/core/patch-job/definition.ts';
import { makePlan } from '@fixpoint/core/plan/make-plan.ts';
import type { PlanAsset, PlanPatch } from '@fixpoint/core/plan/plan.ts';
import type { Context, Transact } from '../context.ts';
import { findingsOfAssets } from '../finding/commands.ts';
import { mitigationsById } from '../mitigation/commands.ts';
import { patchFacts } from '../patch/commands.ts';
import { deniedPatterns } from '../patch-denial/commands.ts';
import type { JobReading } from '../patch-job/target.ts';
import { answer, refuse, type Answer } from '../refusal.ts';
import { installedPackage, softwareOf } from '../software/commands.ts';
import { assetFacts, assetsWithOpenTask } from './reads.ts';

const CandidateList = Compile(Type.Array(Candidate));
const ResidueList = Compile(Type.Array(Residue));
const MitigationList = Compile(Type.Array(ReportedMitigation));
const HostPolicyShape = Compile(HostPolicySchema);
const PackageManagerShape = Compile(HostFacts.properties.package_manager);
const NameList = Compile(Type.Array(Type.String()));

/** What of an asset is still there although it was replaced. It came in through this schema; else it throws. */
export function storedResidue(value: unknown): Static<typeof Residue>[] {
  return ResidueList.Parse(value);
}

/** What an asset reports of mitigations. It came in through this schema; else it throws. */
export function storedMitigations(value: unknown): Static<typeof ReportedMitigation>[] {
  return value === null ? [] : MitigationList.Parse(value);
}

/** The vulnerabilities that a task is about: those that must be gone, and those that its mitigations bear on. */
export function concernedBy({ fixes, mitigations = [] }: PlannedTask): string[] {
  return [...new Set([...fixes, ...mitigations.flatMap((one) => [...one.blocks, ...one.reduces])])];
}

/** Assets planned at once, which bounds what is in memory. */
const assetsAtOnce = 500;

export interface PlanWithAssets {
  readonly plan: Plan;
  readonly assetIdOf: ReadonlyMap<string, number>;
}

/**
 * Makes the plan of a job from what is known right now. Writes nothing. To make a deployment of it, lock the assets first, so that
 * no other deployment begins a task on one of them in between. `reading`: what the read model said to the job. `willAsk`: the
 * assets are to be asked what comes along.
 */
export async function planJob(
  trx: Transact,
  context: Pick<Context, 'clock'>,
  job: PatchJob,
  reading: JobReading,
  willAsk = false,
): Promise<Answer<PlanWithAssets>> {
  const { definition } = job;
  const wanted = splitPatches(definition.patches);
  const everythingNewer = definition.criteria?.everything_newer === true;
  const byCriteria = (reading.criteria ?? []).map((one) => ({ ...one, id: patchId(one) }));
  const { patches, sources, ...known } = await patchesOfJob(
    trx,
    wanted.packages,
    byCriteria.map((one) => one.package),
  );
  const mitigations = mitigationsById(wanted.mitigations);
  const vulnerabilities = everythingNewer
    ? null
    : [...known.vulnerabilities, ...mitigations.flatMap((one) => one.mitigates.map((m) => m.vulnerability))];
  const unknown = [
    ...wanted.packages.filter((id) => !patches.some((patch) => patch.id === id)),
    ...wanted.mitigations.filter((id) => !mitigations.some((one) => one.id === id)).map(mitigationPatchId),
  ];
  if (unknown.length > 0) {
    return refuse(
      422,
      'patch_unknown',
      `these patches of the job are not known any more: ${unknown.join(', ')}`,
      'create a new job with patches that are known',
    );
  }
  const assets: PlanAsset[] = [];
  const assetIdOf = new Map<string, number>();
  const { assetIds, leftOut } = reading;
  for (let i = 0; i < assetIds.length; i += assetsAtOnce) {
    const ids = assetIds.slice(i, i + assetsAtOnce);
    const read = await planAssets(trx, ids, leftOut, vulnerabilities, everythingNewer ? 'all' : sources);
    for (const [id, asset] of read) {
      assets.push(asset);
      assetIdOf.set(asset.uid, id);
    }
  }
  const made = makePlan(
    job,
    patches,
    assets,
    context.clock.now().getTime(),
    { action: definition.undo_mitigations === true ? 'undo' : 'apply', mitigations },
    {
      touch: definition,
      denied: await deniedPatterns(trx),
      notes: reading.notes,
      willAsk,
      ...(definition.criteria === undefined ? {} : { criteria: { patches: byCriteria, everythingNewer } }),
    },
  );
  return answer({ plan: Value.Parse(Plan, made), assetIdOf });
}

/** `more`: source packages of other patches that are wanted. */
async function patchesOfJob(trx: Transact, ids: readonly string[], more: readonly string[]) {
  const facts = ids.length === 0 ? [] : await patchFacts(trx, { ids });
  const patches: PlanPatch[] = facts.map(({ id, ecosystem, release, package: name, version }) => ({
    id,
    ecosystem,
    release,
    package: name,
    version,
  }));
  // a repository may offer something newer than the patch, which fixes more: all that is known of the package counts
  const vulnerabilities = new Set<string>();
  const sources = [...new Set([...patches.map((patch) => patch.package), ...more])];
  for (const one of sources.length === 0 ? [] : await patchFacts(trx, { packages: sources })) {
    for (const vulnerability of one.fixes) vulnerabilities.add(vulnerability);
  }
  return {
    patches,
    vulnerabilities: [...vulnerabilities],
    sources,
  };
}

/** `sources`: of which candidates are read. `vulnerabilities`: of which findings are; null: all. */
export async function planAssets(
  trx: Transact,
  ids: readonly number[],
  leftOut: ReadonlyMap<number, string>,
  vulnerabilities: readonly string[] | null,
  sources: readonly string[] | 'all',
): Promise<Map<number, PlanAsset>> {
  const rows = await assetFacts(trx, ids, sources);
  const software = await installedOf(trx, rows);
  const findings =
    vulnerabilities !== null && vulnerabilities.length === 0
      ? new Map<number, never[]>()
      : await findingsOfAssets(trx, ids, vulnerabilities === null ? {} : { vulnerabilities });
  const busy = await assetsWithOpenTask(trx, ids);
  const assets = new Map<number, PlanAsset>();
  for (const row of rows) {
    const policy = row.policy === null ? undefined : HostPolicyShape.Parse(row.policy);
    assets.set(row.id, {
      uid: row.uid,
      hostname: row.hostname,
      mode: row.mode === 'manage' ? 'manage' : 'assess',
      retired: row.retired_at !== null,
      excludedByJob: leftOut.get(row.id) ?? null,
      taskUnderWay: busy.has(row.id),
      // check-ins are written in batches, so the inventory can be there first
      lastSeenAt: (row.last_seen_at ?? row.inventory_at)?.toISOString() ?? null,
      inventory:
        row.digests === null
          ? null
          : {
              product: productOf(row.os, row.os_release),
              packages: software.get(row.id) ?? [],
              candidates: CandidateList.Parse(row.offered),
              held: row.held === null ? [] : NameList.Parse(row.held),
              machine: row.machine === 'container' ? 'container' : 'physical_or_virtual',
              mitigations: storedMitigations(row.mitigations),
              ...(policy === undefined ? {} : { policy }),
              ...(row.package_manager === null
                ? {}
                : { packageManager: PackageManagerShape.Parse(row.package_manager) }),
            },
      findings: findings.get(row.id) ?? [],
    });
  }
  return assets;
}

/** The packages of assets; each distinct software is read once. */
export async function installedOf(
  trx: Transact,
  rows: readonly { readonly id: number; readonly software: readonly number[] }[],
): Promise<Map<number, InstalledPackage[]>> {
  const distinct = new Set(rows.flatMap((row) => [...row.software]));
  const byId = new Map((await softwareOf(trx, [...distinct])).map((one) => [one.id, one]));
  return new Map(
    rows.map((row) => [
      row.id,
      row.software.flatMap((id) => {
        const one = byId.get(id);
        return one === undefined ? [] : [installedPackage(one)];
      }),
    ]),
  );
}
