import { describe, expect, test } from 'vitest';
import { accuracyOf, type TaskStep } from './accuracy.ts';
import type { PlannedTask, Prediction } from './plan.ts';

const prediction: Prediction = {
  simulated_at: '2026-01-02T03:04:05Z',
  download_bytes: 1_000,
  disk_bytes: 0,
  disk_free_bytes: 1,
  restarts: ['nginx.service'],
  reboot: false,
  rollback: { possible: true, reasons: [] },
  remarks: [],
};
const planned: PlannedTask = {
  asset_id: 'a',
  hostname: 'web-1',
  patches: [],
  packages: [{ name: 'libssl3', arch: 'amd64', from: '1', to: '2', source: 'openssl', source_version: '2' }],
  added: [{ name: 'libnew1', arch: 'amd64', version: '1' }],
  fixes: [],
  download_bytes: 900,
  prediction,
};
const versions = [
  { name: 'libssl3', arch: 'amd64', version: '2' },
  { name: 'libnew1', arch: 'amd64', version: '1' },
];
const step = (to: TaskStep['to'], detail: TaskStep['detail'] = {}): TaskStep => ({ to, detail });
const asPredicted: TaskStep[] = [
  step('offered'),
  step('downloading', { downloaded_bytes: 1_005 }),
  step('installing'),
  step('installed', { versions }),
  step('verifying', { restarted_units: ['nginx.service'], not_restarted_units: [] }),
  step('succeeded'),
];
const kinds = (steps: readonly TaskStep[], task = planned): string[] =>
  accuracyOf(task, steps).differences.map((one) => `${one.kind} ${one.subject}`.trim());

describe('predicted and actual', () => {
  test('as predicted', () => {
    expect(accuracyOf(planned, asPredicted)).toEqual({
      not_compared: null,
      differences: [],
      download_bytes: { predicted: 1_000, actual: 1_005 },
    });
  });
  test('each difference, with what was predicted and what was', () => {
    const steps = [
      step('offered'),
      step('downloading', { downloaded_bytes: 5_000 }),
      step('installed', { versions: [{ name: 'libssl3', arch: 'amd64', version: '3' }] }),
      step('reboot_pending', {
        restarted_units: ['php.service'],
        not_restarted_units: [{ name: 'dbus.service' }],
      }),
    ];
    expect(accuracyOf(planned, steps).differences).toEqual([
      { kind: 'version', subject: 'libssl3', predicted: '2', actual: '3' },
      { kind: 'version', subject: 'libnew1', predicted: '1', actual: 'not installed' },
      { kind: 'download', subject: '', predicted: '1000 bytes', actual: '5000 bytes' },
      { kind: 'restart', subject: 'dbus.service', predicted: 'not concerned', actual: 'left running' },
      { kind: 'restart', subject: 'nginx.service', predicted: 'to be restarted', actual: 'not concerned' },
      { kind: 'restart', subject: 'php.service', predicted: 'not concerned', actual: 'restarted' },
      { kind: 'reboot', subject: '', predicted: 'no reboot', actual: 'a reboot' },
    ]);
  });
  test('a reboot that was predicted and never needed counts once the task is verified', () => {
    const task = { ...planned, prediction: { ...prediction, reboot: true } };
    expect(kinds(asPredicted.slice(0, 4), task)).toEqual([]);
    expect(kinds(asPredicted, task)).toEqual(['reboot']);
  });
  test('of several attempts the last counts, and what a rollback did does not', () => {
    const wrong = [{ name: 'libssl3', arch: 'amd64', version: '1' }];
    expect(
      kinds([step('offered'), step('installed', { versions: wrong }), step('failed'), ...asPredicted]),
    ).toEqual([]);
    expect(kinds([...asPredicted, step('rolling_back'), step('rolled_back', { versions: wrong })])).toEqual(
      [],
    );
  });
  test('what was not asked, or not installed, is not compared', () => {
    const { prediction: _prediction, ...unasked } = planned;
    expect(accuracyOf(unasked, asPredicted)).toMatchObject({
      not_compared: 'not_simulated',
      download_bytes: { predicted: 900, actual: 1_005 },
    });
    expect(accuracyOf(planned, asPredicted.slice(0, 2)).not_compared).toBe('not_installed');
  });
});
