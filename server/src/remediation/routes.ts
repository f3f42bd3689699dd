import { BurnDown, BurnDownQuery, Remediation, RemediationQuery } from '@fixpoint/contract/remediation.ts';
import { send, type Room } from '../app.ts';
import { burnDown, remediation } from './commands.ts';

const tags = ['remediation'];

export const routes: Room = (app, context) => {
  app.get(
    '/api/v1/remediation',
    {
      config: { permission: 'read' },
      schema: {
        summary:
          'How long findings take to be remediated, with open ones counted for as long as they are open',
        tags,
        querystring: RemediationQuery,
        response: { 200: Remediation },
      },
    },
    async (request, reply) => send(reply, await remediation(context, request.query)),
  );
  app.get(
    '/api/v1/remediation/burn-down',
    {
      config: { permission: 'read' },
      schema: {
        summary: 'Open findings day by day, with what was opened and closed',
        tags,
        querystring: BurnDownQuery,
        response: { 200: BurnDown },
      },
    },
    async (request, reply) => send(reply, await burnDown(context, request.query)),
  );
};
