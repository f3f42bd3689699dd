/**
 * Two hosts behind a distribution point near them: a package comes from the repository once; the point dies in the middle of a
 * download; somebody forges a file in its cache.
 */
import { createHash } from 'node:crypto';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  DistributionPoint,
  DistributionPointCreated,
  DistributionStatus,
} from '@fixpoint/contract/distribution.ts';
import { Type } from 'typebox';
import { waitFor } from './clock.ts';
import {
  auditVerifies,
  explained,
  good,
  hostFacts,
  installedOnce,
  installVulnerable,
  jobOver,
  startFaultLab,
  type FaultLab,
} from './fault-lab.ts';
import { fixedVersion } from './lab-packages.ts';
import { missing, say } from './lab-suite.ts';
import { alerts, startJob, taskDetail, trail, watchDeployment } from './patching.ts';
import { cleanEnvironment, startInBackground, type BackgroundProcess } from './run-command.ts';

const deb = `pool/main/${good}_${fixedVersion}_all.deb`;

describe.skipIf(missing !== undefined)('two hosts behind a distribution point', () => {
  let faultLab: FaultLab;
  let folder = '';
  let secret = '';
  let running: BackgroundProcess | undefined;
  const lines: string[] = [];

  const pointUrl = () => `http://${faultLab.lab.network.address}:${String(port)}`;
  const port = 18_421;

  async function startPoint(): Promise<void> {
    running = await startInBackground(
      [
        'setpriv',
        '--pdeathsig',
        'TERM',
        '--',
        resolve(import.meta.dirname, '../../cli/bin/fixpoint'),
        'distribution-point',
        'run',
        '--server',
        faultLab.product.url,
        '--listen',
        `${faultLab.lab.network.address}:${String(port)}`,
        '--data',
        folder,
      ],
      {
        environment: { ...cleanEnvironment, FIXPOINT_TOKEN: secret },
        onLine: (line) => lines.push(line),
      },
    );
    await waitFor(
      'the point to work',
      async () => {
        if (running?.hasExited() === true) throw new Error(`the point ended:\n${lines.join('\n')}`);
        return lines.some((line) => line.includes('listens on port')) && (await point()).state === 'working'
          ? true
          : undefined;
      },
      { timeoutSeconds: 30, everySeconds: 0.2 },
    );
  }

  async function stopPoint(signal: NodeJS.Signals): Promise<void> {
    running?.kill(signal);
    await running?.exited;
    running = undefined;
    lines.length = 0;
  }

  async function point(): Promise<DistributionPoint> {
    const { items } = await faultLab.product.api.get(
      '/api/v1/distribution-points',
      Type.Object({ items: Type.Array(DistributionPoint) }),
    );
    const [only] = items;
    if (only === undefined) throw new Error('no point is registered');
    return only;
  }

  const fetchedDebs = (): number => faultLab.repository.requests.filter((path) => path.endsWith(deb)).length;

  /** Deploys the fixed version to these hosts; answers what their tasks told of distribution points. */
  async function deploy(
    names: readonly string[],
    name: string,
    during: () => Promise<void> = async () => {},
  ) {
    const { product, lab } = faultLab;
    return await explained(product, lab.hosts(), async () => {
      const job = await jobOver(product, names, { name });
      const deployment = await startJob(product, job);
      await during();
      const ended = await watchDeployment(product, deployment, {
        timeoutSeconds: 60,
        onChange: (hostname, state, message) => say(`${hostname}: ${state} ${message}`.trimEnd()),
      });
      expect(ended.tasks.map((task) => task.state)).toEqual(names.map(() => 'succeeded'));
      for (const host of names) expect(await hostFacts(faultLab.host(host))).toEqual(installedOnce);
      const details = await Promise.all(ended.tasks.map((task) => taskDetail(product, task.id)));
      return details.flatMap((detail) =>
        detail.events.flatMap((event) => {
          const told: unknown = Object(event.detail).distribution;
          return told === undefined ? [] : [{ told, message: event.message }];
        }),
      );
    });
  }

  /** From now on the hosts see the repository under a name of which no cache has anything. */
  async function renamed(name: string, hosts: readonly string[]): Promise<string> {
    for (const host of hosts) {
      await faultLab.renameRepository(faultLab.host(host), name);
      await installVulnerable(faultLab.host(host));
    }
    return `${faultLab.repository.url}/as-${name}/${deb}`;
  }

  beforeAll(async () => {
    faultLab = await startFaultLab({ names: ['d1', 'd2'], say });
    const { lab, product } = faultLab;
    folder = `${lab.folder}/distribution-point`;
    await mkdir(folder, { recursive: true });
    ({ secret } = await product.api.post(
      '/api/v1/distribution-points',
      {
        name: 'lab',
        url: pointUrl(),
        ranges: [`${lab.network.address}/${String(lab.network.prefixLength)}`],
      },
      DistributionPointCreated,
    ));
    await startPoint();
  });
  afterAll(async () => {
    await stopPoint('SIGTERM');
    await faultLab?.stop();
    if (folder !== '') await rm(folder, { recursive: true, force: true });
  });

  test('a package comes from the repository once, and from the server once', async () => {
    expect(await deploy(['d1', 'd2'], 'through the point')).toEqual([]);
    expect(fetchedDebs()).toBe(1);
    // nothing went past the point
    const status = await waitFor(
      'point and server to tell the same',
      async () => {
        const told = (await point()).status;
        const server = await faultLab.product.api.get('/api/v1/distribution', DistributionStatus);
        return told !== null && told.fetched_bytes === server.served_bytes ? told : undefined;
      },
      { timeoutSeconds: 10, everySeconds: 0.3 },
    );
    say(`point: served ${String(status.served_bytes)} bytes, fetched ${String(status.fetched_bytes)}`);
    expect(status.served_bytes).toBeGreaterThan(status.fetched_bytes);
  });

  test('the point dies in the middle of a download: the hosts go on with the server, and say so', async () => {
    await renamed('dying', ['d1', 'd2']);
    const asked = Promise.withResolvers<void>();
    faultLab.repository.spoil((path) => {
      if (!path.endsWith(deb)) return null;
      asked.resolve();
      return { kind: 'slow', seconds: 3 };
    });
    const told = await deploy(['d1', 'd2'], 'the point dies', async () => {
      await asked.promise;
      await stopPoint('SIGKILL');
    });
    faultLab.repository.spoil(null);
    expect(told.length).toBeGreaterThan(0);
    for (const one of told) {
      expect(one.told).toMatchObject({ point: 'lab', problem: 'not_reached' });
      expect(one.message).toContain('the distribution point lab');
    }
    // the server had it under way, and went on with that
    expect(fetchedDebs()).toBe(2);
    expect((await alerts(faultLab.product)).filter((one) => one.kind === 'distribution_poisoned')).toEqual(
      [],
    );
  });

  test('a file is forged in its cache: found on the host, told, and what is right is installed after', async () => {
    const { product, lab } = faultLab;
    const url = await renamed('forged', ['d1']);
    // as somebody with access to the folder can: other bytes under their own right hash, and so in the index
    const forged = await readFile(`${lab.folder}/repository/${deb}`);
    for (let i = forged.length >> 1; i < forged.length; i += 11) forged[i] = (forged[i] ?? 0) ^ 0xff;
    const sha256 = createHash('sha256').update(forged).digest('hex');
    const cache = `${folder}/distribution`;
    await mkdir(`${cache}/sha256/${sha256.slice(0, 2)}`, { recursive: true });
    await writeFile(`${cache}/sha256/${sha256.slice(0, 2)}/${sha256}`, forged);
    const entry = { url, sha256, bytes: forged.length, etag: null, last_modified: null, used: 0 };
    await writeFile(`${cache}/index.jsonl`, `${JSON.stringify(entry)}\n`, { flag: 'a' });
    await startPoint();
    // that the point did not answer it would believe for two minutes
    await faultLab.host('d1').runOrThrow(['systemctl', 'restart', 'fixpoint-agent']);
    const told = await deploy(['d1'], 'a forged file');
    expect(told.map((one) => one.told)).toEqual([{ point: 'lab', problem: 'hash_mismatch', files: [url] }]);
    const raised = (await alerts(product)).filter((one) => one.kind === 'distribution_poisoned');
    expect(raised).toHaveLength(1);
    expect(raised[0]).toMatchObject({
      severity: 'critical',
      detail: { point: 'lab', files: [url], hostname: 'd1' },
    });
    expect(await trail(product, 'event=distribution_point.poisoned')).toHaveLength(1);
    await waitFor(
      'the point to have looked again',
      async () => ((await point()).suspects.length === 0 ? true : undefined),
      { timeoutSeconds: 15, everySeconds: 0.3 },
    );
    const kept = (await readFile(`${cache}/index.jsonl`, 'utf8')).trim().split('\n').at(-1) ?? '';
    expect(kept).toContain(url);
    expect(kept).not.toContain(sha256);
    expect(await auditVerifies(product)).toMatchObject({ ok: true });
  });
});
