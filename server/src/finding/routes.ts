import { Explanation, ExplanationQuery } from '@fixpoint/contract/explanation.ts';
import { Finding, FindingQuery } from '@fixpoint/contract/finding.ts';
import { List } from '@fixpoint/contract/list.ts';
import { send, type Room } from '../app.ts';
import { withAcceptances } from './accepted.ts';
import { explanation } from './explain.ts';
import { saysStaleness } from '../feed-sync/stale-header.ts';
import { listFindings } from './list.ts';

export const routes: Room = (app, context) => {
  app.get(
    '/api/v1/findings',
    {
      config: { permission: 'read' },
      onSend: saysStaleness(context),
      schema: {
        summary: 'Findings, most dangerous first',
        tags: ['finding'],
        querystring: FindingQuery,
        response: { 200: List(Finding) },
      },
    },
    async (request, reply) => {
      const page = send(reply, await listFindings(context, request.query));
      return { ...page, items: await withAcceptances(context, page.items) };
    },
  );
  app.get(
    '/api/v1/explanation',
    {
      config: { permission: 'read' },
      schema: {
        summary:
          'Why an asset has a vulnerability, or has not: facts, rule, comparison, and what would change it',
        tags: ['finding'],
        querystring: ExplanationQuery,
        response: { 200: Explanation },
      },
    },
    async (request, reply) =>
      send(reply, await context.db.transaction().execute((trx) => explanation(trx, request.query))),
  );
};
