import { generateKeyPairSync, sign } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { taskFailures } from '@fixpoint/core/task/states.ts';
import { obstacleKinds } from '@fixpoint/core/plan/plan.ts';
import type { SignedOrder } from '@fixpoint/contract/order.ts';
import { SimulationResult } from '@fixpoint/contract/simulation.ts';
import { parseShape } from '@fixpoint/contract/parse.ts';
import { systemClock, toIso } from './clock.ts';
import { judgeApt } from './execute/apt.ts';
import { parsePackageSizes } from './execute/apt-sizes.ts';
import { parseSimulation } from './execute/apt-output.ts';
import type { Executor } from './execute/executor.ts';
import { createSimulations, obstacleOf, type SimulationParts } from './simulate.ts';
import { createTurns } from './turns.ts';

/** Questions of a server, answered from recorded output of apt by way of real processes. */

const keys = generateKeyPairSync('ed25519');
const publicKey = keys.publicKey.export({ format: 'jwk' }).x ?? '';
const assetId = '11111111-1111-4111-8111-111111111111';
const recorded = (name: string): string =>
  fileURLToPath(new URL(`execute/recorded/${name}.txt`, import.meta.url));

let dir: string;
let sent: unknown[];
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'fixpoint-simulate-'));
  sent = [];
});
afterEach(() => {
  rmSync(dir, { recursive: true, force: true });
});

function request(changed: Readonly<Record<string, unknown>> = {}): Record<string, unknown> {
  return {
    format: 1,
    simulation_id: '22222222-2222-4222-8222-222222222222',
    asset_id: assetId,
    issued_at: toIso(systemClock.now()),
    expires_at: toIso(systemClock.now() + 60_000),
    packages: [
      { name: 'lab-good', arch: 'all', from: '2', to: '3', source: 'lab-good', source_version: '3' },
    ],
    rollback: false,
    ...changed,
  };
}

function signed(value: unknown, domain = 'fixpoint-simulation-v1'): SignedOrder {
  const payload = JSON.stringify(value);
  return {
    key_id: 'k1',
    payload,
    signature: sign(null, Buffer.from(`${domain}\n${payload}`), keys.privateKey).toString('base64url'),
  };
}

/** Like apt's, but what it writes was recorded. */
function executor(simulation: string, exitCode: number): Executor {
  let point: string | undefined;
  const missing = (): never => {
    throw new Error('a simulation must not ask for this');
  };
  return {
    manager: 'apt',
    prepare: ({ name }) => {
      point = name;
    },
    command: (step) => ({
      argv:
        step === 'simulate'
          ? ['sh', '-c', 'cat "$1"; exit "$2"', 'sh', recorded(simulation), String(exitCode)]
          : point === 'bad'
            ? ['sh', '-c', 'echo "E: Failed to fetch http://x/InRelease  502  Bad Gateway"; exit 100']
            : ['true'],
      env: {},
    }),
    judge: judgeApt,
    simulated: parseSimulation,
    state: () => Promise.resolve({ versions: new Map([['lab-good:all', '2']]), unfinished: new Set() }),
    sizes: () => Promise.resolve({ downloadBytes: 1_234, diskBytes: 4_096 }),
    installedFiles: missing,
    downloadedBytes: missing,
    shippedFiles: missing,
    readAutomatic: missing,
    markAutomatic: missing,
    cleanUp: () => undefined,
  };
}

/** The answer to the first of them; null when there is none within the time. */
function ask(
  questions: readonly SignedOrder[],
  waitSeconds: number,
  simulation = 'simulate-new',
  exitCode = 0,
  point?: string,
): Promise<unknown> {
  const answered = Promise.withResolvers<unknown>();
  const parts: SimulationParts = {
    clock: systemClock,
    log: () => undefined,
    enrolment: { asset_id: assetId, server_key: { key_id: 'k1', public_key: publicKey } },
    session: {
      call(_path, body, schema) {
        sent.push(body);
        answered.resolve(body);
        const value = parseShape(schema, {});
        if (!value.ok) throw new Error('the answer that is looked for has another shape');
        return Promise.resolve(value);
      },
    },
    files: { ownersOf: () => Promise.resolve(new Map()) },
    stateDir: dir,
    host: () => Promise.resolve({ arch: 'amd64', machine: 'container' }),
    executorAt: () => executor(simulation, exitCode),
    distributionPoint: (avoided) =>
      Promise.resolve({
        url: 'http://127.0.0.1:9',
        user: 'u',
        password: 'secret-of-the-session',
        ...(point === undefined || avoided.has(point) ? {} : { name: point }),
      }),
  };
  const simulations = createSimulations(parts, createTurns());
  simulations.answer(questions);
  simulations.answer(questions);
  return Promise.race([answered.promise, systemClock.sleep(waitSeconds).then(() => null)]);
}

describe('a question about a plan', () => {
  test('is answered with what the solver says would happen', async () => {
    const answer = parseShape(SimulationResult, await ask([signed(request())], 20));
    expect(answer.ok || answer.problems).toBe(true);
    expect(answer.ok && answer.value).toMatchObject({
      upgraded: [{ name: 'lab-good', arch: 'all', from: '2', to: '3' }],
      added: [{ name: 'lab-new', arch: 'all', version: '1' }],
      removed: [],
      download_bytes: 1_234,
      disk_bytes: 4_096,
      reboot: false,
      obstacles: [],
    });
    expect(sent).toHaveLength(1);
  });

  test('is answered through the server where the point near the host does not do', async () => {
    const answer = parseShape(SimulationResult, await ask([signed(request())], 20, 'simulate-new', 0, 'bad'));
    expect(answer.ok && answer.value).toMatchObject({ obstacles: [], remarks: [] });
  });

  test('that cannot be done is answered with what stands in the way', async () => {
    const answer = parseShape(SimulationResult, await ask([signed(request())], 20, 'dependency', 100));
    expect(answer.ok && answer.value.obstacles).toMatchObject([{ kind: 'dependency_conflict' }]);
    expect(answer.ok && answer.value.upgraded).toEqual([]);
  });

  const past = { expires_at: toIso(systemClock.now() - 1_000) };
  const future = { issued_at: toIso(systemClock.now() + 3_600_000) };
  const argument = {
    packages: [{ name: '-oDebug', arch: 'all', from: '1', to: '2', source: 'x', source_version: '2' }],
  };
  test.each([
    ['signed as an order', () => signed(request(), 'fixpoint-order-v1')],
    [
      'changed on its way',
      () => ({ ...signed(request()), payload: JSON.stringify(request({ rollback: true })) }),
    ],
    ['by another key', () => ({ ...signed(request()), key_id: 'k2' })],
    ['for another host', () => signed(request({ asset_id: '99999999-9999-4999-8999-999999999999' }))],
    ['too old', () => signed(request(past))],
    ['from the future', () => signed(request(future))],
    ['with what apt would read as an option', () => signed(request(argument))],
  ])('%s is not answered', async (_, make) => {
    expect(await ask([make()], 0.3)).toBeNull();
    expect(sent).toEqual([]);
  });
});

test('every failure has a word of plans', () => {
  for (const failure of taskFailures) expect(obstacleKinds).toContain(obstacleOf(failure));
});

test('sizes are read as apt writes them', () => {
  const text =
    'Package: a\nVersion: 1.0-2\nInstalled-Size: 12\nSize: 3456\nDescription: x\n y: z\n\nPackage: b\nVersion: 2\n';
  expect(parsePackageSizes(text)).toEqual([
    { name: 'a', version: '1.0-2', downloadBytes: 3456, installedBytes: 12 * 1024 },
    { name: 'b', version: '2', downloadBytes: 0, installedBytes: 0 },
  ]);
});
