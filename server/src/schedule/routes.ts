import { Type } from 'typebox';
import {
  JobRuns,
  JobRunsQuery,
  SchedulePreview,
  SchedulePreviewRequest,
} from '@fixpoint/contract/schedule.ts';
import { send, type Room } from '../app.ts';
import { jobRuns, previewSchedule } from './commands.ts';

export const routes: Room = (app, context) => {
  app.get(
    '/api/v1/jobs/:id/runs',
    {
      config: { permission: 'read' },
      schema: {
        summary: 'What came of the runs of a scheduled job, and the next ten',
        tags: ['job'],
        params: Type.Object({ id: Type.String({ format: 'uuid' }) }),
        querystring: JobRunsQuery,
        response: { 200: JobRuns },
      },
    },
    async (request, reply) =>
      send(reply, await jobRuns(context.db, request.params.id, request.query.limit ?? 50)),
  );
  app.post(
    '/api/v1/schedule/preview',
    {
      config: { permission: 'read' },
      schema: {
        summary: 'When a schedule would run and windows would be open; nothing is stored',
        tags: ['job'],
        body: SchedulePreviewRequest,
        response: { 200: SchedulePreview },
      },
    },
    async (request, reply) => send(reply, await previewSchedule(context, request.body)),
  );
};
