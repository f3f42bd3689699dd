import { expect, test } from 'vitest';
import { checkTaskAction, taskActions } from './actions.ts';
import { taskStates } from './states.ts';
import { checkTransition } from './transitions.ts';

const leadsTo = { cancel: 'cancelled', retry: 'queued', roll_back: 'rolling_back' } as const;

test('what the table allows, the table of transitions allows to a person, and the other way round', () => {
  for (const state of taskStates) {
    if (state === 'unreachable') continue;
    for (const action of taskActions) {
      const way = checkTransition({ state, resumeState: null }, leadsTo[action], 'person');
      const allowed = way.ok && way.change;
      expect(checkTaskAction({ state, resumeState: null }, action).ok, `${action} of ${state}`).toBe(allowed);
    }
  }
});

test('an asset that does not answer: its task can be given up as long as it has not begun', () => {
  const lost = (resumeState: 'staged' | 'installing' | 'reboot_pending') =>
    taskActions.filter((action) => checkTaskAction({ state: 'unreachable', resumeState }, action).ok);
  expect(lost('staged')).toEqual(['cancel']);
  expect(lost('installing')).toEqual([]);
  expect(lost('reboot_pending')).toEqual([]);
});

test('every refusal says why and what to do', () => {
  for (const state of taskStates) {
    for (const action of taskActions) {
      const check = checkTaskAction(
        { state, resumeState: state === 'unreachable' ? 'staged' : null },
        action,
      );
      if (check.ok) continue;
      expect(check.message).toMatch(/\.$/u);
      expect(check.whatToDo).toMatch(/\.$/u);
    }
  }
});
