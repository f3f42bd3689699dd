import { describe, expect, test } from 'vitest';
import { taskStates } from '../task/states.ts';
import { stuckAfter, stuckCodes, stuckOf, type StuckCode, type WorkObservation } from './stuck.ts';

const now = Date.parse('2026-11-22T12:00:00Z');
const ago = (seconds: number): number => now - seconds * 1000;
const work = (changes: Partial<WorkObservation>): WorkObservation => ({
  state: 'downloading',
  resumeState: null,
  stateSince: ago(10),
  progressAt: ago(10),
  heardAt: ago(1),
  installTimeoutSeconds: 600,
  held: false,
  lastOutput: null,
  ...changes,
});

const locked =
  'Reading package lists...\nWaiting for cache lock: Could not get lock /var/lib/dpkg/lock-frontend. It is held by process 4242 (apt-get)\n';

/** By code: what is like it, and how long it may be so. */
const cases: Readonly<Record<StuckCode, readonly [Partial<WorkObservation>, seconds: number]>> = {
  order_not_taken: [{ state: 'offered' }, 600],
  download_stalled: [{ state: 'downloading' }, 1200],
  lock_waited_for: [{ state: 'installing', lastOutput: locked }, 180],
  not_begun: [{ state: 'staged' }, 3600],
  install_overdue: [{ state: 'installing' }, 1800],
  end_not_reported: [{ state: 'installed' }, 1800],
  restart_pending_long: [{ state: 'restart_pending' }, 3 * 86_400],
  reboot_pending_long: [{ state: 'reboot_pending' }, 7 * 86_400],
  verification_missing: [{ state: 'verifying' }, 900],
  rollback_overdue: [{ state: 'rolling_back' }, 2400],
  unreachable_long: [{ state: 'unreachable', resumeState: 'installing' }, 900],
};

describe('stuck work', () => {
  test.each(stuckCodes)('%s is noticed after its time and not before, and says what to do', (code) => {
    const [like, seconds] = cases[code];
    const at = (since: number) => work({ ...like, stateSince: ago(since), progressAt: ago(since) });
    expect(stuckOf(at(seconds), now)).toBeNull();
    const stuck = stuckOf(at(seconds + 1), now);
    expect(stuck).toMatchObject({ code, since: ago(seconds + 1) });
    expect(stuck?.message).toMatch(/\.|\)$/u);
    expect(stuck?.whatToDo).toMatch(/\.$/u);
    expect(stuckAfter[code].because).toMatch(/\.$/u);
  });

  test('progress keeps a download alive, and not an installation that has had its time', () => {
    expect(
      stuckOf(work({ state: 'downloading', stateSince: ago(7200), progressAt: ago(60) }), now),
    ).toBeNull();
    expect(
      stuckOf(work({ state: 'installing', stateSince: ago(7200), progressAt: ago(60) }), now),
    ).toMatchObject({
      code: 'install_overdue',
      since: ago(7200),
    });
  });

  test('the process that holds the lock is named as the host names it', () => {
    expect(stuckOf(work({ progressAt: ago(400), lastOutput: locked }), now)?.message).toContain(
      'process 4242 (apt-get)',
    );
    const dnf = 'Waiting for process with pid 917 to finish.\n';
    expect(stuckOf(work({ progressAt: ago(400), lastOutput: dnf }), now)).toMatchObject({
      code: 'lock_waited_for',
    });
    const over = `${locked}Get:1 http://x bookworm\nFetched 5 kB\nUnpacking\nSetting up\n`;
    expect(stuckOf(work({ progressAt: ago(400), lastOutput: over }), now)).toBeNull();
  });

  test('who waits for somebody else is not stuck', () => {
    const long = { stateSince: ago(90 * 86_400), progressAt: ago(90 * 86_400) };
    for (const state of ['queued', 'waiting_for_window', 'rebooting'] as const)
      expect(stuckOf(work({ state, ...long }), now), state).toBeNull();
    expect(stuckOf(work({ state: 'staged', ...long, held: true }), now)).toBeNull();
    expect(stuckOf(work({ state: 'offered', ...long, held: true }), now)).toBeNull();
    expect(stuckOf(work({ state: 'offered', ...long, heardAt: ago(91 * 86_400) }), now)).toBeNull();
  });

  test('what has ended is never stuck', () => {
    for (const state of taskStates) {
      const stuck = stuckOf(work({ state, stateSince: 0, progressAt: 0 }), now);
      if (['succeeded', 'failed', 'rolled_back', 'skipped', 'cancelled', 'expired'].includes(state))
        expect(stuck).toBeNull();
    }
  });
});
