import { Type } from 'typebox';
import {
  Calendar,
  CalendarDetail,
  CalendarListQuery,
  CalendarReplacement,
  CalendarRequest,
} from '@fixpoint/contract/calendar.ts';
import { List } from '@fixpoint/contract/list.ts';
import { send, type Room } from '../app.ts';
import { transact } from '../transact.ts';
import {
  calendarDetail,
  calendarFile,
  createCalendar,
  listCalendars,
  removeCalendar,
  replaceCalendar,
} from './commands.ts';

const tags = ['calendar'];
const params = Type.Object({ name: Type.String({ maxLength: 100 }) });
const read = { permission: 'read' } as const;
const write = { permission: 'calendar.write' } as const;
/** A file of a mebibyte, as text in JSON. */
const bodyLimit = 4 * 1024 * 1024;

export const routes: Room = (app, context) => {
  app.get(
    '/api/v1/calendars',
    {
      config: read,
      schema: {
        tags,
        summary: 'Calendars of times in which nothing is done',
        querystring: CalendarListQuery,
        response: { 200: List(Calendar) },
      },
    },
    async (request, reply) => send(reply, await listCalendars(context, request.query)),
  );
  app.post(
    '/api/v1/calendars',
    {
      config: write,
      bodyLimit,
      schema: {
        tags,
        summary: 'Make a calendar, of an iCalendar file or a list of times',
        body: CalendarRequest,
        response: { 201: CalendarDetail },
      },
    },
    async (request, reply) =>
      send(
        reply,
        await transact(context.db, (trx) => createCalendar(trx, context, request.actor, request.body)),
        201,
      ),
  );
  app.get(
    '/api/v1/calendars/:name',
    {
      config: read,
      schema: {
        tags,
        summary: 'One calendar, its next events and the jobs that heed it',
        params,
        response: { 200: CalendarDetail },
      },
    },
    async (request, reply) => send(reply, await calendarDetail(context, request.params.name)),
  );
  app.put(
    '/api/v1/calendars/:name',
    {
      config: write,
      bodyLimit,
      schema: {
        tags,
        summary: 'Replace what a calendar says',
        params,
        body: CalendarReplacement,
        response: { 200: CalendarDetail },
      },
    },
    async (request, reply) =>
      send(
        reply,
        await transact(context.db, (trx) =>
          replaceCalendar(trx, context, request.actor, request.params.name, request.body),
        ),
      ),
  );
  app.delete(
    '/api/v1/calendars/:name',
    {
      config: write,
      schema: {
        tags,
        summary: 'Delete a calendar that no job heeds any more',
        params,
        response: { 200: CalendarDetail },
      },
    },
    async (request, reply) =>
      send(
        reply,
        await transact(context.db, (trx) => removeCalendar(trx, context, request.actor, request.params.name)),
      ),
  );
  app.get(
    '/api/v1/calendars/:name/export.ics',
    {
      config: read,
      schema: { tags, summary: 'A calendar as a file of iCalendar', params, produces: ['text/calendar'] },
    },
    async (request, reply) => {
      const text = send(reply, await calendarFile(context.db, request.params.name));
      return await reply
        .type('text/calendar; charset=utf-8')
        .header('content-disposition', 'attachment; filename="calendar.ics"')
        .send(text);
    },
  );
};
