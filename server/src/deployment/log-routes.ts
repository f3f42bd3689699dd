import { Readable } from 'node:stream';
import { Type } from 'typebox';
import { TaskLogRequest, TaskLogResponse } from '@fixpoint/contract/agent.ts';
import {
  TaskLogPage,
  TaskLogQuery,
  TaskLogStreamQuery,
  taskLogPlacePattern,
} from '@fixpoint/contract/task-log.ts';
import { send, type Room } from '../app.ts';
import { answer, refuse, type Answer } from '../refusal.ts';
import { transact } from '../transact.ts';
import { reportTaskLog, taskLog, taskLogText } from './log.ts';
import { createLogStreams } from './log-stream.ts';

const ById = Type.Object({ id: Type.String({ format: 'uuid' }) });
/** A hundred pieces of 16,000 characters, escaped. */
const logBodyLimit = 4 * 1024 * 1024;
const tags = ['deployment'];

/** The logs of tasks: taken from agents, read, followed and exported. */
export const logRoutes: Room = (app, context) => {
  const streams = createLogStreams(context);
  app.addHook('onReady', async () => context.taskWatch.start());
  // Before the server waits for the connections that are open.
  app.addHook('preClose', async () => streams.closeAll());
  app.addHook('onClose', async () => context.taskWatch.stop());

  app.post(
    '/agent/v1/task-log',
    {
      config: { permission: 'agent' },
      bodyLimit: logBodyLimit,
      schema: {
        summary: 'What the commands of a task have written since',
        tags: ['agent'],
        body: TaskLogRequest,
        response: { 200: TaskLogResponse },
      },
    },
    async (request, reply) =>
      send(
        reply,
        await transact(context.db, (trx) => reportTaskLog(trx, context, request.agent, request.body)),
      ),
  );
  app.get(
    '/api/v1/tasks/:id/log',
    {
      config: { permission: 'read' },
      schema: {
        summary: 'What the commands of a task wrote on its host',
        tags,
        params: ById,
        querystring: TaskLogQuery,
        response: { 200: TaskLogPage },
      },
    },
    async (request, reply) => send(reply, await taskLog(context, request.params.id, request.query)),
  );
  app.get(
    '/api/v1/tasks/:id/log.txt',
    {
      config: { permission: 'read' },
      schema: { summary: 'The same as one text', tags, params: ById, produces: ['text/plain'] },
    },
    async (request, reply) => {
      const lines = send(reply, await taskLogText(context, request.params.id));
      return reply
        .type('text/plain; charset=utf-8')
        .header('content-disposition', `attachment; filename="task-${request.params.id}.log.txt"`)
        .send(Readable.from(lines));
    },
  );
  app.get(
    '/api/v1/tasks/:id/log/stream',
    {
      config: { permission: 'read' },
      schema: {
        summary:
          'The same as it comes, as server-sent events (log, state, end); goes on after the piece in Last-Event-ID',
        tags,
        params: ById,
        querystring: TaskLogStreamQuery,
        produces: ['text/event-stream'],
      },
    },
    async (request, reply) => {
      const after = send(reply, placeToGoOn(request.headers['last-event-id'], request.query.after));
      const reader = `${request.actor.kind} ${request.actor.name}`;
      const gone = new AbortController();
      reply.raw.once('close', () => {
        gone.abort();
      });
      const body = send(reply, await streams.open(request.params.id, after, reader, gone.signal));
      // A proxy in between must not gather what is to be seen now.
      return reply.type('text/event-stream; charset=utf-8').header('x-accel-buffering', 'no').send(body);
    },
  );
};

/** A reader that comes again says itself where it was; its address still says where it began. */
function placeToGoOn(
  lastEventId: string | string[] | undefined,
  after: string | undefined,
): Answer<string | undefined> {
  const last = typeof lastEventId === 'string' && lastEventId !== '' ? lastEventId : undefined;
  if (last !== undefined && !new RegExp(taskLogPlacePattern, 'u').test(last)) {
    return refuse(
      400,
      'last_event_id_invalid',
      'Last-Event-ID is not the id of an event of this stream',
      'send the id of the last event as it came, GENERATION:PLACE',
    );
  }
  return answer(last ?? after);
}
