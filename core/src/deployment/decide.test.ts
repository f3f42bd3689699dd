import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { reportedTaskStates, type TaskState } from '../task/states.ts';
import { checkTaskAction } from '../task/actions.ts';
import { checkTransition, hasBegunInstalling, isAtWork, isEnded, workingState } from '../task/transitions.ts';
import { checkAction, deploymentActions, effectOfStop, mayRetry, type DeploymentAction } from './actions.ts';
import {
  decide,
  explainWaiting,
  noOtherTasks,
  waitingReasons,
  type DeploymentView,
  type TaskObservation,
} from './decide.ts';
import { deploymentStates, type DeploymentState } from './states.ts';

const options = { silentAfterSeconds: 30 };
const task = (over: Partial<TaskObservation> = {}): TaskObservation => ({
  id: 'a',
  ring: 0,
  state: 'queued',
  resumeState: null,
  expiresAt: null,
  heardAt: 0,
  checkInSeconds: 1,
  retired: false,
  asking: false,
  ...over,
});
const running: DeploymentView = { state: 'running', concurrency: 1, openRing: 0 };

describe('decide', () => {
  test('offers to those who ask, up to the concurrency, and says why the rest wait', () => {
    const tasks = [task({ id: 'a' }), task({ id: 'b', asking: true }), task({ id: 'c', asking: true })];
    const { commands, waiting } = decide(running, tasks, noOtherTasks, 0, options);
    expect(commands).toEqual([{ kind: 'offer', taskId: 'b' }]);
    expect(waiting).toEqual([
      { taskId: 'a', reason: 'awaiting_check_in' },
      { taskId: 'c', reason: 'concurrency_reached' },
    ]);
  });

  test('counts tasks that it is only told the number of', () => {
    const asking = [task({ asking: true })];
    expect(decide(running, asking, { atWork: 1, notEnded: 1 }, 0, options).commands).toEqual([]);
    expect(decide(running, [], { atWork: 0, notEnded: 1 }, 0, options).next).toBe('running');
    expect(decide(running, [], noOtherTasks, 0, options)).toMatchObject({ next: 'completed' });
  });

  test('silence: three check-ins and never less than the floor', () => {
    // oxlint-disable-next-line unicorn/consistent-function-scoping
    const at = (heardAt: number, checkInSeconds: number, now: number) =>
      decide(running, [task({ state: 'installing', heardAt, checkInSeconds })], noOtherTasks, now, options)
        .commands;
    expect(at(0, 1, 30_000)).toEqual([]);
    expect(at(0, 1, 30_001)).toEqual([{ kind: 'mark_unreachable', taskId: 'a' }]);
    expect(at(0, 60, 180_000)).toEqual([]);
    expect(at(0, 60, 180_001)).toEqual([{ kind: 'mark_unreachable', taskId: 'a' }]);
  });

  test('an offer expires at its time; an installation that has begun does not', () => {
    // oxlint-disable-next-line unicorn/consistent-function-scoping
    const at = (state: TaskState, resumeState: TaskState | null) =>
      decide(running, [task({ state, resumeState, expiresAt: 5, heardAt: 5 })], noOtherTasks, 5, options)
        .commands;
    expect(at('staged', null)).toEqual([{ kind: 'expire', taskId: 'a' }, { kind: 'complete' }]);
    expect(at('unreachable', 'downloading')).toEqual([{ kind: 'expire', taskId: 'a' }, { kind: 'complete' }]);
    expect(at('installing', null)).toEqual([]);
    expect(at('unreachable', 'installing')).toEqual([]);
  });

  test('a retired asset ends its task', () => {
    expect(decide(running, [task({ retired: true })], noOtherTasks, 0, options)).toMatchObject({
      next: 'completed',
      commands: [{ kind: 'cancel', taskId: 'a', reason: 'asset_retired' }, { kind: 'complete' }],
    });
  });

  test('a later ring is not offered', () => {
    const { commands, waiting } = decide(
      running,
      [task({ ring: 1, asking: true })],
      noOtherTasks,
      0,
      options,
    );
    expect([commands, waiting]).toEqual([[], [{ taskId: 'a', reason: 'ring_not_open' }]]);
  });
});

/** A fleet in which anything may happen in any order; what it does is held against the rules after every step. */
interface World {
  deployment: DeploymentState;
  now: number;
  tasks: (TaskObservation & { generation: number; offered: number })[];
}

type Step =
  | { kind: 'check_in'; task: number }
  | { kind: 'report'; task: number; state: (typeof reportedTaskStates)[number] }
  | { kind: 'verify'; task: number; to: 'succeeded' | 'failed' | 'restart_pending' | 'reboot_pending' }
  | { kind: 'time'; seconds: number }
  | { kind: 'action'; action: DeploymentAction }
  | { kind: 'retire'; task: number };

const index = fc.nat({ max: 5 });
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ kind: fc.constant('check_in' as const), task: index }) },
  {
    weight: 10,
    arbitrary: fc.record({
      kind: fc.constant('report' as const),
      task: index,
      state: fc.constantFrom(...reportedTaskStates),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('verify' as const),
      task: index,
      to: fc.constantFrom(
        'succeeded' as const,
        'failed' as const,
        'restart_pending' as const,
        'reboot_pending' as const,
      ),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({ kind: fc.constant('time' as const), seconds: fc.integer({ min: 1, max: 60 }) }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('action' as const),
      action: fc.constantFrom(...deploymentActions),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('retire' as const), task: index }) },
);

const concurrency = 2;

function move(
  one: World['tasks'][number],
  to: TaskState,
  source: 'server' | 'agent' | 'person',
): World['tasks'][number] {
  const check = checkTransition(one, to, source);
  if (!check.ok) return one;
  return { ...one, state: to, resumeState: to === 'unreachable' ? one.state : null };
}

/** Carries out what was decided, and holds every command against the rules. */
function obey(world: World, asking: string | null): void {
  const view: DeploymentView = { state: world.deployment, concurrency, openRing: 0 };
  const observed = world.tasks.map((one) => ({ ...one, asking: one.id === asking }));
  const before = observed.filter(isAtWork).length;
  const decision = decide(view, observed, noOtherTasks, world.now, options);
  const named = new Set<string>();
  let offers = 0;
  for (const command of decision.commands) {
    if (command.kind === 'complete') {
      expect(world.tasks.every((one) => isEnded(one.state))).toBe(true);
      continue;
    }
    expect(named.has(command.taskId)).toBe(false);
    named.add(command.taskId);
    const position = world.tasks.findIndex((one) => one.id === command.taskId);
    const one = world.tasks[position];
    if (one === undefined) throw new Error('a command for a task that is not there');
    const to = {
      offer: 'offered',
      expire: 'expired',
      mark_unreachable: 'unreachable',
      cancel: 'cancelled',
    } as const;
    const check = checkTransition(one, to[command.kind], 'server');
    expect(check, `${one.state} → ${command.kind}`).toEqual({ ok: true, change: true });
    let next = move(one, to[command.kind], 'server');
    if (command.kind === 'offer') {
      offers += 1;
      expect(world.deployment).toBe('running');
      expect(command.taskId).toBe(asking);
      expect(one.offered, 'never offered twice in one generation').toBeLessThan(one.generation);
      next = { ...next, offered: one.generation, expiresAt: world.now + 120_000 };
    }
    if (command.kind === 'expire') expect(hasBegunInstalling(one)).toBe(false);
    world.tasks[position] = next;
  }
  if (offers > 0) expect(before + offers).toBeLessThanOrEqual(concurrency);
  for (const one of world.tasks) {
    if (isEnded(one.state) || named.has(one.id)) continue;
    expect(
      decision.waiting.filter((w) => w.taskId === one.id),
      `${one.state} is explained once`,
    ).toHaveLength(1);
  }
  world.deployment = decision.next;
}

function act(world: World, one: Step): void {
  if (one.kind === 'time') {
    world.now += one.seconds * 1000;
    return;
  }
  if (one.kind === 'action') {
    const check = checkAction(world.deployment, one.action);
    if (!check.ok) return;
    if (one.action === 'retry_failed') {
      if (!world.tasks.some((t) => mayRetry(t.state))) return;
      world.tasks = world.tasks.map((t) =>
        mayRetry(t.state)
          ? { ...move(t, 'queued', 'person'), generation: t.generation + 1, expiresAt: null }
          : t,
      );
    } else if (one.action === 'halt' || one.action === 'cancel' || one.action === 'roll_back') {
      world.tasks = world.tasks.map((t) => {
        if (effectOfStop(t) === 'cancel') return move(t, 'cancelled', 'person');
        if (one.action !== 'roll_back' || !checkTaskAction(t, 'roll_back').ok) return t;
        const generation = t.generation + 1;
        return { ...move(t, 'rolling_back', 'person'), generation, offered: generation };
      });
    }
    world.deployment = check.next;
    return;
  }
  const position = one.task;
  const current = world.tasks[position];
  if (current === undefined) return;
  if (one.kind === 'retire') {
    world.tasks[position] = { ...current, retired: true };
    return;
  }
  if (one.kind === 'verify') {
    world.tasks[position] = move(current, one.to, 'server');
    return;
  }
  const heard = { ...current, heardAt: world.now };
  world.tasks[position] = heard.state === 'unreachable' ? move(heard, workingState(heard), 'server') : heard;
  const awake = world.tasks[position];
  if (one.kind === 'report' && awake !== undefined && awake.offered === awake.generation) {
    world.tasks[position] = move(awake, one.state, 'agent');
  } else if (one.kind === 'check_in' && !current.retired) {
    obey(world, current.id);
  }
}

describe('model: a fleet in which anything happens in any order', () => {
  test('no second offer, no more than the concurrency, nothing offered unless running, every open task explained', () => {
    fc.assert(
      fc.property(fc.array(step, { minLength: 20, maxLength: 150 }), (steps) => {
        const world: World = {
          deployment: 'running',
          now: 0,
          tasks: Array.from({ length: 6 }, (_, i) => ({
            ...task({ id: `t${String(i)}` }),
            generation: 1,
            offered: 0,
          })),
        };
        for (const one of steps) {
          act(world, one);
          obey(world, null);
        }
        // an ended deployment never comes back by itself, and ends its tasks once their hosts have finished
        if (world.deployment === 'completed')
          expect(
            world.tasks.every((t) => isEnded(t.state) || t.state === 'installing' || hasBegunInstalling(t)),
          ).toBe(true);
      }),
      { numRuns: 500 },
    );
  });

  test('a fleet that answers comes to an end, each task succeeded once', () => {
    fc.assert(
      fc.property(fc.array(index, { minLength: 400, maxLength: 600 }), (order) => {
        const world: World = {
          deployment: 'running',
          now: 0,
          tasks: Array.from({ length: 6 }, (_, i) => ({
            ...task({ id: `t${String(i)}` }),
            generation: 1,
            offered: 0,
          })),
        };
        const path = ['downloading', 'staged', 'installing', 'installed', 'verifying'] as const;
        for (const i of [...order, ...Array.from({ length: 200 }, (_, n) => n % 6)]) {
          world.now += 10;
          const at = world.tasks[i];
          if (at === undefined) continue;
          const next = path[path.findIndex((state) => state === at.state) + 1];
          if (at.state === 'queued') act(world, { kind: 'check_in', task: i });
          else if (at.state === 'verifying') act(world, { kind: 'verify', task: i, to: 'succeeded' });
          else if (next !== undefined && !isEnded(at.state))
            act(world, { kind: 'report', task: i, state: next });
        }
        obey(world, null);
        expect(world.tasks.map((t) => t.state)).toEqual(Array.from({ length: 6 }, () => 'succeeded'));
        expect(world.deployment).toBe('completed');
      }),
      { numRuns: 50 },
    );
  });
});

describe('actions', () => {
  test('every refusal says why and what to do; no ended deployment is moved but by a retry', () => {
    for (const state of deploymentStates) {
      for (const action of deploymentActions) {
        const check = checkAction(state, action);
        if (check.ok) expect(deploymentStates).toContain(check.next);
        else {
          expect(check.message).toMatch(/\.$/u);
          expect(check.whatToDo).toMatch(/\.$/u);
        }
        if (state === 'halted' || state === 'cancelled')
          expect(check, action).toMatchObject(action === 'roll_back' ? { next: state } : { ok: false });
      }
    }
    expect(checkAction('running', 'halt')).toEqual({ ok: true, next: 'halted' });
    expect(checkAction('completed', 'retry_failed')).toEqual({ ok: true, next: 'running' });
  });

  test('stopping gives up what has not begun and lets finish what has', () => {
    expect(effectOfStop({ state: 'staged', resumeState: null })).toBe('cancel');
    expect(effectOfStop({ state: 'installing', resumeState: null })).toBe('let_finish');
    expect(effectOfStop({ state: 'unreachable', resumeState: 'installed' })).toBe('let_finish');
    expect(effectOfStop({ state: 'succeeded', resumeState: null })).toBe('none');
  });
});

test('every waiting reason has its sentence', () => {
  for (const reason of waitingReasons) {
    const { message, whatToDo } = explainWaiting(reason);
    expect(message).toMatch(/\.$/u);
    expect(whatToDo).toMatch(/\.$/u);
  }
});
