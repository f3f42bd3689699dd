/**
 * For tests only: an agent that does nothing but follow the tasks of a state folder and send their logs.
 * `node task-log-double.ts STATE_DIR URL`
 */
import { parseJson } from '@fixpoint/contract/parse.ts';
import { TaskLogResponse } from '@fixpoint/contract/agent.ts';
import { request } from 'node:http';
import { systemClock } from './clock.ts';
import { createTaskLogs } from './task-log.ts';
import { openTaskList } from './task/task.ts';

const [, , stateDir = '', url = ''] = process.argv;
const logs = createTaskLogs({
  clock: systemClock,
  log: () => undefined,
  tasks: openTaskList(stateDir, systemClock),
  signal: new AbortController().signal,
  send: (body) =>
    new Promise((resolve, reject) => {
      const call = request(url, { method: 'POST' }, (response) => {
        let text = '';
        response.on('data', (chunk: Buffer) => (text += chunk.toString()));
        response.on('end', () => {
          const parsed = parseJson(TaskLogResponse, text);
          if (parsed.ok) resolve({ ok: true, value: parsed.value });
          else reject(new Error(`the answer is ${text}`));
        });
      });
      call.on('error', reject);
      call.end(JSON.stringify(body));
    }),
});
await logs.run();
