/** However the process that owns a lab ends, nothing of the lab outlives it for long. */
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { waitFor } from './clock.ts';
import { cgroupRoots, mountsBelow, sweepDeadRuns } from './lab-run.ts';
import { missing } from './lab-suite.ts';
import { cleanEnvironment, startInBackground } from './run-command.ts';

const fleet = new URL('fleet.ts', import.meta.url).href;
const owner = `
import { startLab } from ${JSON.stringify(fleet)};
const lab = await startLab({ onProgress: () => {} });
const host = await lab.bootHost({ name: 'orphan' });
console.log('READY ' + lab.folder + ' ' + lab.network.bridge + ' ' + host.initPid());
if (process.env.HOW === 'throw') throw new Error('on purpose');
if (process.env.HOW === 'exit') process.exit(3);
setTimeout(() => {}, 600_000);
`;

interface Left {
  readonly folder: string;
  readonly bridge: string;
  readonly initPid: number;
}

/** Lets another process boot a host and end in the given way; returns what it had made. */
async function ownerEnding(how: 'SIGINT' | 'SIGTERM' | 'SIGKILL' | 'throw' | 'exit'): Promise<Left> {
  const cache = process.env['FIXPOINT_LAB_CACHE'];
  let ready: Left | undefined;
  const started = await startInBackground([process.execPath, '--input-type=module-typescript', '-e', owner], {
    environment: {
      ...cleanEnvironment,
      HOW: how,
      ...(cache === undefined ? {} : { FIXPOINT_LAB_CACHE: cache }),
    },
    onLine(line) {
      const [, folder = '', bridge = '', initPid = ''] = /^READY (\S+) (\S+) (\d+)$/.exec(line) ?? [];
      if (folder !== '') ready = { folder, bridge, initPid: Number(initPid) };
    },
  });
  const made = await waitFor('the owner to boot its host', () => ready, { timeoutSeconds: 600 });
  if (how !== 'throw' && how !== 'exit') {
    expect(existsSync(made.folder)).toBe(true);
    expect(isAlive(made.initPid)).toBe(true);
    started.kill(how);
  }
  await started.exited;
  return made;
}

function isAlive(pid: number): boolean {
  try {
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return false;
  }
}

function leftOf(made: Left): string[] {
  const name = made.folder.slice(made.folder.lastIndexOf('/') + 1);
  return [
    ...(existsSync(made.folder) ? [made.folder] : []),
    ...(existsSync(`/sys/class/net/${made.bridge}`) ? [made.bridge] : []),
    ...mountsBelow(made.folder),
    ...cgroupRoots().flatMap((root) => readdirSync(root).filter((each) => each.includes(name))),
    ...(isAlive(made.initPid) ? [`process ${made.initPid}`] : []),
  ];
}

describe.skipIf(missing !== undefined)('when the owner of a lab ends', () => {
  test.each(['SIGINT', 'SIGTERM', 'throw', 'exit'] as const)('by %s, nothing is left', async (how) => {
    expect(leftOf(await ownerEnding(how))).toEqual([]);
  });

  test('by SIGKILL, its hosts die with it and the next run sweeps up the rest', async () => {
    const made = await ownerEnding('SIGKILL');
    await waitFor('its host to die', () => (isAlive(made.initPid) ? undefined : true), { timeoutSeconds: 5 });
    expect(leftOf(made)).not.toEqual([]);
    sweepDeadRuns();
    expect(leftOf(made)).toEqual([]);
  });
});
