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
  // The id holds one slash: debian:12/openssl@3.0.22-1~deb12u2.
  app.get(
    '/api/v1/patches/:product/:patch',
    {
      config: { permission: 'read' },
      schema: {
        summary: 'One patch, by its id',
        tags: ['patch'],
        params: Type.Object({
          product: Type.String({ maxLength: 100 }),
          patch: Type.String({ maxLength: 900 }),
        }),
        response: { 200: Patch },
      },
    },
    async (request, reply) => {
      const id = `${request.params.product}/${request.params.patch}`;
      return send(reply, await context.db.transaction().execute((trx) => patchDetail(trx, id)));
    },
  );
};
