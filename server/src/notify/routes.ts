import { Type } from 'typebox';
import { Alert } from '@fixpoint/contract/audit.ts';
import { List, ListQuery } from '@fixpoint/contract/list.ts';
import { send, type Room } from '../app.ts';
import { transact } from '../transact.ts';
import { acknowledgeAlert, listAlerts } from './commands.ts';

const AlertQuery = Type.Object(
  { ...ListQuery, open: Type.Optional(Type.Boolean()) },
  { additionalProperties: false },
);
const ById = Type.Object({ id: Type.String({ format: 'uuid' }) });

export const routes: Room = (app, context) => {
  app.get(
    '/api/v1/alerts',
    {
      config: { permission: 'read' },
      schema: {
        summary: 'Alerts, newest first',
        tags: ['alert'],
        querystring: AlertQuery,
        response: { 200: List(Alert) },
      },
    },
    async (request, reply) => send(reply, await listAlerts(context, request.query)),
  );
  app.post(
    '/api/v1/alerts/:id/acknowledge',
    {
      config: { permission: 'alert.write' },
      schema: {
        summary: 'Note that an alert was seen',
        tags: ['alert'],
        params: ById,
        response: { 200: Alert },
      },
    },
    async (request, reply) =>
      send(
        reply,
        await transact(context.db, (trx) => acknowledgeAlert(trx, context, request.actor, request.params.id)),
      ),
  );
};
