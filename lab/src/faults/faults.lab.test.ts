/**
 * Many runs, each with a fault that its seed decides (fault.ts): SIGKILL of agent, server and package manager at random
 * moments, power off, full disks, wrong clocks, bad repositories, held locks, two jobs, closing windows, a reboot that does
 * not come back. Whatever happens, the host is consistent, nothing ran twice, nothing was done outside of the window or beyond
 * the plan, and what the server says is true.
 *
 * `FIXPOINT_FAULT_SEEDS=200` runs as many; `FIXPOINT_FAULT_FIRST=17` begins there, so that one seed can be run again.
 */
import { glob } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { monotonicSeconds } from '../clock.ts';
import { auditVerifies, startFaultLab, type FaultLab } from '../fault-lab.ts';
import { missing, say } from '../lab-suite.ts';
import { faultOf } from './fault.ts';
import { runFault, type Outcome } from './run-fault.ts';
import { openWorld, type World } from './world.ts';

const seeds = Number(process.env['FIXPOINT_FAULT_SEEDS'] ?? '30');
const first = Number(process.env['FIXPOINT_FAULT_FIRST'] ?? '1');
const names = ['f1', 'f2', 'f3', 'f4', 'f5', 'f6'] as const;

/** Debian's libfaketime, wherever its architecture puts it; null when it is not installed. */
async function findFaketime(): Promise<string | null> {
  for await (const path of glob('/usr/lib/*/faketime/libfaketime.so.1')) return path;
  return null;
}

describe.skipIf(missing !== undefined)('faults by seed', () => {
  let faultLab: FaultLab;
  let world: World;

  beforeAll(async () => {
    faultLab = await startFaultLab({ names, say });
    world = openWorld(faultLab);
  });
  afterAll(async () => {
    await faultLab?.stop();
  });

  test(
    `${String(seeds)} runs leave every host whole and every record true`,
    { timeout: seeds * 60_000 + 600_000 },
    async () => {
      const faketime = await findFaketime();
      if (faketime === null) say('no clock is set wrong here: libfaketime is not installed');
      const waiting = Array.from({ length: seeds }, (_, i) => first + i).filter(
        (seed) => faketime !== null || faultOf(seed).kind !== 'clock_skew',
      );
      const outcomes: Outcome[] = [];
      const began = monotonicSeconds();
      await Promise.all(
        names.map(async (name) => {
          for (let seed = waiting.shift(); seed !== undefined; seed = waiting.shift()) {
            const outcome = await runFault(world, faultLab.host(name), seed, { faketime: faketime ?? '' });
            outcomes.push(outcome);
            say(describeOutcome(name, outcome));
            if (outcome.evidence !== '') say(outcome.evidence);
          }
        }),
      );
      for (const line of table(outcomes)) say(line);
      say(
        `${String(outcomes.length)} runs in ${(monotonicSeconds() - began).toFixed(0)} s, server killed ${String(world.serverKills())} times`,
      );
      expect(outcomes.filter((one) => one.violations.length > 0)).toEqual([]);
      expect(await auditVerifies(faultLab.product)).toMatchObject({ ok: true, first_bad: null });
    },
  );
});

function describeOutcome(name: string, one: Outcome): string {
  const end = one.retried === null ? one.ended : `${one.ended}, then ${one.retried}`;
  const bad = one.violations.length === 0 ? '' : ` VIOLATES ${one.violations.join(' | ')}`;
  return `seed ${String(one.seed)} on ${name}: ${one.kind}: ${end}, ${one.seconds.toFixed(1)} s${bad}`;
}

/** Counts of outcomes by kind of fault. */
function table(outcomes: readonly Outcome[]): string[] {
  const rows = Map.groupBy(outcomes, (one) => one.kind);
  return [...rows].map(([kind, list]) => {
    const ends = Map.groupBy(list, (one) =>
      one.retried === null ? one.ended : `${one.ended} → ${one.retried}`,
    );
    const counts = [...ends].map(([end, runs]) => `${end} × ${String(runs.length)}`).sort();
    return `${kind.padEnd(24)} ${String(list.length).padStart(3)} runs: ${counts.join(', ')}; violations ${String(list.filter((one) => one.violations.length > 0).length)}`;
  });
}
