import { describe, expect, test } from 'vitest';
import { endedTaskStates, orderRefusals, reportedTaskStates, taskFailures, taskStates } from './states.ts';
import { explainFailure, explainRefusal } from './reasons.ts';
import { atWorkStates, checkTransition, isAtWork, isEnded, nextStates } from './transitions.ts';

const at = (state: (typeof taskStates)[number]) => ({ state, resumeState: null });

/** Every state that can come after `start`, by whomever. */
function reach(start: (typeof taskStates)[number]): Set<(typeof taskStates)[number]> {
  const seen = new Set([start]);
  for (const state of seen) {
    for (const source of ['server', 'agent', 'person'] as const) {
      for (const next of nextStates(state, source)) seen.add(next);
    }
  }
  return seen;
}

describe('the table of transitions', () => {
  test('succeeded is reached from verifying alone, and by the server alone', () => {
    for (const from of taskStates) {
      for (const source of ['server', 'agent', 'person'] as const) {
        const allowed = checkTransition(at(from), 'succeeded', source);
        const changes = allowed.ok && allowed.change;
        expect(changes, `${from} by ${source}`).toBe(from === 'verifying' && source === 'server');
      }
    }
  });

  test('every state is reached from queued, and every open state leads to an end', () => {
    const fromQueued = reach('queued');
    // rolled_back waits for rollback itself
    for (const state of taskStates) if (state !== 'rolled_back') expect(fromQueued).toContain(state);
    for (const state of taskStates.filter((s) => !isEnded(s))) {
      expect(
        endedTaskStates.some((end) => reach(state).has(end)),
        state,
      ).toBe(true);
    }
  });

  test('an ended task is moved by nobody, but for a retry, a rollback, and a host that had begun already', () => {
    for (const state of endedTaskStates) {
      const backwards = state === 'succeeded' || state === 'failed' ? ['rolling_back'] : [];
      expect(nextStates(state, 'server')).toEqual(backwards);
      const agents = state === 'cancelled' || state === 'expired' ? ['installing'] : [];
      expect(nextStates(state, 'agent')).toEqual(agents);
    }
    expect(checkTransition(at('succeeded'), 'installing', 'agent')).toMatchObject({
      ok: false,
      code: 'task_ended',
    });
  });

  test('an agent reports only what an agent may report', () => {
    for (const from of taskStates) {
      for (const to of nextStates(from, 'agent')) expect(reportedTaskStates).toContain(to);
    }
  });

  test('an unreachable task goes on from where it was', () => {
    const task = { state: 'unreachable', resumeState: 'installing' } as const;
    expect(checkTransition(task, 'installing', 'server')).toEqual({ ok: true, change: true });
    expect(checkTransition(task, 'downloading', 'server')).toMatchObject({ ok: false });
    expect(isAtWork(task)).toBe(true);
    expect(isAtWork({ state: 'unreachable', resumeState: 'restart_pending' })).toBe(false);
  });

  test('a repeated state changes nothing and is allowed', () => {
    expect(checkTransition(at('downloading'), 'downloading', 'agent')).toEqual({ ok: true, change: false });
  });

  test('the list and the question agree on who is at work', () => {
    for (const state of taskStates) {
      if (state !== 'unreachable') expect(isAtWork(at(state)), state).toBe(atWorkStates.includes(state));
    }
  });
});

test('every failure and refusal says what happened and what to do', () => {
  for (const failure of taskFailures) {
    expect(explainFailure(failure).message).toMatch(/\.$/u);
    expect(explainFailure(failure).whatToDo).toMatch(/\.$/u);
  }
  for (const refusal of orderRefusals) {
    expect(explainRefusal(refusal).message).toMatch(/\.$/u);
    expect(explainRefusal(refusal).whatToDo).toMatch(/\.$/u);
  }
});
