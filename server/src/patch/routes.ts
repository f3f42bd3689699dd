import { Type } from 'typebox';
import {
  BestPatches,
  BestPatchesQuery,
  RiskRemoved,
  RiskRemovedQuery,
} from '@fixpoint/contract/best-patches.ts';
import { Patch, PatchQuery } from '@fixpoint/contract/finding.ts';
import { List } from '@fixpoint/contract/list.ts';
import { send, type Room } from '../app.ts';
import { bestNextPatches, riskRemovedBy } from './best.ts';
import { listPatches, patchDetail } from './list.ts';

const params = Type.Object({
  product: Type.String({ maxLength: 100 }),
  patch: Type.String({ maxLength: 900 }),
});

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
    async (request, reply) => send(reply, await listPatches(context, request.query)),
  );
  app.get(
    '/api/v1/patches/best',
    {
      config: { permission: 'read' },
      schema: {
        summary:
          'The best next patches: most risk removed within a budget, or the fewest for a wanted reduction',
        tags: ['patch'],
        querystring: BestPatchesQuery,
        response: { 200: BestPatches },
      },
    },
    async (request, reply) => send(reply, await bestNextPatches(context, request.query)),
  );
  // The id holds one slash: debian:12/openssl@3.0.22-1~deb12u2.
  app.get(
    '/api/v1/patches/:product/:patch',
    {
      config: { permission: 'read' },
      schema: {
        summary: 'One patch, by its id',
        tags: ['patch'],
        params,
        response: { 200: Patch },
      },
    },
    async (request, reply) => {
      const id = `${request.params.product}/${request.params.patch}`;
      return send(reply, await patchDetail(context, id));
    },
  );
  app.get(
    '/api/v1/patches/:product/:patch/risk-removed',
    {
      config: { permission: 'read' },
      schema: {
        summary: 'Risk that a patch removes by itself, and on top of others',
        tags: ['patch'],
        params,
        querystring: RiskRemovedQuery,
        response: { 200: RiskRemoved },
      },
    },
    async (request, reply) => {
      const id = `${request.params.product}/${request.params.patch}`;
      return send(reply, await riskRemovedBy(context, id, request.query));
    },
  );
};
