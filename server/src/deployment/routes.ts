import { Type } from 'typebox';
import { RefusalReport, TaskEventsRequest, TaskEventsResponse } from '@fixpoint/contract/agent.ts';
import { List, ListQuery } from '@fixpoint/contract/list.ts';
import {
  Deployment,
  DeploymentActionRequest,
  DeploymentDetail,
  Plan,
  StartRequest,
  TaskActionRequest,
  TaskDetail,
  TaskView,
} from '@fixpoint/contract/patch-job.ts';
import { send, type Room } from '../app.ts';
import { readingOfJob } from '../patch-job/commands.ts';
import { transact } from '../transact.ts';
import { actOnDeployment } from './act.ts';
import { actOnTask } from './act-on-task.ts';
import { reportRefusal } from './order-refusals.ts';
import { reportTaskEvents } from './report.ts';
import { previewJob, startDeployment } from './start.ts';
import { deploymentDetail, deploymentTasks, listDeployments, taskDetail } from './view.ts';

const closed = { additionalProperties: false } as const;
const ById = Type.Object({ id: Type.String({ format: 'uuid' }) });
const DeploymentQuery = Type.Object(
  { ...ListQuery, job: Type.Optional(Type.String({ format: 'uuid' })) },
  closed,
);
const Tasks = Type.Object({ items: Type.Array(TaskView) }, closed);
/** 20 kB of output in each of a hundred events. */
const eventsBodyLimit = 4 * 1024 * 1024;

export const routes: Room = (app, context) => {
  app.post(
    '/api/v1/jobs/:id/preview',
    {
      config: { permission: 'read' },
      schema: {
        summary: 'The plan that a start would freeze now; nothing is stored',
        tags: ['job'],
        params: ById,
        response: { 200: Plan },
      },
    },
    async (request, reply) => {
      const { id } = request.params;
      const reading = send(reply, await readingOfJob(context, id));
      return send(reply, await transact(context.db, (trx) => previewJob(trx, context, id, reading)));
    },
  );
  app.post(
    '/api/v1/jobs/:id/start',
    {
      config: { permission: 'deployment.act' },
      schema: {
        summary: 'Start a deployment of a job',
        tags: ['deployment'],
        params: ById,
        body: StartRequest,
        response: { 201: Deployment },
      },
    },
    async (request, reply) => {
      const { id } = request.params;
      const reading = send(reply, await readingOfJob(context, id));
      return send(
        reply,
        await transact(context.db, (trx) =>
          startDeployment(trx, context, request.actor, id, request.body, reading),
        ),
        201,
      );
    },
  );
  app.get(
    '/api/v1/deployments',
    {
      config: { permission: 'read' },
      schema: {
        summary: 'Deployments, newest first',
        tags: ['deployment'],
        querystring: DeploymentQuery,
        response: { 200: List(Deployment) },
      },
    },
    async (request, reply) => send(reply, await listDeployments(context, request.query)),
  );
  app.get(
    '/api/v1/deployments/:id',
    {
      config: { permission: 'read' },
      schema: {
        summary: 'One deployment with its plan and tasks',
        tags: ['deployment'],
        params: ById,
        response: { 200: DeploymentDetail },
      },
    },
    async (request, reply) => send(reply, await deploymentDetail(context, request.params.id)),
  );
  app.get(
    '/api/v1/deployments/:id/tasks',
    {
      config: { permission: 'read' },
      schema: {
        summary: 'The tasks of a deployment, each with why it is where it is',
        tags: ['deployment'],
        params: ById,
        response: { 200: Tasks },
      },
    },
    async (request, reply) => {
      const tasks = await deploymentTasks(context, request.params.id);
      return send(reply, tasks.ok ? { ok: true, value: { items: tasks.value } } : tasks);
    },
  );
  app.post(
    '/api/v1/deployments/:id/actions',
    {
      config: { permission: 'deployment.act' },
      schema: {
        summary: 'Pause, resume, halt, cancel, retry what failed, or roll back what was changed',
        tags: ['deployment'],
        params: ById,
        body: DeploymentActionRequest,
        response: { 200: Deployment },
      },
    },
    async (request, reply) =>
      send(
        reply,
        await transact(context.db, (trx) =>
          actOnDeployment(trx, context, request.actor, request.params.id, request.body),
        ),
      ),
  );
  app.get(
    '/api/v1/tasks/:id',
    {
      config: { permission: 'read' },
      schema: {
        summary: 'One task with its history and evidence',
        tags: ['deployment'],
        params: ById,
        response: { 200: TaskDetail },
      },
    },
    async (request, reply) => send(reply, await taskDetail(context, request.params.id)),
  );
  app.post(
    '/api/v1/tasks/:id/actions',
    {
      config: { permission: 'deployment.act' },
      schema: {
        summary: 'Cancel one task, retry it, or roll it back',
        tags: ['deployment'],
        params: ById,
        body: TaskActionRequest,
        response: { 200: TaskDetail },
      },
    },
    async (request, reply) => {
      const { id } = request.params;
      send(
        reply,
        await transact(context.db, (trx) => actOnTask(trx, context, request.actor, id, request.body)),
      );
      return send(reply, await taskDetail(context, id));
    },
  );
  app.post(
    '/agent/v1/task-events',
    {
      config: { permission: 'agent' },
      bodyLimit: eventsBodyLimit,
      schema: {
        summary: 'What the journal of an agent says about a task',
        tags: ['agent'],
        body: TaskEventsRequest,
        response: { 200: TaskEventsResponse },
      },
    },
    async (request, reply) =>
      send(
        reply,
        await transact(context.db, (trx) => reportTaskEvents(trx, context, request.agent, request.body)),
      ),
  );
  app.post(
    '/agent/v1/refusals',
    {
      config: { permission: 'agent' },
      schema: {
        summary: 'An order that the host does not obey, and why',
        tags: ['agent'],
        body: RefusalReport,
        response: { 200: Type.Object({ task_failed: Type.Boolean() }, closed) },
      },
    },
    async (request, reply) =>
      send(
        reply,
        await transact(context.db, (trx) => reportRefusal(trx, context, request.agent, request.body)),
      ),
  );
};
