import { Type } from 'typebox';
import {
  Acceptance,
  AcceptanceDetail,
  AcceptanceExtension,
  AcceptancePreview,
  AcceptancePreviewRequest,
  AcceptanceQuery,
  AcceptanceRequest,
  AcceptanceRevocation,
} from '@fixpoint/contract/acceptance.ts';
import { List } from '@fixpoint/contract/list.ts';
import { send, type Room } from '../app.ts';
import {
  acceptanceDetail,
  createAcceptance,
  extendAcceptance,
  listAcceptances,
  revokeAcceptance,
} from './commands.ts';
import { previewAcceptance } from './preview.ts';

const params = Type.Object({ id: Type.String({ format: 'uuid' }) });
const tags = ['acceptance'];

export const routes: Room = (app, context) => {
  app.get(
    '/api/v1/acceptances',
    {
      config: { permission: 'read' },
      schema: {
        tags,
        summary: 'Risk acceptances, the newest first',
        querystring: AcceptanceQuery,
        response: { 200: List(Acceptance) },
      },
    },
    async (request, reply) => send(reply, await listAcceptances(context, request.query)),
  );
  app.post(
    '/api/v1/acceptances',
    {
      config: { permission: 'risk.accept' },
      schema: {
        tags,
        summary: 'Accept risk for a time',
        body: AcceptanceRequest,
        response: { 201: Acceptance },
      },
    },
    async (request, reply) => send(reply, await createAcceptance(context, request.actor, request.body), 201),
  );
  app.post(
    '/api/v1/acceptances/preview',
    {
      config: { permission: 'read' },
      schema: {
        tags,
        summary: 'What a scope would accept now',
        body: AcceptancePreviewRequest,
        response: { 200: AcceptancePreview },
      },
    },
    async (request, reply) => send(reply, await previewAcceptance(context, request.body.scope)),
  );
  app.get(
    '/api/v1/acceptances/:id',
    {
      config: { permission: 'read' },
      schema: {
        tags,
        summary: 'One acceptance with the worst findings that it covers',
        params,
        response: { 200: AcceptanceDetail },
      },
    },
    async (request, reply) => send(reply, await acceptanceDetail(context, request.params.id)),
  );
  app.post(
    '/api/v1/acceptances/:id/revoke',
    {
      config: { permission: 'risk.accept' },
      schema: {
        tags,
        summary: 'End an acceptance before its time',
        params,
        body: AcceptanceRevocation,
        response: { 200: Acceptance },
      },
    },
    async (request, reply) =>
      send(reply, await revokeAcceptance(context, request.actor, request.params.id, request.body.reason)),
  );
  app.post(
    '/api/v1/acceptances/:id/extend',
    {
      config: { permission: 'risk.accept' },
      schema: {
        tags,
        summary: 'Let an acceptance end later',
        params,
        body: AcceptanceExtension,
        response: { 200: Acceptance },
      },
    },
    async (request, reply) =>
      send(reply, await extendAcceptance(context, request.actor, request.params.id, request.body)),
  );
};
