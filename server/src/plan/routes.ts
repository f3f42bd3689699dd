import { Type } from 'typebox';
import { DeploymentAccuracy } from '@fixpoint/contract/accuracy.ts';
import { oneOf } from '@fixpoint/contract/enum.ts';
import { List, ListQuery } from '@fixpoint/contract/list.ts';
import { DiscardRequest, PlanDetail, PlanRequest, PlanSummary } from '@fixpoint/contract/plan.ts';
import { SimulationResult } from '@fixpoint/contract/simulation.ts';
import { send, type Room } from '../app.ts';
import { readingOfJob } from '../patch-job/commands.ts';
import { transact } from '../transact.ts';
import { deploymentAccuracy } from './accuracy.ts';
import { discardPlan } from './frozen.ts';
import { makePlanOfJob } from './make.ts';
import { reportSimulation } from './report.ts';
import { exportPlan, listPlans, planDetail } from './view.ts';

const closed = { additionalProperties: false } as const;
const ById = Type.Object({ id: Type.String({ format: 'uuid' }) });
const tags = ['plan'];
/** Thousands of packages, each with its versions. */
const resultBodyLimit = 8 * 1024 * 1024;

export const routes: Room = (app, context) => {
  app.post(
    '/api/v1/jobs/:id/plans',
    {
      config: { permission: 'job.write' },
      schema: {
        summary: 'Make a plan, and ask each of its assets what would really happen there',
        tags,
        params: ById,
        body: PlanRequest,
        response: { 201: PlanSummary },
      },
    },
    async (request, reply) => {
      const { id } = request.params;
      const reading = send(reply, await readingOfJob(context, id));
      return send(
        reply,
        await transact(context.db, (trx) =>
          makePlanOfJob(trx, context, request.actor, id, request.body, reading),
        ),
        201,
      );
    },
  );
  app.get(
    '/api/v1/jobs/:id/plans',
    {
      config: { permission: 'read' },
      schema: {
        summary: 'Plans of a job, newest first',
        tags,
        params: ById,
        querystring: Type.Object(ListQuery, closed),
        response: { 200: List(PlanSummary) },
      },
    },
    async (request, reply) => send(reply, await listPlans(context, request.params.id, request.query)),
  );
  app.get(
    '/api/v1/plans/:id',
    {
      config: { permission: 'read' },
      schema: {
        summary: 'One plan, with how many of its assets have answered',
        tags,
        params: ById,
        response: { 200: PlanDetail },
      },
    },
    async (request, reply) => send(reply, await planDetail(context.db, request.params.id)),
  );
  app.get(
    '/api/v1/plans/:id/export',
    {
      config: { permission: 'read', rateLimit: { max: 60, timeWindow: 60_000 } },
      schema: {
        summary: 'A plan as a file; SHA-256 of the JSON is its digest',
        tags,
        params: ById,
        querystring: Type.Object({ format: Type.Optional(oneOf(['json', 'csv'] as const)) }, closed),
        produces: ['application/json', 'text/csv'],
      },
    },
    async (request, reply) => {
      const { format = 'json' } = request.query;
      const { fileName, type, text } = send(reply, await exportPlan(context.db, request.params.id, format));
      return reply.header('content-disposition', `attachment; filename="${fileName}"`).type(type).send(text);
    },
  );
  app.post(
    '/api/v1/plans/:id/discard',
    {
      config: { permission: 'job.write' },
      schema: {
        summary: 'Ask nobody any more, and never start it',
        tags,
        params: ById,
        body: DiscardRequest,
        response: { 200: PlanSummary },
      },
    },
    async (request, reply) =>
      send(
        reply,
        await transact(context.db, (trx) =>
          discardPlan(trx, context, request.actor, request.params.id, request.body.reason ?? null),
        ),
      ),
  );
  app.get(
    '/api/v1/deployments/:id/accuracy',
    {
      config: { permission: 'read' },
      schema: {
        summary: 'What the assets of a deployment predicted, beside what happened',
        tags: ['deployment'],
        params: ById,
        response: { 200: DeploymentAccuracy },
      },
    },
    async (request, reply) => send(reply, await deploymentAccuracy(context.db, request.params.id)),
  );
  app.post(
    '/agent/v1/simulations',
    {
      config: { permission: 'agent' },
      bodyLimit: resultBodyLimit,
      schema: {
        summary: 'What the package manager of a host says an order would do',
        tags: ['agent'],
        body: SimulationResult,
        response: { 200: Type.Object({ accepted: Type.Boolean() }, closed) },
      },
    },
    async (request, reply) =>
      send(
        reply,
        await transact(context.db, (trx) => reportSimulation(trx, context, request.agent, request.body)),
      ),
  );
};
