/**
 * The closed loop on booted hosts: a real vulnerability is found, correlated with its patch, deployed by a job, verified by
 * the re-scan and closed, and the audit trail tells it. Then the ways in which it goes wrong.
 */
import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { Type } from 'typebox';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { FeedImport } from '@fixpoint/contract/feed.ts';
import { waitFor } from './clock.ts';
import { type Lab, startLab } from './fleet.ts';
import type { Host } from './host.ts';
import { labTrackerJson, vulnerabilityOf } from './lab-knowledge.ts';
import { fixedVersion, vulnerableVersion } from './lab-packages.ts';
import {
  alerts,
  createJob,
  findings,
  newestPatch,
  onlyTask,
  preview,
  startJob,
  taskDetail,
  trail,
  watchDeployment,
} from './patching.ts';
import { missing, say } from './lab-suite.ts';
import { agentBinary, enrolHosts, startProduct, type Product } from './product.ts';
import { cleanEnvironment, runCommand } from './run-command.ts';
import { buildRepository, configureRepository, updateOnlyLabRepository } from './repository.ts';
import { serveFolder, type RepositoryServer } from './repository-server.ts';

const commandLine = resolve(import.meta.dirname, '../../cli/bin/fixpoint.mjs');
/** As much of GET /api/v1/distribution as is looked at. */
const Distribution = Type.Object({ served_bytes: Type.Number() });
const tell = (hostname: string, state: string, message: string): void => {
  say(`${hostname}: ${state} ${message}`.trimEnd());
};

describe.skipIf(missing !== undefined)('the closed loop', () => {
  let lab: Lab;
  let product: Product;
  let repository: RepositoryServer;
  let web: Host;
  let ids: Map<string, string>;

  beforeAll(async () => {
    const binary = await agentBinary(say);
    lab = await startLab({ onProgress: say });
    const built = await buildRepository(`${lab.folder}/repository`);
    repository = await serveFolder(built.folder, lab.network.address);
    product = await startProduct({
      address: lab.network.address,
      origins: [repository.url],
    });
    await product.api.upload(
      '/api/v1/feeds/debian-tracker/import?name=lab.json',
      labTrackerJson(),
      FeedImport,
    );
    const names = ['web-1', 'unfixed-1', 'diverts-1', 'fails-1'];
    const hosts = await lab.bootHosts(
      names.map((name) => ({
        name,
        prepare: async (off: Host) => await configureRepository(off, built, repository.url),
      })),
    );
    for (const host of hosts) {
      const wanted = host.name === 'web-1' ? 'good' : host.name.replace('-1', '');
      await host.runOrThrow(updateOnlyLabRepository, { timeoutSeconds: 60 });
      await host.runOrThrow(['apt-get', 'install', '--yes', `fixpoint-lab-${wanted}=${vulnerableVersion}`], {
        timeoutSeconds: 120,
      });
    }
    const [first] = hosts;
    if (first === undefined) throw new Error('no host booted');
    web = first;
    ids = await enrolHosts(product, binary, hosts, { tags: ['lab'], mode: 'manage' });
  });
  afterAll(async () => {
    await product?.stop();
    await repository?.stop();
    await lab?.stop();
  });

  const assetOf = (name: string): string => {
    const id = ids.get(name);
    if (id === undefined) throw new Error(`${name} is not enrolled`);
    return id;
  };

  test('openssl under a running nginx: found, patched, restarted, verified, closed, told', async () => {
    const before = await findings(product, 'asset=web-1&package=openssl');
    expect(before.length).toBeGreaterThan(10);
    const newest = before.find((finding) => finding.vulnerability === 'CVE-2026-54872');
    expect(newest).toMatchObject({
      status: 'open',
      fix_state: 'available',
      fixed_version: '3.0.22-1~deb12u2',
      patch: { offered: true },
    });
    expect(newest?.installed.join()).toContain('libssl3 3.0.17-1~deb12u2');
    expect(newest?.evidence.sentence).toContain('is older than');

    const patch = await newestPatch(product, 'openssl');
    const job = await createJob(product, {
      name: 'openssl on web',
      patches: [patch],
      assets: ['web-1'],
    });
    const plan = await preview(product, job.id);
    expect(plan.tasks.map((task) => task.hostname)).toEqual(['web-1']);
    expect(plan.tasks[0]?.packages.map((p) => p.name).toSorted()).toEqual(['libssl3', 'openssl']);
    expect(plan.tasks[0]?.fixes).toContain('CVE-2026-54872');
    const nginx = (await web.runOrThrow(['systemctl', 'show', '-P', 'MainPID', 'nginx'])).trim();

    const deployment = await startJob(product, job.id, plan.digest);
    const ended = await watchDeployment(product, deployment, { timeoutSeconds: 120, onChange: tell });
    const detail = await onlyTask(product, deployment);
    expect(detail.task.reason).toBeNull();
    expect(ended.tasks[0]?.state).toBe('succeeded');
    expect((await web.runOrThrow(['systemctl', 'show', '-P', 'MainPID', 'nginx'])).trim()).not.toBe(nginx);
    expect(await findings(product, 'asset=web-1&package=openssl&vulnerability=CVE-2026-54872')).toEqual([]);
    const fixed = await findings(
      product,
      'asset=web-1&package=openssl&status=fixed&vulnerability=CVE-2026-54872',
    );
    expect(fixed).toHaveLength(1);
    expect(fixed[0]?.evidence.sentence).toMatch(/3\.0\.17-1~deb12u2/);

    const story = (await trail(product, 'vulnerability=CVE-2026-54872')).map((event) => event.event);
    const steps = [
      'finding.opened',
      'patch.correlated',
      'deployment.created',
      'finding.status_changed',
      'finding.closed',
      'task.verified',
    ];
    const positions = steps.map((step) => story.indexOf(step));
    expect(
      positions.every((at) => at >= 0),
      `${steps.join()} in ${story.join()}`,
    ).toBe(true);
    expect(positions).toEqual(positions.toSorted((a, b) => a - b));
  });

  test('units left alone: the task waits for what still runs the old code, and a reboot closes it', async () => {
    const host = lab.hosts().find((one) => one.name === 'fails-1');
    const patch = await newestPatch(product, 'openssl');
    const job = await createJob(product, {
      name: 'leave',
      patches: [patch],
      assets: ['fails-1'],
      units: 'leave',
    });
    const deployment = await startJob(product, job.id);
    await waitFor(
      'the task to wait for a restart',
      async () => ((await onlyTask(product, deployment)).task.state === 'restart_pending' ? true : undefined),
      { timeoutSeconds: 60, everySeconds: 0.5 },
    );
    const pending = await findings(product, 'asset=fails-1&package=openssl&vulnerability=CVE-2026-54872');
    expect(pending).toHaveLength(1);
    expect(pending[0]).toMatchObject({ status: 'restart_pending' });
    expect(pending[0]?.status_reason).toContain('nginx');
    await host?.reboot();
    await watchDeployment(product, deployment, { timeoutSeconds: 60, onChange: tell });
    expect((await onlyTask(product, deployment)).task.state).toBe('succeeded');
    expect(await findings(product, 'asset=fails-1&package=openssl&vulnerability=CVE-2026-54872')).toEqual([]);
  });

  test('curl on a tag, by the command line as a person types it, through the distribution point', async () => {
    const fixpoint = async (...words: string[]) =>
      await runCommand([process.execPath, commandLine, ...words], {
        timeoutSeconds: 180,
        environment: {
          ...cleanEnvironment,
          FIXPOINT_SERVER: product.url,
          FIXPOINT_TOKEN: (await readFile(`${product.dataFolder}/operator-token`, 'utf8')).trim(),
        },
      });
    const kept = await product.api.get('/api/v1/distribution', Distribution);
    const listed = await fixpoint('patch', 'list', '--package', 'curl', '--json');
    expect(listed.exitCode).toBe(0);
    const patch = await newestPatch(product, 'curl');
    expect(listed.stdout).toContain(patch);

    const shown = await fixpoint(
      'job',
      'create',
      '--name',
      'seen',
      '--patch',
      patch,
      '--target',
      'tag:lab',
      '--preview',
    );
    expect(shown.exitCode).toBe(0);
    expect(shown.stdout).toContain('7.88.1-10+deb12u5');
    for (const name of ids.keys()) expect(shown.stdout).toContain(name);
    expect((await findings(product, 'package=curl&status=fixed')).length).toBe(0);

    // Straight to the mirror there is no way: these hosts have no route.
    const direct = await web.run(
      ['apt-get', 'download', 'curl', '-o', 'Acquire::http::Timeout=3', '-o', 'Acquire::Retries=0'],
      {
        timeoutSeconds: 60,
      },
    );
    expect(direct.exitCode).not.toBe(0);

    const what = ['--name', 'curl', '--patch', patch, '--target', 'tag:lab', '--exclude', 'unfixed-1'];
    const done = await fixpoint('job', 'create', ...what, '--start', '--watch', '--reason', 'lab');
    expect(done.stderr).toBe('');
    expect(done.exitCode).toBe(0);
    for (const name of ['web-1', 'diverts-1', 'fails-1'])
      expect(done.stdout).toMatch(new RegExp(`succeeded +${name}`));
    const fixed = await findings(product, 'package=curl&status=fixed');
    expect([...new Set(fixed.map((finding) => finding.hostname))].toSorted()).toEqual([
      'diverts-1',
      'fails-1',
      'web-1',
    ]);
    const after = await product.api.get('/api/v1/distribution', Distribution);
    expect(after.served_bytes).toBeGreaterThan(kept.served_bytes + 500_000);

    const story = await fixpoint('audit', 'list', '--vulnerability', fixed[0]?.vulnerability ?? '');
    expect(story.stdout).toMatch(/finding\.opened[^]*deployment\.created[^]*task\.offered[^]*task\.verified/);
    expect((await fixpoint('audit', 'verify')).exitCode).toBe(0);
  });

  test.each([
    ['unfixed-1', 'fixpoint-lab-unfixed'],
    ['diverts-1', 'fixpoint-lab-diverts'],
  ])('%s: an installer that exits 0 and leaves the vulnerable file', async (hostname, packageName) => {
    const host = lab.hosts().find((one) => one.name === hostname);
    const patch = await newestPatch(product, packageName);
    const job = await createJob(product, { name: packageName, patches: [patch], assets: [hostname] });
    const deployment = await startJob(product, job.id);
    await watchDeployment(product, deployment, { timeoutSeconds: 120, onChange: tell });
    const detail = await onlyTask(product, deployment);
    expect(detail.task.state).toBe('failed');
    expect(detail.task.reason?.code).toBe('not_remediated');
    const version = await host?.runOrThrow(['dpkg-query', '-W', '-f', '${Version}', packageName]);
    expect(version).toBe(fixedVersion);
    const open = await findings(product, `asset=${hostname}&vulnerability=${vulnerabilityOf(packageName)}`);
    expect(open.map((finding) => finding.status)).toEqual(['open']);
    const raised = (await alerts(product)).filter((alert) => alert.kind === 'not_remediated');
    expect(
      raised.some(
        (alert) => JSON.stringify(alert).includes(detail.task.id) || alert.message.includes(hostname),
      ),
    ).toBe(true);
  });

  test('fails-1: a maintainer script that fails is told as such, and the finding stays open', async () => {
    const patch = await newestPatch(product, 'fixpoint-lab-fails');
    const job = await createJob(product, { name: 'fails', patches: [patch], assets: ['fails-1'] });
    const deployment = await startJob(product, job.id);
    await watchDeployment(product, deployment, { timeoutSeconds: 120, onChange: tell });
    const detail = await onlyTask(product, deployment);
    expect(detail.task.state).toBe('failed');
    expect(detail.task.reason?.code).toBe('maintainer_script_failed');
    expect(await taskDetail(product, detail.task.id)).toMatchObject({ task: { hostname: 'fails-1' } });
    expect(assetOf('fails-1')).toBe(detail.task.asset_id);
  });
});
