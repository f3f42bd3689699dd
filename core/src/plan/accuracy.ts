import type { TaskState } from '../task/states.ts';
import type { PlannedTask } from './plan.ts';

/** What was predicted of a task, beside what happened. Pure. */

/** One step of a task as its history has it; of `detail` what an agent reports (contract/src/agent.ts). */
export interface TaskStep {
  readonly to: TaskState;
  readonly detail: {
    readonly versions?: readonly { readonly name: string; readonly arch: string; readonly version: string }[];
    readonly downloaded_bytes?: number;
    readonly restarted_units?: readonly string[];
    readonly not_restarted_units?: readonly { readonly name: string }[];
  };
}

export const differenceKinds = ['version', 'download', 'restart', 'reboot'] as const;
export type DifferenceKind = (typeof differenceKinds)[number];
export interface Difference {
  readonly kind: DifferenceKind;
  /** The package or unit that it is about; empty for the task as a whole. */
  readonly subject: string;
  readonly predicted: string;
  readonly actual: string;
}

export interface TaskAccuracy {
  /** Null: it was compared. */
  readonly not_compared: 'not_simulated' | 'not_installed' | null;
  readonly differences: readonly Difference[];
  /** Of what was downloaded; null when the agent has not told. */
  readonly download_bytes: { readonly predicted: number; readonly actual: number | null };
}

/** Of downloads nothing smaller than this part is a difference: sizes of indexes come and go. */
const downloadTolerance = 0.01;

/** Compares a task with its steps, oldest first; of several attempts the last counts, and what a rollback did does not. */
export function accuracyOf(planned: PlannedTask, steps: readonly TaskStep[]): TaskAccuracy {
  const attempt = lastAttempt(steps);
  const { prediction } = planned;
  const downloaded = last(attempt.map((one) => one.detail.downloaded_bytes));
  const none = {
    differences: [],
    download_bytes: {
      predicted: prediction?.download_bytes ?? planned.download_bytes,
      actual: downloaded ?? null,
    },
  };
  if (prediction === undefined) return { not_compared: 'not_simulated', ...none };
  if (!attempt.some((one) => one.to === 'installed')) return { not_compared: 'not_installed', ...none };
  const differences: Difference[] = [
    ...versionDifferences(planned, last(attempt.map((one) => one.detail.versions))),
  ];
  const { actual, predicted } = none.download_bytes;
  if (actual !== null && Math.abs(actual - predicted) > Math.max(predicted, actual) * downloadTolerance) {
    differences.push({
      kind: 'download',
      subject: '',
      predicted: `${String(predicted)} bytes`,
      actual: `${String(actual)} bytes`,
    });
  }
  differences.push(...restartDifferences(prediction.restarts, attempt));
  const rebooted = attempt.some((one) => one.to === 'reboot_pending' || one.to === 'rebooting');
  const isOver = attempt.some((one) => one.to === 'verifying' || one.to === 'succeeded');
  if (rebooted !== prediction.reboot && (rebooted || isOver)) {
    const words = (needed: boolean): string => (needed ? 'a reboot' : 'no reboot');
    differences.push({
      kind: 'reboot',
      subject: '',
      predicted: words(prediction.reboot),
      actual: words(rebooted),
    });
  }
  return { not_compared: null, ...none, differences };
}

function lastAttempt(steps: readonly TaskStep[]): TaskStep[] {
  const rollback = steps.findIndex((one) => one.to === 'rolling_back');
  const forward = rollback < 0 ? [...steps] : steps.slice(0, rollback);
  return forward.slice(forward.findLastIndex((one) => one.to === 'offered') + 1);
}

function last<T>(values: readonly (T | undefined)[]): T | undefined {
  return values.findLast((value) => value !== undefined);
}

function versionDifferences(planned: PlannedTask, versions: TaskStep['detail']['versions']): Difference[] {
  if (versions === undefined) return [];
  const there = new Map(versions.map((p) => [`${p.name}:${p.arch}`, p.version]));
  const wanted = [
    ...planned.packages.map((p) => ({ name: p.name, arch: p.arch, version: p.to })),
    ...(planned.added ?? []),
  ];
  return wanted.flatMap(({ name, arch, version }): Difference[] => {
    const actual = there.get(`${name}:${arch}`);
    return actual === version
      ? []
      : [{ kind: 'version', subject: name, predicted: version, actual: actual ?? 'not installed' }];
  });
}

/** Units that really ran replaced files: those that were restarted, and those that were left alone. */
function restartDifferences(predicted: readonly string[], attempt: readonly TaskStep[]): Difference[] {
  const told = attempt.findLast((one) => one.detail.restarted_units !== undefined);
  if (told === undefined) return [];
  const restarted = new Set(told.detail.restarted_units);
  const left = new Set((told.detail.not_restarted_units ?? []).map((one) => one.name));
  const really = new Set([...restarted, ...left]);
  return [...new Set([...predicted, ...really])].sort().flatMap((unit): Difference[] => {
    const isPredicted = predicted.includes(unit);
    if (isPredicted === really.has(unit)) return [];
    return [
      {
        kind: 'restart',
        subject: unit,
        predicted: isPredicted ? 'to be restarted' : 'not concerned',
        actual: restarted.has(unit) ? 'restarted' : left.has(unit) ? 'left running' : 'not concerned',
      },
    ];
  });
}
