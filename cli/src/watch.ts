import { DeploymentDetail, type TaskView } from '@fixpoint/contract/patch-job.ts';
import { sleep } from './clock.ts';
import type { Connection } from './connection.ts';
import { exitCodes, type ExitCode } from './exit-codes.ts';
import { ask } from './http-client.ts';
import { note, print, printJson, writeAll } from './output/stream.ts';
import { harmless, isTerminal, styled, width, type Style } from './output/terminal.ts';

const pollEveryMs = 1000;
const endStates: ReadonlySet<string> = new Set(['completed', 'halted', 'cancelled']);

export function hasEnded(detail: DeploymentDetail): boolean {
  return endStates.has(detail.deployment.state);
}

/** What a watched deployment came to: 0 when every task succeeded or had nothing to do. */
export function exitCodeOf(detail: DeploymentDetail): ExitCode {
  const fine = detail.tasks.every((task) => task.state === 'succeeded' || task.state === 'skipped');
  return detail.deployment.state === 'completed' && fine ? exitCodes.ok : exitCodes.deploymentFailed;
}

/**
 * Follows a deployment to its end: one line a task that redraws itself on a terminal, one line a change elsewhere.
 * Ctrl-C stops watching and nothing else.
 */
export async function watchDeployment(to: Connection, id: string, json: boolean): Promise<ExitCode> {
  const stop = new AbortController();
  const onInterrupt = (): void => stop.abort();
  process.once('SIGINT', onInterrupt);
  const live = isTerminal && !json;
  const seen = new Map<string, string>();
  let drawn = 0;
  try {
    for (;;) {
      const detail = await ask(to, `/api/v1/deployments/${encodeURIComponent(id)}`, DeploymentDetail);
      if (live) drawn = redraw(detail, drawn);
      else if (!json) printChanges(detail, seen);
      if (hasEnded(detail)) {
        if (json) printJson(detail);
        else print(`\n${styled('bold', deploymentSentence(detail))}`);
        return exitCodeOf(detail);
      }
      await sleep(pollEveryMs, stop.signal);
      if (stop.signal.aborted) {
        note(
          `\nnote: no longer watching; the deployment goes on. fixpoint deployment watch ${id} follows it again`,
        );
        return exitCodes.interrupted;
      }
    }
  } finally {
    process.off('SIGINT', onInterrupt);
  }
}

/** `Completed: 3 of 4 tasks succeeded, 1 failed.` */
export function deploymentSentence({ deployment, tasks }: DeploymentDetail): string {
  const counts = new Map<string, number>();
  for (const task of tasks) counts.set(task.state, (counts.get(task.state) ?? 0) + 1);
  const succeeded = counts.get('succeeded') ?? 0;
  counts.delete('succeeded');
  const rest = [...counts].map(([state, n]) => `${String(n)} ${state.replaceAll('_', ' ')}`);
  const head = `${deployment.state.charAt(0).toUpperCase()}${deployment.state.slice(1)}`;
  const why = deployment.pause_reasons.length > 0 ? ` (${deployment.pause_reasons.join('; ')})` : '';
  return `${head}${why}: ${[`${String(succeeded)} of ${String(tasks.length)} tasks succeeded`, ...rest].join(', ')}.`;
}

const styleOfState: Readonly<Record<string, Style>> = {
  succeeded: 'green',
  failed: 'red',
  rolled_back: 'red',
  expired: 'red',
  unreachable: 'yellow',
  restart_pending: 'yellow',
  reboot_pending: 'yellow',
  rebooting: 'yellow',
  rolling_back: 'yellow',
  waiting_for_window: 'cyan',
  cancelled: 'dim',
  skipped: 'dim',
};

/** State and reason of a task in one line; the state also says by its word what its colour says. */
export function taskLine(task: TaskView): string {
  const state = task.state.replaceAll('_', ' ').padEnd(18);
  const style = styleOfState[task.state];
  const why = task.reason === null ? '' : harmless(`${task.reason.code}: ${task.reason.message}`);
  const stuck =
    task.stuck === undefined
      ? ''
      : `  ${styled('red', 'STUCK')} ${harmless(`${task.stuck.code}: ${task.stuck.message} ${task.stuck.what_to_do}`)}`;
  return `${style === undefined ? state : styled(style, state)} ${harmless(task.hostname)}${stuck}${why === '' ? '' : `  ${why}`}`;
}

const linesShown = 30;

function redraw(detail: DeploymentDetail, drawn: number): number {
  // Those under way first: they are what one waits for.
  const waiting = detail.tasks.filter((task) => task.ended_at === null);
  const ended = detail.tasks.filter((task) => task.ended_at !== null);
  const shown = [...waiting, ...ended].slice(0, linesShown);
  const lines = [styled('bold', deploymentSentence(detail)), ...shown.map(taskLine)];
  if (detail.tasks.length > shown.length)
    lines.push(`… and ${String(detail.tasks.length - shown.length)} more`);
  const limit = width();
  const up = drawn > 0 ? `\u001B[${String(drawn)}A` : '';
  // A line that wraps would break the count of lines to go up, so the plain text is cut; colour codes take no room.
  writeAll(1, `${up}${lines.map((line) => `\u001B[K${clip(line, limit)}\n`).join('')}\u001B[J`);
  return lines.length;
}

function clip(line: string, limit: number): string {
  let kept = '';
  let cells = 0;
  // oxlint-disable-next-line no-control-regex -- the colour codes that styled() wrote
  for (const part of line.split(/(\u001B\[[0-9;]*m)/u)) {
    if (part.startsWith('\u001B')) kept += part;
    else {
      const piece = part.slice(0, Math.max(0, limit - cells));
      kept += piece;
      cells += piece.length;
    }
  }
  return kept;
}

function printChanges(detail: DeploymentDetail, seen: Map<string, string>): void {
  for (const task of detail.tasks) {
    const line = taskLine(task);
    if (seen.get(task.id) === line) continue;
    seen.set(task.id, line);
    print(`${task.updated_at.slice(11, 19)}Z ${line}`);
  }
}
