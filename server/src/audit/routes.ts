import { Readable } from 'node:stream';
import { Type } from 'typebox';
import { AuditEvent, AuditQuery, AuditVerification } from '@fixpoint/contract/audit.ts';
import { List } from '@fixpoint/contract/list.ts';
import { send, type Room } from '../app.ts';
import { exportLines, listAudit, verifyAudit } from './commands.ts';

const tags = ['audit'];

/** A number and hash that somebody wrote down earlier; see verifyAudit. */
const VerifyQuery = Type.Object(
  {
    head_sequence: Type.Optional(Type.Integer({ minimum: 1 })),
    head_hash: Type.Optional(Type.String({ pattern: '^[0-9a-f]{64}$' })),
  },
  {
    additionalProperties: false,
    dependentRequired: { head_sequence: ['head_hash'], head_hash: ['head_sequence'] },
  },
);

export const routes: Room = (app, context) => {
  app.get(
    '/api/v1/audit',
    {
      config: { permission: 'audit.read' },
      schema: {
        tags,
        summary: 'What happened, oldest first',
        querystring: AuditQuery,
        response: { 200: List(AuditEvent) },
      },
    },
    async (request, reply) => send(reply, await listAudit(context, request.query)),
  );
  app.get(
    '/api/v1/audit/verify',
    {
      config: { permission: 'audit.read' },
      schema: {
        tags,
        summary: 'Verify the whole hash chain',
        querystring: VerifyQuery,
        response: { 200: AuditVerification },
      },
    },
    async (request) => {
      const { head_sequence: sequence, head_hash: hash } = request.query;
      return await verifyAudit(
        context,
        sequence === undefined || hash === undefined ? null : { sequence, hash },
      );
    },
  );
  app.get(
    '/api/v1/audit/export',
    {
      config: { permission: 'audit.read' },
      schema: {
        tags,
        summary: 'All events as JSON lines, for verification offline',
        produces: ['application/x-ndjson'],
      },
    },
    async (_request, reply) => {
      return reply.type('application/x-ndjson').send(Readable.from(exportLines(context.db)));
    },
  );
};
