import { readUnitHealth, type UnitHealth } from '../collect/unit-health.ts';
import { Type, type Static } from '@fixpoint/contract/schema.ts';
import { parseShape } from '@fixpoint/contract/parse.ts';
import { compareLooks, type HealthLook, type HealthVerdict } from './health-compare.ts';
import { runProbe } from './probe.ts';
import { TaskFailed, type TaskContext } from './context.ts';
import type { Task } from './task.ts';

/** What is well before and after: probes, and units that have failed. */

/** How long probes may take to be well again, and units to show that they stay. */
const defaultSettleSeconds = 30;
/** What looks well is looked at once more after so long: a service may take a moment to die. */
const steadySeconds = 5;
const retrySeconds = 1;

const text = Type.String();
const closed = { additionalProperties: false } as const;
/** A look, as the journal keeps it; only units that a later look could find worse. */
const KeptLook = Type.Object(
  {
    units: Type.Union([
      Type.Null(),
      Type.Array(
        Type.Object(
          {
            name: text,
            active: text,
            sub: text,
            restarts: Type.Number(),
            lasting: Type.Boolean(),
            young: Type.Boolean(),
          },
          closed,
        ),
      ),
    ]),
    probes: Type.Array(
      Type.Object(
        {
          probe: text,
          state: Type.Union([
            Type.Literal('ok'),
            Type.Literal('failed'),
            Type.Literal('refused'),
            Type.Literal('unknown'),
          ]),
          message: text,
        },
        closed,
      ),
    ),
  },
  closed,
);

/** Notes how the host is before anything changes (step `baseline`). Does nothing when the order does not ask for it. */
export async function takeBaseline(task: Task, context: TaskContext): Promise<void> {
  if (task.order.health === undefined || task.isDone('baseline')) return;
  const look = await lookAtHealth(task, context, 'baseline');
  const units = look.units?.filter(isWorthKeeping) ?? null;
  context.stopAt.pass('baseline:done');
  task.note('baseline', 'done', { data: { look: { ...look, units } } });
}

function isWorthKeeping(unit: UnitHealth): boolean {
  return unit.lasting || unit.active === 'failed' || unit.sub === 'auto-restart' || unit.restarts > 0;
}

/**
 * Compares with the baseline (step `health`, again after a reboot); throws TaskFailed(`health_failed`) with the comparison as detail.
 */
export async function compareHealth(task: Task, context: TaskContext): Promise<void> {
  const rule = task.order.health;
  if (rule === undefined) return;
  const before = readBaseline(task);
  const settleSeconds = rule.settle_seconds ?? defaultSettleSeconds;
  const since = context.clock.elapsedSeconds();
  let wellSince: number | null = null;
  let verdict: HealthVerdict;
  for (;;) {
    const after = await lookAtHealth(task, context, 'health');
    verdict = compareLooks(before, after, context.ownUnit, rule.failed_units !== false);
    const now = context.clock.elapsedSeconds();
    if (verdict.worse.length > 0) wellSince = null;
    else wellSince ??= now;
    if (wellSince !== null && now - wellSince >= Math.min(steadySeconds, settleSeconds)) break;
    if (wellSince === null && now - since >= settleSeconds) break;
    await context.pause(retrySeconds);
  }
  const { health, worse } = verdict;
  for (const { probe, before: was, after, message } of health.probes) {
    context.output(task, 'health', `${probe}: ${was} before, ${after} after. ${message}\n`);
  }
  if (worse.length > 0) {
    const more = worse.length > 10 ? ` and ${String(worse.length - 10)} more` : '';
    throw new TaskFailed(
      'health_failed',
      `Worse than before, also after ${String(settleSeconds)} s: ${worse.slice(0, 10).join('; ')}${more}.`,
      { health },
    );
  }
  context.stopAt.pass('health:done');
  const notOk = health.probes.filter(({ after }) => after !== 'ok').length;
  const more =
    notOk === 0
      ? ''
      : `; ${String(notOk)} of ${String(health.probes.length)} probes are not well now, and were not before`;
  task.note('health', 'done', {
    event: { state: task.state() ?? 'installed', message: `As well as before${more}.`, detail: { health } },
  });
  context.wake();
}

/** A task that began before there was a baseline has nothing to be compared with: then everything is unknown before. */
function readBaseline(task: Task): HealthLook {
  const data = task.entries().findLast((e) => e.step === 'baseline' && e.phase === 'done')?.data;
  const parsed = parseShape(KeptLook, data?.['look']);
  const look: Static<typeof KeptLook> = parsed.ok ? parsed.value : { units: null, probes: [] };
  return look;
}

async function lookAtHealth(
  task: Task,
  context: TaskContext,
  phase: 'baseline' | 'health',
): Promise<HealthLook> {
  const { probes, failed_units: failedUnits } = task.order.health ?? { probes: [] };
  const policy = context.policy();
  const [units, ...results] = await Promise.all([
    failedUnits === false ? null : readUnitHealth(),
    ...probes.map((probe) => runProbe(probe, task, policy, phase)),
  ]);
  return { units, probes: results };
}
