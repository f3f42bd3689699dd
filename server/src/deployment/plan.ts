import { Type, type Static } from 'typebox';
import { Compile } from 'typebox/compile';
import { Value } from 'typebox/value';
import { Candidate, ReportedMitigation, Residue } from '@fixpoint/contract/inventory.ts';
import { Plan, type PatchJob, type PlannedTask } from '@fixpoint/contract/patch-job.ts';
import type { InstalledPackage } from '@fixpoint/core/inventory/inventory.ts';
import { mitigationPatchId } from '@fixpoint/core/mitigation/mitigation.ts';
import { splitPatches } from '@fixpoint/core/patch-job/definition.ts';
import { makePlan } from '@fixpoint/core/plan/make-plan.ts';
import type { PlanAsset, PlanPatch } from '@fixpoint/core/plan/plan.ts';
import type { Context, Transact } from '../context.ts';
import { findingsOfAssets } from '../finding/commands.ts';
import { mitigationsById } from '../mitigation/commands.ts';
import { patchFacts } from '../patch/commands.ts';
import { targetOfDefinition } from '../patch-job/commands.ts';
import { answer, refuse, type Answer } from '../refusal.ts';
import { installedPackage, softwareOf } from '../software/commands.ts';
import { assetFacts, assetsWithOpenTask } from './reads.ts';

const CandidateList = Compile(Type.Array(Candidate));
const ResidueList = Compile(Type.Array(Residue));
const MitigationList = Compile(Type.Array(ReportedMitigation));
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
 * Makes the plan of a job from what is known right now. Writes nothing. To make a deployment of it, lock the assets first
 * (`lockTarget`), so that no other deployment begins a task on one of them in between. `tagged`: the assets in its tags.
 */
export async function planJob(
  trx: Transact,
  context: Pick<Context, 'clock'>,
  job: PatchJob,
  tagged: readonly number[],
): Promise<Answer<PlanWithAssets>> {
  const target = await targetOfDefinition(trx, job.definition, tagged);
  if (!target.ok) return target;
  const wanted = splitPatches(job.definition.patches);
  const { patches, sources, ...known } = await patchesOfJob(trx, wanted.packages);
  const mitigations = mitigationsById(wanted.mitigations);
  const vulnerabilities = [
    ...known.vulnerabilities,
    ...mitigations.flatMap((one) => one.mitigates.map((m) => m.vulnerability)),
  ];
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
  const { assetIds, excluded } = target.value;
  for (let i = 0; i < assetIds.length; i += assetsAtOnce) {
    const ids = assetIds.slice(i, i + assetsAtOnce);
    for (const [id, asset] of await planAssets(trx, ids, excluded, vulnerabilities, sources)) {
      assets.push(asset);
      assetIdOf.set(asset.uid, id);
    }
  }
  const made = makePlan(job, patches, assets, context.clock.now().getTime(), {
    action: job.definition.undo_mitigations === true ? 'undo' : 'apply',
    mitigations,
  });
  return answer({ plan: Value.Parse(Plan, made), assetIdOf });
}

async function patchesOfJob(trx: Transact, ids: readonly string[]) {
  const facts = await patchFacts(trx, { ids });
  const patches: PlanPatch[] = facts.map(({ id, ecosystem, release, package: name, version }) => ({
    id,
    ecosystem,
    release,
    package: name,
    version,
  }));
  // a repository may offer something newer than the patch, which fixes more: all that is known of the package counts
  const vulnerabilities = new Set<string>();
  const sources = [...new Set(patches.map((patch) => patch.package))];
  for (const one of await patchFacts(trx, { packages: sources })) {
    for (const vulnerability of one.fixes) vulnerabilities.add(vulnerability);
  }
  return {
    patches,
    vulnerabilities: [...vulnerabilities],
    sources,
  };
}

async function planAssets(
  trx: Transact,
  ids: readonly number[],
  excluded: ReadonlySet<number>,
  vulnerabilities: readonly string[],
  sources: readonly string[],
): Promise<Map<number, PlanAsset>> {
  const rows = await assetFacts(trx, ids, sources);
  const software = await installedOf(trx, rows);
  const findings = await findingsOfAssets(trx, ids, { vulnerabilities });
  const busy = await assetsWithOpenTask(trx, ids);
  const assets = new Map<number, PlanAsset>();
  for (const row of rows) {
    assets.set(row.id, {
      uid: row.uid,
      hostname: row.hostname,
      mode: row.mode === 'manage' ? 'manage' : 'assess',
      retired: row.retired_at !== null,
      excludedByJob: excluded.has(row.id),
      taskUnderWay: busy.has(row.id),
      // check-ins are written in batches, so the inventory can be there first
      lastSeenAt: (row.last_seen_at ?? row.inventory_at)?.toISOString() ?? null,
      inventory:
        row.digests === null
          ? null
          : {
              product: { ecosystem: row.os, release: row.os_release },
              packages: software.get(row.id) ?? [],
              candidates: CandidateList.Parse(row.offered),
              held: row.held === null ? [] : NameList.Parse(row.held),
              machine: row.machine === 'container' ? 'container' : 'physical_or_virtual',
              mitigations: storedMitigations(row.mitigations),
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
