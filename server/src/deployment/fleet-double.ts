/** For tests only: a database that knows one fixed vulnerability of openssl, hosts that have it, and a job that fixes it. */
import type { PatchJobDefinition } from '@fixpoint/contract/patch-job.ts';
import { routes as asset } from '../asset/routes.ts';
import { routes as audit } from '../audit/routes.ts';
import { routes as auth } from '../auth/routes.ts';
import type { Room } from '../app.ts';
import type { Config } from '../config.ts';
import { debianTracker } from '../feed/debian-tracker/debian-tracker.ts';
import { madeUpFile } from '../feed/recorded.ts';
import { importFeed } from '../knowledge/import.ts';
import { routes as notify } from '../notify/routes.ts';
import { routes as patchDenial } from '../patch-denial/routes.ts';
import { routes as patchJob } from '../patch-job/routes.ts';
import { routes as plan } from '../plan/routes.ts';
import { createTag } from '../tag/commands.ts';
import { testApp, type TestApp } from '../test-app.ts';
import { AgentDouble, debianCandidate, debianPackage, type HostDouble } from './agent-double.ts';
import { logRoutes } from './log-routes.ts';
import { routes as deployment } from './routes.ts';

export const oldVersion = '3.0.17-1~deb12u2';
export const newVersion = '3.0.22-1~deb12u2';
export const vulnerability = 'CVE-2026-1111';
export const patch = `debian:12/openssl@${newVersion}`;

export function vulnerableHost(): HostDouble {
  return {
    packages: [
      debianPackage('libssl3', oldVersion, 'openssl'),
      debianPackage('openssl', oldVersion, 'openssl'),
      debianPackage('bash', '5.2.15-2+b7', 'bash', '5.2.15-2'),
    ],
    candidates: [
      debianCandidate('libssl3', newVersion, 'openssl'),
      debianCandidate('openssl', newVersion, 'openssl'),
    ],
    residue: [],
    held: [],
  };
}

export function jobDefinition(changes: Partial<PatchJobDefinition> = {}): PatchJobDefinition {
  return {
    name: 'openssl',
    trigger: 'manual',
    patches: [patch],
    target: { tags: ['web'], assets: [], exclude: [] },
    units: 'restart',
    install_timeout_seconds: 600,
    expire_after_seconds: 3600,
    concurrency: 10,
    ...changes,
  };
}

export interface Fleet extends TestApp {
  readonly operator: { authorization: string };
  call(
    method: 'GET' | 'POST',
    url: string,
    body?: unknown,
  ): Promise<{ status: number; body: Record<string, unknown> }>;
  enrol(hostname: string, host?: HostDouble, mode?: 'assess' | 'manage'): Promise<AgentDouble>;
  /** Creates a job, starts it, and answers the deployment's id. */
  start(changes?: Partial<PatchJobDefinition>): Promise<string>;
  /** State and reason code of each task of a deployment, by host name. */
  states(deployment: string): Promise<Record<string, string>>;
  audit(event?: string): Promise<{ event: string; subject: string; reason: string | null; after: unknown }[]>;
}

export async function testFleet(config: Partial<Config> = {}, more: readonly Room[] = []): Promise<Fleet> {
  const test = await testApp(
    [auth, audit, asset, notify, patchDenial, patchJob, plan, deployment, logRoutes, ...more],
    {
      config,
    },
  );
  const { db } = test.database;
  const release = { status: 'resolved', fixed_version: '3.0.20-1~deb12u1' };
  const tracker = { openssl: { [vulnerability]: { releases: { bookworm: release } } } };
  const imported = await importFeed(test.context, debianTracker, madeUpFile(JSON.stringify(tracker)), {
    actor: { kind: 'system', name: 'test' },
  });
  if (!imported.ok) throw new Error(imported.message);
  const tagged = await createTag(test.context, { kind: 'system', name: 'test' }, { name: 'web' });
  if (!tagged.ok) throw new Error(tagged.message);
  const operator = await test.bearer('operator');
  const call: Fleet['call'] = async (method, url, body) => {
    const response = await test.app.inject({
      method,
      url,
      headers: operator,
      ...(body === undefined ? {} : { payload: Object(body) }),
    });
    const answer: unknown = response.json();
    return { status: response.statusCode, body: Object(answer) };
  };
  return {
    ...test,
    operator,
    call,
    enrol: (hostname, host = vulnerableHost(), mode = 'manage') =>
      AgentDouble.enrol(test, hostname, host, { tags: ['web'], mode }),
    async start(changes) {
      const job = await call('POST', '/api/v1/jobs', jobDefinition(changes));
      if (job.status !== 201) throw new Error(JSON.stringify(job.body));
      const started = await call('POST', `/api/v1/jobs/${String(job.body.id)}/start`, {});
      if (started.status !== 201) throw new Error(JSON.stringify(started.body));
      return String(started.body.id);
    },
    async states(id) {
      const { body } = await call('GET', `/api/v1/deployments/${id}/tasks`);
      const items: { hostname: string; state: string; reason: { code: string } | null }[] = Object(
        body.items,
      );
      return Object.fromEntries(
        items.map((task) => [
          task.hostname,
          task.reason === null ? task.state : `${task.state} ${task.reason.code}`,
        ]),
      );
    },
    async audit(event) {
      let query = db.selectFrom('audit_event').selectAll().orderBy('sequence');
      if (event !== undefined) query = query.where('event', '=', event);
      return query.execute();
    },
  };
}
