import { SlaQuery, SlaRules, SlaRulesRequest, SlaStatus } from '@fixpoint/contract/sla.ts';
import { send, type Room } from '../app.ts';
import { saveSlaRules, slaRules, slaStatus } from './commands.ts';

const tags = ['sla'];

export const routes: Room = (app, context) => {
  app.get(
    '/api/v1/sla-rules',
    {
      config: { permission: 'read' },
      schema: { tags, summary: 'SLA rules in their order', response: { 200: SlaRules } },
    },
    async () => await slaRules(context),
  );
  app.put(
    '/api/v1/sla-rules',
    {
      config: { permission: 'rule.write' },
      schema: {
        tags,
        summary: 'Save all SLA rules in their order',
        body: SlaRulesRequest,
        response: { 200: SlaRules },
      },
    },
    async (request, reply) => send(reply, await saveSlaRules(context, request.actor, request.body)),
  );
  app.get(
    '/api/v1/sla',
    {
      config: { permission: 'read' },
      schema: {
        tags,
        summary: 'How findings stand against the SLA rules, in numbers',
        querystring: SlaQuery,
        response: { 200: SlaStatus },
      },
    },
    async (request, reply) => send(reply, await slaStatus(context, request.query.query)),
  );
};
