/** The log of a task on a real host: it comes while apt is at work, and is whole after the agent was killed. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { TaskLogPage } from '@fixpoint/contract/task-log.ts';
import { waitFor } from './clock.ts';
import { installVulnerable, jobOver, slow, startFaultLab, untilInside, type FaultLab } from './fault-lab.ts';
import { onlyTask, startJob, watchDeployment } from './patching.ts';
import { missing, say } from './lab-suite.ts';

const patience = { timeoutSeconds: 30, everySeconds: 0.5 };

describe.skipIf(missing !== undefined)('the log of a task', () => {
  let faultLab: FaultLab;
  beforeAll(async () => {
    faultLab = await startFaultLab({ names: ['log1'], say });
  });
  afterAll(async () => {
    await faultLab?.stop();
  });

  test('comes while apt is at work, once, and without what must not leave the host', async () => {
    const { product } = faultLab;
    const host = faultLab.host('log1');
    await installVulnerable(host);
    await slow(host, 'postinst', 15);
    const deployment = await startJob(product, await jobOver(product, ['log1'], { name: 'log' }));
    const { task } = await onlyTask(product, deployment);
    const log = async (): Promise<TaskLogPage['items']> =>
      (await product.api.get(`/api/v1/tasks/${task.id}/log?limit=1000`, TaskLogPage)).items;
    await untilInside(host, 15);
    await waitFor(
      'the log to tell of the script that runs',
      async () =>
        (await log()).some((piece) => piece.step === 'install' && piece.text.includes('Setting up'))
          ? true
          : undefined,
      patience,
    );
    expect((await onlyTask(product, deployment)).task.ended_at).toBeNull();
    // The agent alone: apt goes on, and the next agent follows it.
    await host.runOrThrow(['systemctl', 'kill', '--signal=KILL', '--kill-who=main', 'fixpoint-agent']);
    await watchDeployment(product, deployment, { timeoutSeconds: 120 });
    expect((await onlyTask(product, deployment)).task.state).toBe('succeeded');
    const pieces = await log();
    expect(pieces.map((piece) => piece.place)).toEqual(pieces.map((_, index) => index));
    expect(new Set(pieces.map((piece) => piece.step))).toEqual(
      new Set(['refresh', 'simulate', 'download', 'install']),
    );
    const text = pieces.map((piece) => piece.text).join('');
    expect(text.match(/^Setting up /gmu)).toHaveLength(1);
    expect(text.match(/^Unpacking /gmu)).toHaveLength(1);
    expect(text).not.toMatch(/fxs\.\d/u);
    // As it stands on the host.
    const dir = `/var/lib/fixpoint-agent/tasks/${task.id}.1/runs`;
    const onHost = await host.runOrThrow(['cat', `${dir}/install-1.output`]);
    const installed = pieces.filter((piece) => piece.step === 'install').map((piece) => piece.text);
    expect(installed.join('').replaceAll(/.*\r/gu, '')).toBe(
      onHost.replaceAll('\r\n', '\n').replaceAll(/^.*\r/gmu, ''),
    );
  });
});
