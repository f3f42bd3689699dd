import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { appendFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { TaskLogRequest, type TaskLogResponse } from '@fixpoint/contract/agent.ts';
import type { InstallOrder } from '@fixpoint/contract/order.ts';
import { parseJson } from '@fixpoint/contract/parse.ts';
import { systemClock, toIso } from './clock.ts';
import { runDetached } from './execute/detached.ts';
import { AgentFailure } from './failure.ts';
import type { CallResult } from './session.ts';
import { createTaskLogs, type TaskLogs } from './task-log.ts';
import { openTaskList, type Task, type TaskList } from './task/task.ts';

/** Real files, real detached commands, real kills; the other side keeps pieces as the server does. */

let dir: string;
let tasks: TaskList;
let stopping: AbortController;
let held: Map<string, TaskLogRequest['pieces']>;
let calls: TaskLogRequest[];
let answer: (kept: TaskLogResponse) => CallResult<TaskLogResponse>;

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'fixpoint-task-log-'));
  tasks = openTaskList(dir, systemClock);
  stopping = new AbortController();
  held = new Map();
  calls = [];
  answer = (value) => ({ ok: true, value });
});
afterEach(() => {
  stopping.abort();
  rmSync(dir, { recursive: true, force: true });
});

/** As the server: nothing twice, no gap. */
function keep(request: TaskLogRequest): TaskLogResponse {
  calls.push(request);
  const key = `${request.task_id}.${String(request.generation)}`;
  const pieces = held.get(key) ?? [];
  held.set(key, pieces);
  for (const [index, piece] of request.pieces.entries()) {
    if (request.first + index === pieces.length) pieces.push(piece);
  }
  return { next: pieces.length, full: false };
}

const textOf = (task: Task): string =>
  (held.get(`${task.order.task_id}.${String(task.order.generation)}`) ?? []).map((p) => p.text).join('');

function accept(generation = 1, taskId: string = randomUUID()): Task {
  const order: InstallOrder = {
    format: 1,
    action: 'install',
    asset_id: randomUUID(),
    task_id: taskId,
    deployment_id: randomUUID(),
    generation,
    sequence: tasks.lastSequence() + 1,
    issued_at: toIso(systemClock.now()),
    expires_at: toIso(systemClock.now() + 600_000),
    packages: [],
    units: 'leave',
    install_timeout_seconds: 60,
  };
  return tasks.accept(order, JSON.stringify(order));
}

function follow(begin = true): TaskLogs {
  const logs = createTaskLogs({
    clock: systemClock,
    log: () => undefined,
    tasks,
    signal: stopping.signal,
    send: async (request) => Promise.resolve(answer(keep(request))),
  });
  if (begin) void logs.run();
  return logs;
}

async function until(condition: () => boolean, what: string): Promise<void> {
  for (let i = 0; i < 400 && !condition(); i++) await systemClock.sleep(0.05);
  expect(condition(), what).toBe(true);
}

const shell = (script: string) => ({ argv: ['/bin/sh', '-c', script], env: {}, timeoutSeconds: 30 }) as const;

test('what a command writes is sent while it runs, at once when somebody watches', async () => {
  const task = accept();
  const logs = follow();
  logs.watched([task.order.task_id]);
  const running = runDetached(
    join(task.dir, 'runs'),
    'install-1',
    shell(
      'for i in 1 2 3 4 5 6; do echo line $i of http://u:hidden@host/; sleep 0.4; done; printf "the end"',
    ),
    systemClock,
  );
  await until(() => textOf(task).includes('line 1'), 'the first line');
  expect(textOf(task)).not.toContain('line 6');
  await running;
  logs.write(task, 'after', 'the action said this\n');
  task.note('ended', 'done', {});
  logs.wake();
  await until(() => textOf(task).includes('the end'), 'all of it');
  const lines = textOf(task).split('\n');
  expect(lines.filter((line) => line.startsWith('line'))).toEqual(
    [1, 2, 3, 4, 5, 6].map((i) => `line ${String(i)} of http://[redacted]@host/`),
  );
  expect(calls.length, 'sent as it came').toBeGreaterThan(3);
  await until(() => calls.some((c) => c.pieces.some((p) => p.step === 'after')), 'what the action said');
});

test('nothing is sent twice and nothing is lost however often the agent is killed', async () => {
  const one = accept();
  const two = accept();
  const heard = createServer((request, response) => {
    let text = '';
    request.on('data', (chunk: Buffer) => (text += chunk.toString()));
    request.on('end', () => {
      const parsed = parseJson(TaskLogRequest, text);
      if (!parsed.ok) throw new Error(text.slice(0, 500));
      response.end(JSON.stringify({ ...keep(parsed.value), watched: true }));
    });
  });
  const url = await listening(heard);
  const double = fileURLToPath(new URL('task-log-double.ts', import.meta.url));
  // Written here and not by a command, so that what came is compared with all that was written.
  for (const task of [one, two]) mkdirSync(join(task.dir, 'runs'));
  const written = new Map<Task, string>([
    [one, ''],
    [two, ''],
  ]);
  let number = 0;
  const write = (): void => {
    for (const task of [one, two]) {
      // Lines in two halves too, and characters of several bytes.
      const text = `${String(number++)} Entpacken … von größer (✓)\nhalf `;
      written.set(task, (written.get(task) ?? '') + text);
      appendFileSync(join(task.dir, 'runs', 'install-1.output'), text);
    }
  };
  try {
    for (let life = 0; life < 8; life++) {
      const child = spawn(process.execPath, [double, dir, url], { stdio: 'inherit' });
      const ended = new Promise((resolve) => child.on('exit', resolve));
      const endAt = systemClock.elapsedSeconds() + 0.5 + (life % 4) * 0.2;
      while (systemClock.elapsedSeconds() < endAt) {
        write();
        await systemClock.sleep(0.01);
      }
      child.kill('SIGKILL');
      await ended;
      // A line that the kill has torn.
      if (life === 3) appendFileSync(join(one.dir, 'log.pieces'), '{"at":"2026-01-01T00:00:00Z","st');
    }
    for (const task of [one, two]) {
      writeFileSync(join(task.dir, 'runs', 'install-1.exit'), '0\n');
      task.note('ended', 'done', {});
    }
    const last = spawn(process.execPath, [double, dir, url], { stdio: 'inherit' });
    const whole = () => [one, two].every((task) => textOf(task) === `${String(written.get(task))}\n`);
    for (let i = 0; i < 200 && !whole(); i++) await systemClock.sleep(0.05);
    last.kill('SIGKILL');
    for (const task of [one, two]) expect(textOf(task)).toBe(`${String(written.get(task))}\n`);
    expect(calls.length).toBeGreaterThan(8);
  } finally {
    heard.close();
    heard.closeAllConnections();
  }
}, 60_000);

test('a server that has lost pieces gets them again; one that does not want them is left alone', async () => {
  const task = accept();
  const logs = follow();
  for (let i = 0; i < 5; i++) logs.write(task, 'before', `piece ${String(i)}\n`);
  logs.wake();
  await until(() => textOf(task).includes('piece 4'), 'the first five');
  held.get(`${task.order.task_id}.1`)?.splice(2);
  logs.write(task, 'before', 'piece 5\n');
  logs.wake();
  await until(() => textOf(task).includes('piece 5'), 'all again');
  expect(textOf(task)).toBe('piece 0\npiece 1\npiece 2\npiece 3\npiece 4\npiece 5\n');

  answer = () => ({ ok: false, status: 404, code: 'task_unknown', message: 'no such task' });
  const before = calls.length;
  logs.write(task, 'before', 'unwanted\n');
  logs.wake();
  await until(() => calls.length === before + 1, 'one refused call');
  logs.write(task, 'before', 'unwanted again\n');
  logs.wake();
  await systemClock.sleep(1.2);
  expect(calls.length).toBe(before + 1);
});

test('an outage loses nothing', async () => {
  const task = accept();
  const logs = follow();
  let out = true;
  answer = (value) => {
    if (!out) return { ok: true, value };
    throw new AgentFailure('server_unreachable', 'no route', 'wait');
  };
  logs.write(task, 'before', 'one\n');
  logs.wake();
  await until(() => calls.length >= 1, 'a call that fails');
  logs.write(task, 'before', 'two\n');
  out = false;
  logs.wake();
  await until(() => textOf(task) === 'one\ntwo\n', 'both');
});

test('of a generation 1 MiB is taken, and then it says where the rest is', async () => {
  const task = accept();
  await runDetached(
    join(task.dir, 'runs'),
    'install-1',
    shell('yes "a line of this installation" | head -c 3000000; echo; echo LAST'),
    systemClock,
  );
  follow();
  await until(() => textOf(task).includes('The rest is on the host'), 'the line at the end');
  const text = textOf(task);
  expect(text.length).toBeGreaterThan(1_000_000);
  expect(text.length).toBeLessThanOrEqual(1024 * 1024);
  expect(text.endsWith(`in ${join(task.dir, 'runs')}]\n`)).toBe(true);
  expect(readFileSync(join(task.dir, 'runs', 'install-1.output'), 'utf8')).toContain('LAST');
  for (const call of calls) expect(JSON.stringify(call).length).toBeLessThan(1024 * 1024);
});

test('the generations of a task come one after another', async () => {
  const first = accept(1);
  const second = accept(2, first.order.task_id);
  const logs = follow(false);
  answer = (value) => (calls.at(-1)?.generation === 1 && calls.length < 3 ? fail() : { ok: true, value });
  const fail = (): never => {
    throw new AgentFailure('server_unreachable', 'no route', 'wait');
  };
  logs.write(first, 'before', 'first\n');
  logs.write(second, 'before', 'second\n');
  void logs.run();
  const secondCame = (): boolean => {
    logs.wake();
    return textOf(second) !== '';
  };
  await until(secondCame, 'the second generation');
  expect(textOf(first)).toBe('first\n');
  expect(calls.findIndex((c) => c.generation === 2)).toBeGreaterThan(0);
});

function listening(server: Server): Promise<string> {
  return new Promise((resolve) => {
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      resolve(`http://127.0.0.1:${String(typeof address === 'object' ? address?.port : '')}/`);
    });
  });
}
