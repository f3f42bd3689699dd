import type { TaskFailure } from '@fixpoint/core/task/states.ts';
import type { ExecutorStep, Judgement, OrderedChanges, Simulated } from './executor.ts';
import { stepTitles } from './step-titles.ts';

/** How the end of a command is read where lines of its output tell what went wrong: apk, pacman. */

export interface Signs {
  /** First match wins. */
  readonly failures: readonly (readonly [RegExp, TaskFailure])[];
  /** A script of a package that failed, which need not make the command fail. */
  readonly failedScript: RegExp;
  readonly simulated: (output: string) => Simulated;
}

export function judgeBySigns(
  signs: Signs,
  step: ExecutorStep,
  exitCode: number,
  output: string,
  changes: OrderedChanges,
): Judgement {
  const title = stepTitles[step];
  const lines = output.split('\n');
  const failed = (failure: TaskFailure, line: string): Judgement => ({
    ok: false,
    failure,
    message: `${title} failed: ${line.trim()}`.slice(0, 1_500),
  });
  if (exitCode !== 0 || (step === 'install' && lines.some((line) => signs.failedScript.test(line)))) {
    for (const [sign, failure] of signs.failures) {
      const line = lines.find((one) => sign.test(one));
      if (line !== undefined) return failed(failure, line);
    }
    return failed('package_manager_broken', lines.findLast((one) => one.trim() !== '') ?? 'it wrote nothing');
  }
  if (step !== 'simulate') return { ok: true };
  const differences = differencesOf(signs.simulated(output), changes);
  return differences.length === 0
    ? { ok: true }
    : {
        ok: false,
        failure: 'plan_differs',
        message: `Beyond the order, ${differences.slice(0, 10).join('; ')}.`.slice(0, 1_500),
      };
}

/** By name: a host of apk or pacman has one architecture. */
function differencesOf(simulated: Simulated, { packages, added, removed }: OrderedChanges): string[] {
  const wanted = new Map<string, string>([
    ...packages.map((p) => [p.name, p.to] as const),
    ...added.map((p) => [p.name, p.version] as const),
  ]);
  const leaving = new Set(removed.map((p) => p.name));
  return [
    ...simulated.removed.filter((p) => !leaving.has(p.name)).map((p) => `${p.name} would be removed`),
    ...simulated.changed.flatMap(({ name, from, to }) => {
      const version = wanted.get(name);
      if (version === to) return [];
      if (version !== undefined) return [`${name} would go to ${to} instead of ${version}`];
      return [
        from === null ? `${name} ${to} would be newly installed` : `${name} would go from ${from} to ${to}`,
      ];
    }),
  ];
}
