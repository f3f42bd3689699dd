import { Type } from 'typebox';
import { List, ListQuery } from '@fixpoint/contract/list.ts';
import { LiftDenialRequest, PatchDenial, PatchDenialRequest } from '@fixpoint/contract/patch-denial.ts';
import { send, type Room } from '../app.ts';
import { transact } from '../transact.ts';
import { createDenial, liftDenial, listDenials } from './commands.ts';

const ById = Type.Object({ id: Type.String({ format: 'uuid' }) });
const DenialQuery = Type.Object(
  { ...ListQuery, open: Type.Optional(Type.Boolean()) },
  { additionalProperties: false },
);

export const routes: Room = (app, context) => {
  app.post(
    '/api/v1/patch-denials',
    {
      config: { permission: 'job.write' },
      schema: {
        summary: 'Deny patches: nothing deploys them until it is lifted',
        tags: ['patch'],
        body: PatchDenialRequest,
        response: { 201: PatchDenial },
      },
    },
    async (request, reply) =>
      send(
        reply,
        await transact(context.db, (trx) => createDenial(trx, context, request.actor, request.body)),
        201,
      ),
  );
  app.get(
    '/api/v1/patch-denials',
    {
      config: { permission: 'read' },
      schema: {
        summary: 'Denied patches, newest first',
        tags: ['patch'],
        querystring: DenialQuery,
        response: { 200: List(PatchDenial) },
      },
    },
    async (request, reply) => send(reply, await listDenials(context, request.query)),
  );
  app.post(
    '/api/v1/patch-denials/:id/lift',
    {
      config: { permission: 'job.write' },
      schema: {
        summary: 'Let denied patches be deployed again',
        tags: ['patch'],
        params: ById,
        body: LiftDenialRequest,
        response: { 200: PatchDenial },
      },
    },
    async (request, reply) =>
      send(
        reply,
        await transact(context.db, (trx) =>
          liftDenial(trx, context, request.actor, request.params.id, request.body.reason),
        ),
      ),
  );
};
