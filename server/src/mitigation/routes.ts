import { Type } from 'typebox';
import { List } from '@fixpoint/contract/list.ts';
import { MitigationQuery, MitigationView } from '@fixpoint/contract/mitigation.ts';
import { send, type Room } from '../app.ts';
import { listMitigations, mitigationDetail } from './commands.ts';

export const routes: Room = (app, context) => {
  app.get(
    '/api/v1/mitigations',
    {
      config: { permission: 'read' },
      schema: {
        summary: 'Reviewed configuration changes that keep vulnerabilities from being used',
        tags: ['mitigation'],
        querystring: MitigationQuery,
        response: { 200: List(MitigationView) },
      },
    },
    async (request, reply) => send(reply, await listMitigations(context, request.query)),
  );
  app.get(
    '/api/v1/mitigations/:id',
    {
      config: { permission: 'read' },
      schema: {
        summary: 'One mitigation, by its id',
        tags: ['mitigation'],
        params: Type.Object({ id: Type.String({ maxLength: 100 }) }),
        response: { 200: MitigationView },
      },
    },
    async (request, reply) => send(reply, await mitigationDetail(context, request.params.id)),
  );
};
