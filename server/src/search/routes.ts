import {
  QueryCheck,
  QueryCheckRequest,
  QueryCompleteRequest,
  QueryCompletions,
  QueryFields,
  QueryFieldsQuery,
} from '@fixpoint/contract/search.ts';
import type { Room } from '../app.ts';
import { completions } from './complete.ts';
import { queryFields } from './fields.ts';
import { checkQuery } from './query.ts';

const tags = ['search'];

export const routes: Room = (app, context) => {
  app.post(
    '/api/v1/query/check',
    {
      config: { permission: 'read' },
      schema: {
        tags,
        summary: 'What a query means, or what is wrong with it and where',
        body: QueryCheckRequest,
        response: { 200: QueryCheck },
      },
    },
    async (request) => checkQuery(request.body.text, request.body.subject),
  );
  app.post(
    '/api/v1/query/complete',
    {
      config: { permission: 'read' },
      schema: {
        tags,
        summary: 'What could be typed next in a query, with the values that the fleet has',
        body: QueryCompleteRequest,
        response: { 200: QueryCompletions },
      },
    },
    async (request) => await completions(context, request.body),
  );
  app.get(
    '/api/v1/query/fields',
    {
      config: { permission: 'read' },
      schema: {
        tags,
        summary: 'What can be asked, shown and sorted by',
        querystring: QueryFieldsQuery,
        response: { 200: QueryFields },
      },
    },
    async (request) => queryFields(request.query.subject),
  );
};
