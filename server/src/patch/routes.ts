import { Type } from 'typebox';
import { Patch, PatchQuery } from '@fixpoint/contract/finding.ts';
import { List } from '@fixpoint/contract/list.ts';
import { send, type Room } from '../app.ts';
import { listPatches, patchDetail } from './list.ts';

export const routes: Room = (app, context) => {
  app.get(
    '/api/v1/patches',
    {
      config: { permission: 'read' },
      schema: {
        summary: 'Patches, those that close most findings first',
        tags: ['patch'],
        querystring: PatchQuery,
        response: { 200: List(Patch) },
      },
    },
    async (request, reply) =>
      send(reply, await context.db.transaction().execute((trx) => listPatches(trx, request.query))),
  );
  // The id holds a slash (debian:12/openssl@…), so it comes as a wildcard rather than one segment.
  app.get(
    '/api/v1/patches/*',
    {
      config: { permission: 'read' },
      schema: {
        summary: 'One patch, by its id',
        tags: ['patch'],
        params: Type.Object({ '*': Type.String({ maxLength: 1024 }) }),
        response: { 200: Patch },
      },
    },
    async (request, reply) =>
      send(reply, await context.db.transaction().execute((trx) => patchDetail(trx, request.params['*']))),
  );
};
