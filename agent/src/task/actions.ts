import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { hasRun, runDetached, type DetachedResult } from '../execute/detached.ts';
import { reportableOutput } from '../execute/apt-output.ts';
import { readBootId } from '../process.ts';
import { TaskFailed, type EventDetail, type TaskContext } from './context.ts';
import { lastLine, ownerCommand, type OwnerCommand } from './owner-command.ts';
import type { InstallTask } from './task.ts';

/**
 * Runs the actions that the order names and that the policy of the host knows: step `before` or `after` of the journal. Each is
 * begun once, whatever happens: one that was under way when the agent died is found again, and one that was lost (the host
 * went down) has failed.
 */

type When = 'before' | 'after';
type Action = NonNullable<NonNullable<InstallTask['order']['actions']>[When]>[number];
type Result = NonNullable<EventDetail['actions']>[number];
interface Outcome {
  readonly results: readonly Result[];
  /** Of those that must not fail; null when none did. */
  readonly failed: string | null;
}

/** Each once, in order; throws TaskFailed(`action_failed`) when one fails that must not. */
export async function runActions(when: When, task: InstallTask, context: TaskContext): Promise<void> {
  const { results, failed } = await runAll(when, task, context);
  if (failed !== null) throw new TaskFailed('action_failed', failed, { actions: [...results] });
}

/** Whether actions before have been begun: what they have stopped is to be started again. */
export function hasBegunActions(task: InstallTask): boolean {
  return task.attempts('before') > 0;
}

/**
 * After a failure: what actions before have begun is undone by those after, as well as it goes. Gives what is to be told
 * together with the failure.
 */
export async function undoActions(task: InstallTask, context: TaskContext): Promise<Outcome> {
  if (!hasBegunActions(task)) return { results: [], failed: null };
  return await runAll('after', task, context);
}

async function runAll(when: When, task: InstallTask, context: TaskContext): Promise<Outcome> {
  const actions = task.order.actions?.[when] ?? [];
  if (actions.length === 0) return { results: [], failed: null };
  const done = task.entries().find((e) => e.step === when && e.phase === 'done');
  if (done !== undefined) {
    const failed = done.data?.['failed'];
    return { results: done.event?.detail?.actions ?? [], failed: typeof failed === 'string' ? failed : null };
  }
  const results: Result[] = [];
  const failures: string[] = [];
  for (const [index, action] of actions.entries()) {
    const result = await runOne(when, index, action, task, context);
    results.push(result);
    if (result.ok || action.on_failure === 'continue') continue;
    failures.push(`The action ${action.name} ${when} the installation failed: ${result.message}`);
    // Those after undo what those before have done: one that fails is no reason to leave the others out.
    if (when === 'before') break;
  }
  const failed = failures.length === 0 ? null : failures.join(' ').slice(0, 2_000);
  context.stopAt.pass(`${when}:done`);
  task.note(when, 'done', {
    event: {
      state: task.state() ?? 'staged',
      message: describe(when, results),
      detail: { actions: results },
    },
    data: { failed },
  });
  context.wake();
  return { results, failed };
}

function describe(when: When, results: readonly Result[]): string {
  const words = results.map(({ name, ok }) => `${name} ${ok ? 'succeeded' : 'failed'}`);
  return `Actions ${when} the installation: ${words.join(', ')}.`.slice(0, 2_000);
}

async function runOne(
  when: When,
  index: number,
  action: Action,
  task: InstallTask,
  context: TaskContext,
): Promise<Result> {
  const told = (ok: boolean, message: string, seconds = 0): Result => ({
    name: action.name,
    when,
    ok,
    message: message.slice(0, 1_000),
    seconds: Math.round(seconds * 10) / 10,
  });
  // Not under `runs/`, whose output is followed as it comes: what the owner's variables hold is to be taken out first.
  const dir = join(task.dir, 'actions');
  const run = `${when}-${String(index)}`;
  const begun = task
    .entries()
    .find((e) => e.step === when && e.phase === 'begin' && e.data?.['action'] === index);
  const known = context.policy().actions.get(action.name);
  if (begun === undefined && known === undefined)
    return told(false, 'The policy of the host does not know it.');
  if (
    begun !== undefined &&
    begun.data?.['boot_id'] !== readBootId() &&
    !existsSync(join(dir, `${run}.exit`))
  ) {
    return told(false, lostMessage);
  }
  let command: OwnerCommand = { argv: ['/bin/false'], env: {}, secrets: [] };
  if (known !== undefined) {
    const prepared = await ownerCommand(known, task, {
      FIXPOINT_ACTION: action.name,
      FIXPOINT_PHASE: when,
    });
    if (prepared.ok) command = prepared.value;
    else if (!hasRun(dir, run)) return told(false, prepared.message);
  } else if (!hasRun(dir, run)) return told(false, 'The policy of the host does not know it any more.');
  if (begun === undefined) {
    task.note(when, 'begin', { data: { action: index, name: action.name, boot_id: readBootId() } });
    context.log('info', 'action', { name: action.name, when, task_id: task.order.task_id });
    context.stopAt.pass(when);
  }
  const since = begun === undefined ? context.clock.now() : Date.parse(begun.at);
  const timeoutSeconds = Math.min(action.timeout_seconds, known?.timeoutSeconds ?? action.timeout_seconds);
  const result = await runDetached(dir, run, { ...command, timeoutSeconds }, context.clock, () => {
    context.stopAt.pass(`${when}:running`);
  });
  // Which of its words are secret is known only while the policy names it.
  const output = known === undefined ? '' : reportableOutput(result.output, command.secrets);
  context.output(task, when, `${action.name}:\n${output}${output.endsWith('\n') ? '' : '\n'}`);
  const { ok, message } = judge(result, timeoutSeconds, lastLine(output, command.secrets));
  return told(ok, message, Math.max(0, (context.clock.now() - since) / 1000));
}

const lostMessage = 'It was interrupted, and nobody can tell how far it came. It is not run again.';

function judge(
  result: DetachedResult,
  timeoutSeconds: number,
  line: string,
): { readonly ok: boolean; readonly message: string } {
  const more = line === '' ? '' : ` Its last line: ${line}`;
  switch (result.kind) {
    case 'lost':
      return { ok: false, message: `${lostMessage}${more}` };
    case 'timed_out':
      return { ok: false, message: `It took longer than ${String(timeoutSeconds)} s and was ended.${more}` };
    case 'exited':
      if (result.exitCode === 0) return { ok: true, message: line };
      return { ok: false, message: `It exited with ${String(result.exitCode)}.${more}` };
  }
}
