/**
 * A client that does little beside sending: requests as a file of JSON lines `{ path, authorization, body }`, each written
 * as it is over keep-alive connections, one at a time on each. Runs as a process of its own, so that the server's process
 * is measured with the processor that is left: `node load.ts FILE CONNECTIONS SECONDS` (0 seconds: each request once).
 */
import { readFileSync } from 'node:fs';
import { connect } from 'node:net';

export interface LoadResult {
  readonly requests: number;
  readonly seconds: number;
  /** Answers by status. */
  readonly statuses: Readonly<Record<string, number>>;
  /** Milliseconds. */
  readonly median: number;
  readonly p99: number;
  /** An answer that was not 200, for finding out why. */
  readonly example: string | null;
}

interface Request {
  readonly path: string;
  readonly authorization: string;
  readonly body: string;
}

const [, , url = '', file = '', connectionCount = '1', seconds = '0'] = process.argv;
const { hostname, port } = new URL(url);
const messages = readFileSync(file, 'utf8')
  .split('\n')
  .filter((line) => line !== '')
  .map((line) => {
    const { path, authorization, body }: Request = JSON.parse(line);
    const head = `POST ${path} HTTP/1.1\r\nhost: ${hostname}:${port}\r\nauthorization: ${authorization}\r\ncontent-type: application/json\r\ncontent-length: ${String(Buffer.byteLength(body))}\r\n\r\n`;
    return Buffer.from(head + body, 'utf8');
  });
const end = Number(seconds) > 0 ? performance.now() + Number(seconds) * 1000 : Number.POSITIVE_INFINITY;
const times: number[] = [];
const statuses: Record<string, number> = {};
let example: string | null = null;
let next = 0;

function take(): Buffer | undefined {
  if (performance.now() >= end) return undefined;
  if (next >= messages.length) {
    if (end === Number.POSITIVE_INFINITY) return undefined;
    next = 0;
  }
  const message = messages[next];
  next += 1;
  return message;
}

function run(): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: hostname, port: Number(port), noDelay: true });
    let started = 0;
    let answer = '';
    const send = (): void => {
      const message = take();
      if (message === undefined) {
        socket.end();
        resolve();
        return;
      }
      started = performance.now();
      socket.write(message);
    };
    socket.setEncoding('latin1');
    socket.on('connect', send);
    socket.on('error', reject);
    socket.on('data', (chunk: string) => {
      answer += chunk;
      const head = answer.indexOf('\r\n\r\n');
      if (head < 0) return;
      const length = Number(/\r\ncontent-length: (\d+)/iu.exec(answer.slice(0, head))?.[1]);
      if (answer.length < head + 4 + length) return;
      times.push(performance.now() - started);
      const status = answer.slice(9, 12);
      statuses[status] = (statuses[status] ?? 0) + 1;
      if (status !== '200') example ??= answer.slice(head + 4);
      answer = '';
      send();
    });
  });
}

const from = performance.now();
await Promise.all(Array.from({ length: Number(connectionCount) }, run));
const took = (performance.now() - from) / 1000;
times.sort((a, b) => a - b);
const result: LoadResult = {
  requests: times.length,
  seconds: took,
  statuses,
  median: times[Math.floor(times.length / 2)] ?? Number.NaN,
  p99: times[Math.floor(times.length * 0.99)] ?? Number.NaN,
  example,
};
console.log(JSON.stringify(result));
