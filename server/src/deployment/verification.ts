import { Type } from 'typebox';
import { Compile } from 'typebox/compile';
import type { PlannedTask } from '@fixpoint/contract/patch-job.ts';
import { oneOf } from '@fixpoint/contract/enum.ts';
import type { Residue } from '@fixpoint/core/inventory/inventory.ts';
import type { ObservedFinding, Verification, VerificationInput } from '@fixpoint/core/task/verify.ts';
import { verify } from '@fixpoint/core/task/verify.ts';
import { failureReason, type TaskReason } from '@fixpoint/core/task/reasons.ts';
import { explainWaiting } from '@fixpoint/core/deployment/decide.ts';
import type { NewAuditEvent } from '../audit/commands.ts';
import type { Context, Transact } from '../context.ts';
import { findingsOfAssets, type AssetFinding } from '../finding/commands.ts';
import { isProductKnown, productOf } from '../knowledge/commands.ts';
import type { NewAlert } from '../notify/commands.ts';
import { sourceVersionOf } from '../software/commands.ts';
import { type Aftermath, taskAlert } from './aftermath.ts';
import { deploymentActor, moveTask } from './move.ts';
import { concernedBy, installedOf, storedMitigations, storedResidue } from './plan.ts';
import { deploymentWithJob } from './heads.ts';
import { assetFacts } from './reads.ts';
import type { TaskRow } from './records.ts';
import { rollBackAfterFailure } from './rollback.ts';
import { appendTaskEvent, updateTask } from './store.ts';

/** A finding as evidence keeps it. */
export function findingOf(finding: AssetFinding): ObservedFinding {
  const { vulnerability, source, status, statusReason, fixedVersion } = finding;
  return { vulnerability, source, status, statusReason, fixedVersion };
}

const Before = Compile(
  Type.Object({
    before: Type.Array(
      Type.Object({
        vulnerability: Type.String(),
        source: Type.String(),
        status: oneOf(['open', 'restart_pending', 'reboot_pending', 'mitigated', 'accepted', 'undetermined']),
        statusReason: Type.Union([Type.String(), Type.Null()]),
        fixedVersion: Type.Union([Type.String(), Type.Null()]),
      }),
    ),
  }),
);

/** The findings before, as insertPlannedTasks stored them; they stay in the evidence through every judgement. */
function beforeOf(evidence: unknown): ObservedFinding[] {
  return Before.Parse(evidence).before;
}

/**
 * Judges a task (locked, with its asset) by the inventory that is stored: the only way a task succeeds. From
 * `restart_pending` and `reboot_pending` it judges too, and changes nothing while what is pending still is.
 */
export async function judgeTask(
  trx: Transact,
  context: Pick<Context, 'clock'>,
  given: TaskRow,
): Promise<Aftermath & { task: TaskRow }> {
  const [asset] = await assetFacts(trx, [given.assetId], null);
  if (asset === undefined) throw new Error(`task ${given.id} is of an asset that is not there`);
  // A retired asset has no findings, which proves nothing. The next tick ends its task.
  if (asset.retired_at !== null) return { task: given, audit: [], alerts: [] };
  if (given.state === 'reboot_pending' && (await isRebootToCome(trx, given, asset.reboot_required_by))) {
    return { task: given, audit: [], alerts: [] };
  }
  const installed = (await installedOf(trx, [asset])).get(asset.id) ?? [];
  const concerned = concernedBy(given.planned);
  const findings =
    concerned.length === 0
      ? []
      : ((await findingsOfAssets(trx, [asset.id], { vulnerabilities: concerned })).get(asset.id) ?? []);
  const result = verify({
    before: beforeOf(given.evidence),
    expectedGone: given.planned.fixes,
    after: findings.map(findingOf),
    installed,
    expectedVersions: [
      ...given.planned.packages,
      ...(given.planned.added ?? []).map(({ name, arch, version }) => ({ name, arch, to: version })),
    ],
    residue: await resolvedResidue(trx, asset),
    ...expectedMitigations(given.planned, asset.mitigations),
    unjudged: await unjudgedBecause(trx, asset, given.planned),
  });
  if (result.outcome === given.state) return { task: given, audit: [], alerts: [] };
  const now = context.clock.now();
  if (result.outcome === 'undetermined' && given.reason?.message === result.evidence.sentence) {
    await updateTask(trx, given.id, { updatedAt: now });
    return { task: { ...given, updatedAt: now }, audit: [], alerts: [] };
  }
  const audit: NewAuditEvent[] = [];
  let task = given;
  if (task.state === 'restart_pending' || task.state === 'reboot_pending') {
    const moved = await moveTask(trx, context, task, {
      to: 'verifying',
      source: 'server',
      actor: deploymentActor,
      at: now,
      message: 'A new inventory arrived.',
    });
    task = moved.task;
    audit.push(...moved.audit);
  }
  const evidence = {
    ...result.evidence,
    outcome: result.outcome,
    judged_at: now.toISOString(),
    inventory_at: asset.inventory_at?.toISOString() ?? null,
    digests: asset.digests,
  };
  audit.push(verifiedEvent(task, result));
  if (result.outcome === 'undetermined') {
    return {
      task: await leaveUndecided(trx, context, task, result, evidence),
      audit,
      alerts: [undecidedAlert(task, result)],
    };
  }
  const to = result.outcome === 'not_remediated' ? 'failed' : result.outcome;
  const moved = await moveTask(trx, context, task, {
    to,
    source: 'server',
    actor: deploymentActor,
    at: now,
    message: result.evidence.sentence,
    reason: reasonOf(result),
    change: { evidence },
  });
  audit.push(...moved.audit);
  const alerts = result.outcome === 'not_remediated' ? [notRemediatedAlert(task, result)] : [];
  const undone = await rollBackAfterFailure(trx, context, moved.task);
  return {
    task: undone.task,
    audit: [...audit, ...undone.audit],
    alerts: [...alerts, ...undone.alerts],
  };
}

/**
 * Whether the job reboots by itself and the host still says that one of the packages wants it: then the task goes on to its reboot,
 * even where every vulnerability is gone already. Of a job that leaves reboots to people, only what is vulnerable counts.
 */
async function isRebootToCome(trx: Transact, task: TaskRow, requiredBy: unknown): Promise<boolean> {
  const names = new Set(Array.isArray(requiredBy) ? requiredBy : []);
  const { packages, added = [] } = task.planned;
  if (![...packages, ...added].some((p) => names.has(p.name))) return false;
  const { definition } = await deploymentWithJob(trx, task.deploymentId);
  return definition.reboot?.mode === 'force' || definition.reboot?.mode === 'prompt';
}

function expectedMitigations(
  { mitigations }: PlannedTask,
  reported: unknown,
): Pick<VerificationInput, 'mitigations'> {
  if (mitigations === undefined) return {};
  return {
    mitigations: {
      expected: mitigations.map(({ action, digest, mitigation }) => ({ id: mitigation.id, action, digest })),
      reported: storedMitigations(reported),
      vulnerabilities: mitigations.flatMap((one) => [...one.blocks, ...one.reduces]),
    },
  };
}

type JudgedAsset = Awaited<ReturnType<typeof assetFacts>>[number];

/** Why the absence of findings on this asset would say nothing; null when it says something. */
async function unjudgedBecause(
  trx: Transact,
  asset: JudgedAsset,
  planned: PlannedTask,
): Promise<string | null> {
  const [problem] = asset.problems;
  if (problem !== undefined) {
    return `The agent cannot read the host as a whole just now, so what is held of it may be out of date (${problem.code}): ${problem.message}`;
  }
  // of a configuration the host itself is the judge
  if (planned.packages.length === 0) return null;
  if (await isProductKnown(trx, productOf(asset.os, asset.os_release))) return null;
  return `No vulnerability data is loaded for ${asset.os} ${asset.os_release}, so it cannot be decided what is gone from the host.`;
}

/** What is still there although it was replaced. Where nobody knows what its version was built from, its version is not known. */
async function resolvedResidue(trx: Transact, asset: JudgedAsset): Promise<Residue[]> {
  const product = productOf(asset.os, asset.os_release);
  const resolved: Residue[] = [];
  for (const one of storedResidue(asset.residue)) {
    const { version } = one;
    const isUnknown =
      version !== null &&
      one.source_version === null &&
      (await sourceVersionOf(trx, product, { name: one.name, arch: one.arch, version })) === null;
    resolved.push(isUnknown ? { ...one, version: null } : one);
  }
  return resolved;
}

function reasonOf(result: Verification): TaskReason | null {
  const { outcome, evidence } = result;
  if (outcome === 'not_remediated') return failureReason('not_remediated', evidence.sentence);
  if (outcome === 'restart_pending' || outcome === 'reboot_pending') {
    return { code: outcome, message: evidence.sentence, what_to_do: explainWaiting(outcome).whatToDo };
  }
  return null;
}

/** A task that cannot be judged stays `verifying`, says why, and is judged again with the next inventory. */
async function leaveUndecided(
  trx: Transact,
  context: Pick<Context, 'clock'>,
  task: TaskRow,
  result: Verification,
  evidence: unknown,
): Promise<TaskRow> {
  const at = context.clock.now();
  const reason: TaskReason = {
    code: 'verification_undetermined',
    message: result.evidence.sentence,
    what_to_do:
      'See what of the asset is undetermined and why; the task is judged again with its next inventory.',
  };
  await updateTask(trx, task.id, { reason, evidence, updatedAt: at });
  await appendTaskEvent(trx, task.id, {
    at,
    from: 'verifying',
    to: 'verifying',
    source: 'server',
    message: reason.message,
    detail: null,
  });
  return { ...task, reason, evidence, updatedAt: at };
}

function verifiedEvent(task: TaskRow, { outcome, evidence }: Verification): NewAuditEvent {
  return {
    actor: deploymentActor,
    event: 'task.verified',
    subjectKind: 'task',
    subject: task.id,
    reason: evidence.sentence,
    before: { vulnerabilities: [...new Set(evidence.before.map((one) => one.vulnerability))].sort() },
    after: {
      outcome,
      expected_gone: evidence.expected_gone,
      gone: evidence.gone,
      remaining: evidence.remaining.map((one) => ({
        vulnerability: one.vulnerability,
        status: one.status,
        reason: one.statusReason,
      })),
      wrong_versions: evidence.wrong_versions,
      mitigations: evidence.mitigations,
      bears_on: evidence.bears_on?.map((one) => ({ vulnerability: one.vulnerability, status: one.status })),
      asset: task.planned.asset_id,
      deployment: task.deploymentId,
    },
  };
}

function notRemediatedAlert(task: TaskRow, result: Verification): NewAlert {
  const { message, what_to_do: whatToDo } = failureReason('not_remediated', result.evidence.sentence);
  const { remaining, wrong_versions } = result.evidence;
  return taskAlert(task, {
    kind: 'not_remediated',
    severity: 'critical',
    message,
    whatToDo,
    detail: { remaining, wrong_versions },
  });
}

function undecidedAlert(task: TaskRow, result: Verification): NewAlert {
  return taskAlert(task, {
    kind: 'verification_undetermined',
    severity: 'warning',
    message: result.evidence.sentence,
    whatToDo: 'See what of the asset is undetermined and why.',
    detail: { remaining: result.evidence.remaining },
  });
}
