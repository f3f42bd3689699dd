/** What tests and the demo do over and over: make a job, start it, watch it, ask what is found. */
import type { Static } from 'typebox';
import { Alert, AuditEvent } from '@fixpoint/contract/audit.ts';
import { Finding, Patch } from '@fixpoint/contract/finding.ts';
import { List } from '@fixpoint/contract/list.ts';
import { Deployment, DeploymentDetail, PatchJob, Plan, TaskDetail } from '@fixpoint/contract/patch-job.ts';
import { waitFor } from './clock.ts';
import type { Product } from './product.ts';

export interface JobOptions {
  readonly name: string;
  readonly patches: readonly string[];
  readonly tags?: readonly string[];
  readonly assets?: readonly string[];
  readonly units?: 'restart' | 'leave';
  readonly concurrency?: number;
  /** Take the mitigations among the patches back. */
  readonly undo?: boolean;
  /** Default an hour. */
  readonly expireAfterSeconds?: number;
  /** Further parts of the definition. */
  readonly more?: Readonly<Record<string, unknown>>;
}

/** The patch of a package that an asset's repositories offer and nothing supersedes. */
export async function newestPatch(product: Product, packageName: string): Promise<string> {
  const { items } = await product.api.get(`/api/v1/patches?package=${packageName}&limit=1000`, List(Patch));
  const offered = items.filter((patch) => patch.offered_since !== null);
  const newest = offered.find((patch) => !offered.some((other) => other.supersedes.includes(patch.id)));
  if (newest === undefined) throw new Error(`no repository of any host offers a patch of ${packageName}`);
  return newest.id;
}

export async function createJob(product: Product, options: JobOptions): Promise<Static<typeof PatchJob>> {
  return await product.api.post(
    '/api/v1/jobs',
    {
      name: options.name,
      trigger: 'manual',
      patches: options.patches,
      target: { tags: options.tags ?? [], assets: options.assets ?? [], exclude: [] },
      ...(options.undo === undefined ? {} : { undo_mitigations: options.undo }),
      units: options.units ?? 'restart',
      install_timeout_seconds: 120,
      expire_after_seconds: options.expireAfterSeconds ?? 3600,
      concurrency: options.concurrency ?? 100,
      ...options.more,
    },
    PatchJob,
  );
}

export async function preview(product: Product, jobId: string): Promise<Static<typeof Plan>> {
  return await product.api.post(`/api/v1/jobs/${jobId}/preview`, {}, Plan);
}

export async function startJob(product: Product, jobId: string, planDigest?: string): Promise<string> {
  const deployment = await product.api.post(
    `/api/v1/jobs/${jobId}/start`,
    planDigest === undefined ? {} : { plan_digest: planDigest },
    Deployment,
  );
  return deployment.id;
}

export async function deploymentDetail(
  product: Product,
  id: string,
): Promise<Static<typeof DeploymentDetail>> {
  return await product.api.get(`/api/v1/deployments/${id}`, DeploymentDetail);
}

/** Waits until the deployment is over; tells each change of a task's state on the way. */
export async function watchDeployment(
  product: Product,
  id: string,
  options: { timeoutSeconds: number; onChange?: (hostname: string, state: string, message: string) => void },
): Promise<Static<typeof DeploymentDetail>> {
  const shown = new Map<string, string>();
  return await waitFor(
    `deployment ${id} to end`,
    async () => {
      const detail = await deploymentDetail(product, id);
      for (const task of detail.tasks) {
        if (shown.get(task.id) === task.state) continue;
        shown.set(task.id, task.state);
        options.onChange?.(task.hostname, task.state, task.reason?.message ?? '');
      }
      const running = ['draft', 'awaiting_approval', 'running', 'paused'].includes(detail.deployment.state);
      return running ? undefined : detail;
    },
    { timeoutSeconds: options.timeoutSeconds, everySeconds: 0.3 },
  );
}

export async function taskDetail(product: Product, id: string): Promise<Static<typeof TaskDetail>> {
  return await product.api.get(`/api/v1/tasks/${id}`, TaskDetail);
}

export async function findings(product: Product, query: string): Promise<Static<typeof Finding>[]> {
  return (await product.api.get(`/api/v1/findings?limit=10000&${query}`, List(Finding))).items;
}

export async function alerts(product: Product): Promise<Static<typeof Alert>[]> {
  return (await product.api.get('/api/v1/alerts?limit=1000', List(Alert))).items;
}

/** The audit trail of one subject, or of a vulnerability across subjects; oldest first. */
export async function trail(product: Product, query: string): Promise<Static<typeof AuditEvent>[]> {
  return (await product.api.get(`/api/v1/audit?limit=10000&${query}`, List(AuditEvent))).items;
}

/** The one task of a deployment over a single host. */
export async function onlyTask(product: Product, deploymentId: string): Promise<Static<typeof TaskDetail>> {
  const { tasks } = await deploymentDetail(product, deploymentId);
  const [task] = tasks;
  if (task === undefined || tasks.length !== 1)
    throw new Error(`the deployment has ${tasks.length} tasks, not one`);
  return await taskDetail(product, task.id);
}
