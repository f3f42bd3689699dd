import { rmSync } from 'node:fs';
import { runCommand } from '../run-command.ts';
import { AgentFailure } from '../failure.ts';
import type { Executor, ExecutorStep, OrderedChanges } from './executor.ts';
import { judgeWindows, parseWindowsAnswer, simulatedOfWindows } from './windows-output.ts';
import { windowsScript } from './windows-script.ts';

/**
 * Updates of Windows (named `KB5040430`) with the Windows Update Agent, and programs (named as winget names them) with winget,
 * both through PowerShell; built to what Microsoft publishes and never run by us. What is asked goes to a script that is always
 * the same, as JSON in its environment: nothing of an order is ever part of a program. The agent does not run on Windows yet, so
 * no order reaches this.
 */

/** An update of Windows, as its article is numbered. */
export function isUpdate(name: string): boolean {
  return /^KB\d{4,9}$/u.test(name);
}

/** What the script is asked; snake_case as it reads it. */
export function requestOf(step: ExecutorStep | 'state', { packages, added }: OrderedChanges): string {
  const names = [...packages.map((p) => ({ name: p.name, version: p.to })), ...added];
  return JSON.stringify({
    step,
    updates: names.flatMap((p) => (isUpdate(p.name) ? [p.name.slice(2)] : [])),
    programs: names.flatMap((p) => (isUpdate(p.name) ? [] : [{ id: p.name, version: p.version }])),
  });
}

const powershell = [
  'powershell.exe',
  '-NoProfile',
  '-NonInteractive',
  '-ExecutionPolicy',
  'Bypass',
  '-Command',
  windowsScript,
] as const;

export function createWindowsExecutor(downloadsDir: string): Executor {
  return {
    manager: 'windows',
    // The Windows Update Agent has its own ways to its servers (WSUS, Delivery Optimization), set by the owner.
    prepare: () => undefined,
    command(step, changes) {
      if (step === 'keep' || step === 'roll_back') {
        throw new Error('with Windows nothing is kept that could be put back');
      }
      return { argv: powershell, env: { FIXPOINT_REQUEST: requestOf(step, changes) } };
    },
    judge: judgeWindows,
    simulated: simulatedOfWindows,
    async state() {
      const answer = await runCommand(powershell, {
        timeoutSeconds: 600,
        env: { FIXPOINT_REQUEST: requestOf('state', { packages: [], added: [], removed: [] }) },
      });
      const read = answer.ok ? parseWindowsAnswer(answer.stdout) : null;
      if (read?.installed === undefined) {
        throw new AgentFailure(
          'windows_updates_unreadable',
          'what is installed on this host cannot be read',
          'Run Get-HotFix on the host.',
        );
      }
      return { versions: new Map(Object.entries(read.installed)), unfinished: new Set() };
    },
    downloadedBytes: () => 0,
    shippedFiles: () => Promise.resolve([]),
    installedFiles: () => Promise.resolve([]),
    readAutomatic: () => Promise.resolve([]),
    markAutomatic: () => Promise.resolve(),
    cleanUp() {
      rmSync(downloadsDir, { recursive: true, force: true });
    },
  };
}
