import type { RebootOrder } from '@fixpoint/contract/order.ts';
import { toIso } from '../clock.ts';
import { TaskFailed, type EventDetail, type TaskContext } from './context.ts';
import type { JournalEntry } from './journal.ts';
import type { Task } from './task.ts';
import { standingOf } from './window.ts';

/**
 * The reboot that a task waits for: only when the server has let it, within its window, and never silently. It is asked again
 * and again, with each check-in, and goes on from what the journal says:
 *
 *     permitted → announced (countdown, those who are logged in may answer) → begun → another boot id
 */

/** The reboot itself must fit into what is left of the window. */
const rebootSeconds = 60;
const answerSeconds = 15;
/** After so long with the same boot id, it did not happen. */
const goingSeconds = 300;
/** What holds a reboot off is given so much time, so often, before it is a failure. */
const refusedAgainSeconds = 300;
const refusalsMaximum = 3;

/**
 * Goes on with a task that is `reboot_pending` and has been permitted to reboot. `rebooted` when the boot id has changed since;
 * `waiting` when there is nothing more to do now. Throws TaskFailed when the host does not let itself be rebooted.
 */
export async function reboot(task: Task, context: TaskContext): Promise<'rebooted' | 'waiting'> {
  const order = task.rebootOrder();
  if (order === null) return 'waiting';
  const since = sincePermit(task);
  const done = since.findLast((e) => e.step === 'reboot' && e.phase === 'done');
  // Given back, put off, or back in another boot.
  if (done !== undefined) return done.data?.['boot_id'] === undefined ? 'waiting' : 'rebooted';
  const begun = since.findLast((e) => e.data?.['going'] === true);
  if (begun !== undefined) return await afterBegun(task, order, begun, context);

  const announced = since.findLast((e) => e.data?.['reboots_at'] !== undefined);
  const now = context.clock.now();
  if (announced === undefined) return await announce(task, order, now, context);

  const reply = order.mode === 'prompt' ? context.machine.readReply(task.order.task_id) : null;
  const put = deferrals(task);
  if (reply?.answer === 'later' && put < order.deferrals_maximum) {
    return putOff(task, order, put + 1, `${reply.user} put the reboot off`, now, context);
  }
  const rebootsAt = Date.parse(String(announced.data?.['reboots_at']));
  if (reply?.answer !== 'now' && now < rebootsAt) return 'waiting';
  return await begin(task, order, context);
}

/** How often it has been put off by people, over all permissions of this task. */
function deferrals(task: Task): number {
  return task.entries().filter((e) => e.step === 'reboot' && e.data?.['deferred'] === true).length;
}

function sincePermit(task: Task): readonly JournalEntry[] {
  const entries = task.entries();
  return entries.slice(entries.findLastIndex((e) => e.step === 'permitted') + 1);
}

async function announce(
  task: Task,
  order: RebootOrder,
  now: number,
  context: TaskContext,
): Promise<'waiting'> {
  const standing = standingOf(order, order.countdown_seconds + rebootSeconds, now);
  if (standing.kind === 'closed') {
    return giveBack(
      task,
      'The window leaves no time for the reboot; it waits for the next one.',
      standing.opensAt,
      context,
    );
  }
  const people = context.machine.whoIsLoggedIn();
  const nobody = people.length === 0;
  if (order.mode === 'prompt' && nobody && order.when_nobody === 'wait') {
    return giveBack(
      task,
      'Nobody is logged in to agree to the reboot, and the job says to wait.',
      null,
      context,
    );
  }
  const rebootsAt = now + order.countdown_seconds * 1000;
  // Nobody is told of a reboot that the owner would not let happen.
  const forbidden = context.mayRebootNow(rebootsAt);
  if (forbidden !== null) return giveBack(task, forbidden.message, forbidden.opensAt, context);
  const left = order.deferrals_maximum - deferrals(task);
  task.note('reboot', 'begin', {
    event: {
      state: 'reboot_pending',
      message: `Reboot announced for ${toIso(rebootsAt)}${nobody ? '' : ` to ${people.join(', ')}`}.`,
      detail: { waits_until: toIso(rebootsAt), ...rebootDetail(task, context) },
    },
    data: { reboots_at: toIso(rebootsAt) },
  });
  context.wake();
  context.stopAt.pass('reboot');
  if (order.mode === 'prompt') context.machine.askForReboot(task.order.task_id);
  if (order.countdown_seconds > 0) {
    await context.machine.tellEverybody(
      announcement(order, rebootsAt, order.mode === 'prompt' && !nobody ? left : null),
    );
  }
  return 'waiting';
}

function announcement(order: RebootOrder, rebootsAt: number, deferralsLeft: number | null): string {
  const lines = [
    `Fixpoint: this host reboots at ${new Date(rebootsAt).toString()} to finish a security update.`,
  ];
  if (order.message !== '') lines.push(order.message);
  if (deferralsLeft !== null) {
    lines.push('At once: fixpoint-agent reboot now');
    if (deferralsLeft > 0) {
      lines.push(
        `Later by ${String(order.deferral_minutes)} min (${String(deferralsLeft)} × left): fixpoint-agent reboot later`,
      );
    }
  }
  return lines.join('\n');
}

function putOff(
  task: Task,
  order: RebootOrder,
  count: number,
  why: string,
  now: number,
  context: TaskContext,
): 'waiting' {
  const until = toIso(now + order.deferral_minutes * 60_000);
  task.note('reboot', 'done', {
    event: {
      state: 'reboot_pending',
      message: `${why} until ${until} (${String(count)} of ${String(order.deferrals_maximum)}).`,
      detail: {
        waits_until: until,
        reboot: { boot_id_before: context.machine.bootId(), deferrals: count, given_back: true },
      },
    },
    data: { deferred: true },
  });
  context.wake();
  return 'waiting';
}

/** This permission is not used: the server is to give another one when it is time. */
function giveBack(
  task: Task,
  message: string,
  opensAt: number | null,
  context: TaskContext,
  more: Readonly<Record<string, true>> = {},
): 'waiting' {
  task.note('reboot', 'done', {
    event: {
      state: 'reboot_pending',
      message,
      detail: {
        ...(opensAt === null ? {} : { waits_until: toIso(opensAt) }),
        reboot: { boot_id_before: context.machine.bootId(), deferrals: deferrals(task), given_back: true },
      },
    },
    data: { given_back: true, ...more },
  });
  context.wake();
  return 'waiting';
}

function rebootDetail(task: Task, context: TaskContext): Pick<EventDetail, 'reboot'> {
  return { reboot: { boot_id_before: context.machine.bootId(), deferrals: deferrals(task) } };
}

async function begin(task: Task, order: RebootOrder, context: TaskContext): Promise<'waiting'> {
  // A pause, or a limit that changed, counts up to the last moment; who cannot be asked does not go down.
  const answer = await context.askedServer(task, answerSeconds);
  if (answer === null) return 'waiting';
  if (answer.held || context.isCancelled(task)) {
    return giveBack(task, 'The server holds the reboot back for now.', null, context);
  }
  const standing = standingOf(order, rebootSeconds, context.clock.now());
  if (standing.kind === 'closed') {
    return giveBack(task, 'The window closed before the reboot.', standing.opensAt, context);
  }
  const forbidden = context.mayRebootNow(context.clock.now());
  if (forbidden !== null) return giveBack(task, forbidden.message, forbidden.opensAt, context);
  const bootId = context.machine.bootId();
  task.note('reboot', 'begin', {
    event: { state: 'rebooting', message: 'The host reboots now.', detail: rebootDetail(task, context) },
    data: { going: true, boot_id: bootId, going_at: toIso(context.clock.now()) },
  });
  context.wake();
  context.stopAt.pass('reboot:running');
  await context.tryReport(answerSeconds);
  return await go(task, context);
}

async function go(task: Task, context: TaskContext): Promise<'waiting'> {
  const result = await context.machine.start();
  if (!result.ok) {
    // Whoever holds it off may be done in a while: a backup, another package manager.
    const refused = task.entries().filter((e) => e.data?.['refused'] === true).length + 1;
    const message = `The reboot was refused: ${result.message}`;
    if (refused >= refusalsMaximum) throw new TaskFailed('reboot_refused', message);
    const again = context.clock.now() + refusedAgainSeconds * 1000;
    return giveBack(task, message, again, context, { refused: true });
  }
  // systemd ends this agent any moment now.
  await context.pause(answerSeconds);
  return 'waiting';
}

async function afterBegun(
  task: Task,
  order: RebootOrder,
  begun: JournalEntry,
  context: TaskContext,
): Promise<'rebooted' | 'waiting'> {
  const before = String(begun.data?.['boot_id']);
  const bootId = context.machine.bootId();
  const goingAt = Date.parse(String(begun.data?.['going_at']));
  const seconds = Math.max(0, (context.clock.now() - goingAt) / 1000);
  if (bootId !== before) {
    context.stopAt.pass('reboot:done');
    task.note('reboot', 'done', {
      event: {
        state: 'rebooting',
        message: `The host is back ${String(Math.round(seconds))} s after it was told to reboot.`,
        detail: {
          reboot: {
            boot_id_before: before,
            boot_id_after: bootId,
            deferrals: deferrals(task),
            seconds: Math.round(seconds),
          },
        },
      },
      data: { boot_id: bootId },
    });
    context.wake();
    return 'rebooted';
  }
  if (seconds > goingSeconds) {
    throw new TaskFailed(
      'reboot_failed',
      `${String(Math.round(seconds))} s after it was told to reboot, the host still runs as before.`,
    );
  }
  // This agent was ended between its note and the command, or systemd still shuts down: to ask again does no harm.
  const now = context.clock.now();
  const mayStill =
    standingOf(order, rebootSeconds, now).kind === 'open' && context.mayRebootNow(now) === null;
  return mayStill ? await go(task, context) : 'waiting';
}
