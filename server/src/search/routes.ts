import { Type } from 'typebox';
import { List } from '@fixpoint/contract/list.ts';
import {
  AffectedAsset,
  AffectedQuery,
  AssetRiskView,
  PostureSummary,
  PostureSummaryQuery,
  PostureView,
} from '@fixpoint/contract/posture.ts';
import {
  QueryCheck,
  QueryCheckRequest,
  QueryCompleteRequest,
  QueryCompletions,
  QueryFields,
  QueryFieldsQuery,
  SearchQuery,
  SearchResult,
  SubjectName,
} from '@fixpoint/contract/search.ts';
import { send, type Room } from '../app.ts';
import { affectedAssets } from './affected.ts';
import { riskOfAsset } from './asset-risk.ts';
import { completions } from './complete.ts';
import { Dashboards } from './dashboard.ts';
import { queryFields } from './fields.ts';
import { postureView } from './posture-state.ts';
import { checkQuery } from './query.ts';
import { search } from './search.ts';

const tags = ['search'];
const postureTags = ['posture'];

export const routes: Room = (app, context) => {
  const dashboards = new Dashboards(context);

  app.get(
    '/api/v1/search/:subject',
    {
      config: { permission: 'read' },
      schema: {
        tags,
        summary: 'Assets, findings, vulnerabilities or patches that a query finds, as rows of columns',
        params: Type.Object({ subject: SubjectName }),
        querystring: SearchQuery,
        response: { 200: SearchResult },
      },
    },
    async (request, reply) => send(reply, await search(context, request.params.subject, request.query)),
  );
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

  app.get(
    '/api/v1/posture',
    {
      config: { permission: 'read' },
      schema: {
        tags: postureTags,
        summary: 'How far this server has the fleet in memory',
        response: { 200: PostureView },
      },
    },
    async () => postureView(context),
  );
  app.get(
    '/api/v1/posture/summary',
    {
      config: { permission: 'read' },
      schema: {
        tags: postureTags,
        summary: 'How all assets stand, or those of a tag or query: findings, risk, what matters most',
        querystring: PostureSummaryQuery,
        response: { 200: PostureSummary },
      },
    },
    async (request, reply) => send(reply, await dashboards.of(request.query)),
  );
  app.get(
    '/api/v1/vulnerabilities/:id/assets',
    {
      config: { permission: 'read' },
      schema: {
        tags: ['vulnerability'],
        summary: 'Assets that have a vulnerability, those at the greatest risk first',
        params: Type.Object({ id: Type.String({ minLength: 1, maxLength: 100 }) }),
        querystring: AffectedQuery,
        response: { 200: List(AffectedAsset) },
      },
    },
    async (request, reply) => send(reply, await affectedAssets(context, request.params.id, request.query)),
  );
  app.get(
    '/api/v1/assets/:id/risk',
    {
      config: { permission: 'read' },
      schema: {
        tags: ['asset'],
        summary: 'The risk of one asset, and what it is made of',
        params: Type.Object({ id: Type.String({ maxLength: 255 }) }),
        response: { 200: AssetRiskView },
      },
    },
    async (request, reply) => send(reply, await riskOfAsset(context, request.params.id)),
  );
};
