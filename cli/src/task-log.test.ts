import { spawn } from 'node:child_process';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { readEvents } from './event-stream.ts';

/** The real program against a server that says what the test wants, over real HTTP. */

const program = join(import.meta.dirname, '../bin/fixpoint');
const id = '7b1c7a1e-0000-4000-8000-000000000001';
const piece = (place: number, text: string) => ({
  generation: 1,
  place,
  at: '2026-11-22T10:00:00.000Z',
  step: 'install',
  text,
});
const task = {
  id,
  asset_id: '7b1c7a1e-0000-4000-8000-000000000002',
  hostname: 'web-1',
  ring: 0,
  state: 'installing',
  reason: null,
  stuck: {
    code: 'lock_waited_for',
    since: '2026-11-22T10:00:00.000Z',
    message: 'The package manager waits. The host says: process 42 (apt)',
    what_to_do: 'Let the other program end.',
  },
  packages: [],
  fixes: ['CVE-2026-1111'],
  offered_at: null,
  updated_at: '2026-11-22T10:00:00.000Z',
  ended_at: null,
};

let server: Server;
let url: string;
let asked: { method: string; path: string; body: string }[];
let answer: (request: IncomingMessage, response: ServerResponse, path: string) => void;

beforeEach(async () => {
  asked = [];
  server = createServer((request, response) => {
    let body = '';
    request.on('data', (chunk: Buffer) => (body += chunk.toString()));
    request.on('end', () => {
      asked.push({ method: request.method ?? '', path: request.url ?? '', body });
      answer(request, response, request.url ?? '');
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  url = `http://127.0.0.1:${String(typeof address === 'object' ? address?.port : '')}`;
});
afterEach(() => {
  server.close();
  server.closeAllConnections();
});

function run(...args: string[]) {
  const child = spawn(program, ['task', ...args, '--server', url, '--token', 'fxt_test'], {
    env: { ...process.env, COLUMNS: '', FIXPOINT_SERVER: '', FIXPOINT_TOKEN: '' },
  });
  const said = { stdout: '', stderr: '' };
  child.stdout.on('data', (chunk: Buffer) => (said.stdout += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (said.stderr += chunk.toString()));
  const ended = new Promise<{ status: number | null; stdout: string; stderr: string }>((resolve) => {
    child.on('close', (status) => {
      resolve({ status, ...said });
    });
  });
  return { child, said, ended };
}
const json = (response: ServerResponse, value: unknown, status = 200): void => {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(value));
};
const event = (name: string, data: unknown, place?: number): string =>
  `${place === undefined ? '' : `id: 1:${String(place)}\n`}event: ${name}\ndata: ${JSON.stringify(data)}\n\n`;
const state = (name: string, message: string | null = null) => ({ state: name, generation: 1, message });

test('the log is printed page by page, harmless for a terminal', async () => {
  answer = (_request, response, path) => {
    const after = new URL(path, url).searchParams.get('after');
    json(
      response,
      after === null
        ? { items: [piece(0, 'one\ntwo \u001B[31mred\n')], next: '1:0', ended: true }
        : { items: [piece(1, 'three\n')], next: null, ended: true },
    );
  };
  expect(await run('log', id).ended).toEqual({
    status: 0,
    stdout: '10:00:00Z install  one\n10:00:00Z install  two \\x1b[31mred\n10:00:00Z install  three\n',
    stderr: '',
  });
  const all = await run('log', id, '--json', '--generation', '2').ended;
  expect(JSON.parse(all.stdout)).toHaveLength(2);
  expect(asked.at(-1)?.path).toContain('generation=2');
});

test('it is followed to the end, taken up after the last piece when it breaks off', async () => {
  let connection = 0;
  answer = (_request, response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    if (++connection === 1) {
      response.write(
        `retry: 2000\n\n${event('state', state('installing'))}${event('log', piece(0, 'one\n'), 0)}`,
      );
      response.write(event('log', piece(1, 'two\n'), 1).slice(0, 40));
      setTimeout(() => response.destroy(), 100);
    } else {
      response.write(`: still here\n\n${event('log', piece(1, 'two\n'), 1)}`);
      response.end(event('end', state('failed', 'The disk is full.')));
    }
  };
  const { status, stdout, stderr } = await run('log', id, '--follow').ended;
  expect([status, stdout]).toEqual([
    6,
    '10:00:00Z install  one\n10:00:00Z install  two\nEnded: the task is failed: The disk is full.\n',
  ]);
  expect(stderr).toContain('the task is installing');
  expect(asked.map((one) => one.path)).toEqual([
    `/api/v1/tasks/${id}/log/stream`,
    `/api/v1/tasks/${id}/log/stream?after=1%3A0`,
  ]);
}, 20_000);

test('as JSON each piece is a line, and success is 0; Ctrl-C ends only the watching', async () => {
  answer = (_request, response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    response.write(event('log', piece(0, 'one\n'), 0));
    if (asked.length === 1) response.end(event('end', state('succeeded')));
  };
  const done = await run('log', id, '-f', '--json').ended;
  expect([done.status, JSON.parse(done.stdout)]).toEqual([0, piece(0, 'one\n')]);
  const watching = run('log', id, '-f');
  for (let i = 0; i < 200 && watching.said.stdout === ''; i++) await sleep(50);
  watching.child.kill('SIGINT');
  const { status, stderr } = await watching.ended;
  expect([status, stderr]).toEqual([130, 'note: no longer watching; the task goes on\n']);
}, 20_000);

test('what a person does to a task goes with its reason; a refusal says what to do', async () => {
  const detail = { task, deployment_id: task.asset_id, events: [], evidence: null };
  answer = (request, response) => {
    if (request.method === 'GET' || asked.length < 4) json(response, detail);
    else {
      const error = { code: 'action_not_allowed', message: 'it has begun', what_to_do: 'Wait.' };
      json(response, { error }, 409);
    }
  };
  for (const [verb, action] of [
    ['cancel', 'cancel'],
    ['retry', 'retry'],
    ['roll-back', 'roll_back'],
  ] as const) {
    expect((await run(verb, id, '--reason', 'because').ended).stdout).toContain('the task of web-1');
    expect(asked.at(-1)).toEqual({
      method: 'POST',
      path: `/api/v1/tasks/${id}/actions`,
      body: JSON.stringify({ action, reason: 'because' }),
    });
  }
  const refused = await run('cancel', id, '--reason', 'because').ended;
  expect(refused).toMatchObject({ status: 3, stdout: '' });
  expect(refused.stderr).toContain('what to do: Wait.');
  expect((await run('cancel', id).ended).status, 'without a reason').toBe(2);
  const shown = await run('show', id).ended;
  expect(shown.stdout).toMatch(/stuck +lock_waited_for: The package manager waits\. .*process 42 \(apt\)/u);
  expect(shown.stdout).toContain(`fixpoint task log ${id} --follow`);
}, 30_000);

test('events are read however they are cut', async () => {
  const text = `: hello\n\nid: 1:0\r\nevent: log\r\ndata: a\r\ndata: b\r\n\r\ndata: größer ✓\n\n`;
  const bytes = new TextEncoder().encode(text);
  for (let size = 1; size < 12; size++) {
    const body = new ReadableStream<Uint8Array>({
      start(controller) {
        for (let i = 0; i < bytes.length; i += size) controller.enqueue(bytes.slice(i, i + size));
        controller.close();
      },
    });
    const events = [];
    for await (const one of readEvents(body)) events.push(one);
    expect(events).toEqual([
      { name: 'log', data: 'a\nb', id: '1:0' },
      { name: 'message', data: 'größer ✓', id: null },
    ]);
  }
});
