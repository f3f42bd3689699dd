import type { FastifyRequest } from 'fastify';
import { Type } from 'typebox';
import {
  Report,
  ReportArchiveQuery,
  ReportChange,
  ReportCopyRequest,
  ReportCounts,
  ReportCountsQuery,
  ReportExportQuery,
  ReportItemsQuery,
  ReportList,
  ReportQuery,
  ReportRequest,
  ReportTemplates,
} from '@fixpoint/contract/report.ts';
import { SearchResult } from '@fixpoint/contract/search.ts';
import { send, type Room } from '../app.ts';
import {
  archiveReport,
  changeReport,
  copyReport,
  createReport,
  listReports,
  reportCounts,
  showReport,
  type Caller,
} from './commands.ts';
import { exportReport, reportItems } from './export.ts';
import { reportTemplates } from './templates.ts';

const tags = ['report'];
const params = Type.Object({ id: Type.String({ format: 'uuid' }) });

function callerOf({ identity }: FastifyRequest): Caller {
  if (identity === null || identity.kind === 'agent') throw new Error('reports are for people and tools');
  return { actor: identity.actor, permissions: identity.permissions };
}

/** One PDF after the other: each takes a processor for seconds, and hundreds of megabytes. */
function oneAtATime(): <T>(work: () => Promise<T>) => Promise<T> {
  let last: Promise<unknown> = Promise.resolve();
  return async (work) => {
    const mine = last.then(work, work);
    last = mine.catch(() => {});
    return await mine;
  };
}

export const routes: Room = (app, context) => {
  const inTurn = oneAtATime();
  app.get(
    '/api/v1/reports',
    {
      config: { permission: 'read' },
      schema: {
        tags,
        summary: 'Reports of one’s own and those that are shared',
        querystring: ReportQuery,
        response: { 200: ReportList },
      },
    },
    async (request, reply) => send(reply, await listReports(context, callerOf(request), request.query)),
  );
  app.post(
    '/api/v1/reports',
    {
      config: { permission: 'report.write' },
      schema: { tags, summary: 'Save a query as a report', body: ReportRequest, response: { 201: Report } },
    },
    async (request, reply) => send(reply, await createReport(context, callerOf(request), request.body), 201),
  );
  app.get(
    '/api/v1/report-templates',
    {
      config: { permission: 'read' },
      schema: { tags, summary: 'Reports to begin with', response: { 200: ReportTemplates } },
    },
    () => ({ items: reportTemplates() }),
  );
  app.get(
    '/api/v1/reports/:id',
    {
      config: { permission: 'read' },
      schema: { tags, summary: 'A report', params, response: { 200: Report } },
    },
    async (request, reply) => send(reply, await showReport(context, callerOf(request), request.params.id)),
  );
  app.patch(
    '/api/v1/reports/:id',
    {
      config: { permission: 'report.write' },
      schema: {
        tags,
        summary: 'Change a report, unless somebody else has meanwhile',
        params,
        body: ReportChange,
        response: { 200: Report },
      },
    },
    async (request, reply) =>
      send(reply, await changeReport(context, callerOf(request), request.params.id, request.body)),
  );
  app.delete(
    '/api/v1/reports/:id',
    {
      config: { permission: 'report.write' },
      schema: {
        tags,
        summary: 'Archive a report that nothing refers to',
        params,
        querystring: ReportArchiveQuery,
        response: { 200: Report },
      },
    },
    async (request, reply) =>
      send(reply, await archiveReport(context, callerOf(request), request.params.id, request.query.version)),
  );
  app.post(
    '/api/v1/reports/:id/copy',
    {
      config: { permission: 'report.write' },
      schema: {
        tags,
        summary: 'A report of one’s own, like another one',
        params,
        body: ReportCopyRequest,
        response: { 201: Report },
      },
    },
    async (request, reply) =>
      send(reply, await copyReport(context, callerOf(request), request.params.id, request.body.name), 201),
  );
  app.get(
    '/api/v1/reports/:id/items',
    {
      config: { permission: 'read' },
      schema: {
        tags,
        summary: 'What a report finds now',
        params,
        querystring: ReportItemsQuery,
        response: { 200: SearchResult },
      },
    },
    async (request, reply) =>
      send(reply, await reportItems(context, callerOf(request), request.params.id, request.query)),
  );
  app.get(
    '/api/v1/reports/:id/export',
    {
      config: { permission: 'read', rateLimit: { max: 30, timeWindow: 60_000 } },
      schema: {
        tags,
        summary: 'What a report finds now, as a file',
        params,
        querystring: ReportExportQuery,
        produces: ['text/csv', 'application/json', 'application/pdf'],
      },
    },
    async (request, reply) => {
      const { format } = request.query;
      const exporting = async () => await exportReport(context, callerOf(request), request.params.id, format);
      const { body, contentType, fileName } = send(
        reply,
        await (format === 'pdf' ? inTurn(exporting) : exporting()),
      );
      return reply
        .header('content-disposition', `attachment; filename="${fileName}"`)
        .type(contentType)
        .send(body);
    },
  );
  app.get(
    '/api/v1/reports/:id/counts',
    {
      config: { permission: 'read' },
      schema: {
        tags,
        summary: 'What a report came to over time',
        params,
        querystring: ReportCountsQuery,
        response: { 200: ReportCounts },
      },
    },
    async (request, reply) =>
      send(reply, await reportCounts(context, callerOf(request), request.params.id, request.query)),
  );
};
