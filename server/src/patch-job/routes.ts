import { Type } from 'typebox';
import { List, ListQuery } from '@fixpoint/contract/list.ts';
import { PatchJob, PatchJobDefinition } from '@fixpoint/contract/patch-job.ts';
import { send, type Room } from '../app.ts';
import { transact } from '../transact.ts';
import { archiveJob, createJob, getJob, listJobs } from './commands.ts';

const ById = Type.Object({ id: Type.String({ format: 'uuid' }) });

/** Preview and start are in deployment/routes.ts: they make plans. */
export const routes: Room = (app, context) => {
  app.post(
    '/api/v1/jobs',
    {
      config: { permission: 'job.write' },
      schema: {
        summary: 'Create a patch job',
        tags: ['job'],
        body: PatchJobDefinition,
        response: { 201: PatchJob },
      },
    },
    async (request, reply) =>
      send(
        reply,
        await transact(context.db, (trx) => createJob(trx, context, request.actor, request.body)),
        201,
      ),
  );
  app.get(
    '/api/v1/jobs',
    {
      config: { permission: 'read' },
      schema: {
        summary: 'Patch jobs, newest first',
        tags: ['job'],
        querystring: Type.Object(ListQuery, { additionalProperties: false }),
        response: { 200: List(PatchJob) },
      },
    },
    async (request, reply) => send(reply, await listJobs(context, request.query)),
  );
  app.get(
    '/api/v1/jobs/:id',
    {
      config: { permission: 'read' },
      schema: { summary: 'One patch job', tags: ['job'], params: ById, response: { 200: PatchJob } },
    },
    async (request, reply) => send(reply, await getJob(context.db, request.params.id)),
  );
  app.post(
    '/api/v1/jobs/:id/archive',
    {
      config: { permission: 'job.write' },
      schema: { summary: 'Archive a patch job', tags: ['job'], params: ById, response: { 200: PatchJob } },
    },
    async (request, reply) =>
      send(
        reply,
        await transact(context.db, (trx) => archiveJob(trx, context, request.actor, request.params.id)),
      ),
  );
};
