import { Value } from 'typebox/value';
import { TaskLogPage, TaskLogPiece, TaskLogState } from '@fixpoint/contract/task-log.ts';
import { sleep } from './clock.ts';
import type { Connection } from './connection.ts';
import { readEvents } from './event-stream.ts';
import { exitCodes, type ExitCode } from './exit-codes.ts';
import { Failure } from './failure.ts';
import { ask, stream } from './http-client.ts';
import { note, print, printJson } from './output/stream.ts';
import { harmless, styled } from './output/terminal.ts';

/** The log of a task in the terminal: as it is, or as it comes. */

const pathOf = (id: string): string => `/api/v1/tasks/${encodeURIComponent(id)}/log`;

/** Prints what there is. */
export async function printTaskLog(
  to: Connection,
  id: string,
  options: { readonly generation?: number | undefined; readonly json: boolean },
): Promise<ExitCode> {
  const pieces: TaskLogPiece[] = [];
  let after: string | undefined;
  let ended = false;
  for (;;) {
    const page: TaskLogPage = await ask(to, pathOf(id), TaskLogPage, {
      query: { after, generation: options.generation, limit: 1000 },
    });
    if (options.json) pieces.push(...page.items);
    else for (const piece of page.items) printPiece(piece);
    ended = page.ended;
    if (page.next === null) {
      if (options.json) printJson(pieces);
      else if (page.items.length === 0 && after === undefined)
        note(`note: nothing was written${ended ? '' : ' yet; --follow waits for it'}`);
      return exitCodes.ok;
    }
    after = page.next;
  }
}

/** A line of the log: when, of which step, and what the host wrote. */
function printPiece({ at, step, text }: TaskLogPiece): void {
  const head = styled('dim', `${at.slice(11, 19)}Z ${harmless(step)}`);
  for (const line of text.replace(/\n$/u, '').split('\n')) print(`${head}  ${harmless(line)}`);
}

/** Longer than the server's heartbeats are apart. */
const silentSeconds = 45;
const againMilliseconds = 2_000;
const attemptsMaximum = 30;

/**
 * Prints the log as it comes until the task has ended; what breaks off is taken up after the last piece. As JSON: one object a
 * line. Ctrl-C stops watching and nothing else.
 */
export async function followTaskLog(to: Connection, id: string, json: boolean): Promise<ExitCode> {
  const stop = new AbortController();
  const onInterrupt = (): void => stop.abort();
  process.once('SIGINT', onInterrupt);
  const place: { after: string | undefined } = { after: undefined };
  let failures = 0;
  try {
    for (;;) {
      try {
        const end = await followOnce(to, id, json, place, stop.signal);
        if (end !== null) return exitOf(end, json);
        failures = 0;
      } catch (error) {
        if (!stop.signal.aborted) {
          // What the server refuses, it refuses again; what is not there may come back.
          if (!(error instanceof Failure) || error.exitCode !== exitCodes.unreachable) throw error;
          if (place.after === undefined && failures === 0) throw error;
          failures++;
          if (failures > attemptsMaximum) throw error;
          if (failures === 1) note(`note: ${error.message}; trying again`);
        }
      }
      if (!stop.signal.aborted) await sleep(againMilliseconds, stop.signal);
      if (stop.signal.aborted) {
        note('note: no longer watching; the task goes on');
        return exitCodes.interrupted;
      }
    }
  } finally {
    process.off('SIGINT', onInterrupt);
  }
}

/** One connection; null when it broke off before the end. */
async function followOnce(
  to: Connection,
  id: string,
  json: boolean,
  place: { after: string | undefined },
  signal: AbortSignal,
): Promise<TaskLogState | null> {
  const silent = new AbortController();
  const timer = setTimeout(() => silent.abort(), silentSeconds * 1000);
  try {
    const body = await stream(to, `${pathOf(id)}/stream`, {
      query: { after: place.after },
      timeoutSeconds: 7 * 86_400,
      signal: AbortSignal.any([signal, silent.signal]),
    });
    for await (const event of readEvents(body, () => timer.refresh())) {
      const data: unknown = JSON.parse(event.data);
      if (event.name === 'log' && Value.Check(TaskLogPiece, data)) {
        place.after = event.id ?? place.after;
        if (json) print(JSON.stringify(data));
        else printPiece(data);
      } else if (event.name === 'end' && Value.Check(TaskLogState, data)) return data;
      else if (event.name === 'state' && Value.Check(TaskLogState, data) && !json) {
        note(`note: ${sentenceOf(data)}`);
      }
    }
    return null;
  } catch (error) {
    // Cut in the middle, or silent for too long.
    if (error instanceof Failure) throw error;
    return null;
  } finally {
    clearTimeout(timer);
  }
}

function sentenceOf({ state, message }: TaskLogState): string {
  return `the task is ${state.replaceAll('_', ' ')}${message === null ? '' : `: ${harmless(message)}`}`;
}

/** As of a watched deployment: 0 when it succeeded or had nothing to do. */
function exitOf(end: TaskLogState, json: boolean): ExitCode {
  const isFine = end.state === 'succeeded' || end.state === 'skipped';
  if (!json) print(styled(isFine ? 'green' : 'red', `Ended: ${sentenceOf(end)}.`.replace('..', '.')));
  return isFine ? exitCodes.ok : exitCodes.deploymentFailed;
}
