import { Type } from 'typebox';
import {
  ChallengeRequest,
  ChallengeResponse,
  CheckInRequest,
  CheckInResponse,
  EnrollRequest,
  EnrollResponse,
  SessionRequest,
  SessionResponse,
} from '@fixpoint/contract/agent.ts';
import { Asset, AssetDetail, AssetQuery } from '@fixpoint/contract/asset.ts';
import { InventoryAccepted, InventoryReport } from '@fixpoint/contract/inventory.ts';
import { List } from '@fixpoint/contract/list.ts';
import { send, type Room } from '../app.ts';
import { challenges, issueChallenge } from '../auth/agent-session.ts';
import { saysStaleness } from '../feed-sync/stale-header.ts';
import { openSoftwareMemory } from '../software/known.ts';
import { checkIn } from './check-in.ts';
import { collectContacts } from './contact.ts';
import { enrol, openAgentSession } from './enrol.ts';
import { groupCommit } from './group-commit.ts';
import { takeInventories, type ReportOfAgent } from './inventory-batch.ts';
import { assetDetail, assetPage, retireAsset } from './list.ts';

const mebibyte = 1024 * 1024;
const params = Type.Object({ id: Type.String({ maxLength: 255 }) });
const Retirement = Type.Object(
  { reason: Type.String({ minLength: 1, maxLength: 500 }) },
  { additionalProperties: false },
);
const Retired = Type.Object({
  id: Type.String({ format: 'uuid' }),
  retired_at: Type.String({ format: 'date-time' }),
});
const tags = ['asset'];
const agentTags = ['agent'];

export const routes: Room = (app, context) => {
  const answered = challenges(context.keys, context);
  const contacts = collectContacts(context);
  const software = openSoftwareMemory();
  const inventories = groupCommit({
    work: async (reports: readonly ReportOfAgent[]) => await takeInventories(context, software, reports),
    keyOf: ({ agent }) => agent.assetId,
    mostItems: 250,
    mostGroups: 2,
    patienceMilliseconds: 5,
  });
  const staleness = saysStaleness(context);
  app.addHook('onReady', async () => context.knownAgents.start());
  app.addHook('onClose', async () => {
    await contacts.flush();
    await context.knownAgents.stop();
  });

  app.post(
    '/agent/v1/enroll',
    {
      config: {
        permission: 'public',
        rateLimit: { max: context.config.enrolmentsPerMinute, timeWindow: 60_000 },
      },
      bodyLimit: 16 * 1024,
      schema: {
        tags: agentTags,
        summary: 'Become an asset',
        body: EnrollRequest,
        response: { 201: EnrollResponse },
      },
    },
    async (request, reply) =>
      send(reply, await enrol(context, request.headers.authorization, request.body), 201),
  );
  app.post(
    '/agent/v1/challenge',
    {
      config: { permission: 'public' },
      bodyLimit: 4 * 1024,
      schema: {
        tags: agentTags,
        summary: 'What to sign to open a session',
        body: ChallengeRequest,
        response: { 200: ChallengeResponse },
      },
    },
    // An unknown asset gets one too: who asks learns nothing about which assets there are.
    async (request) => ({
      challenge: issueChallenge(context.keys, context, request.body.asset_id.toLowerCase()),
    }),
  );
  app.post(
    '/agent/v1/session',
    {
      config: { permission: 'public' },
      bodyLimit: 4 * 1024,
      schema: {
        tags: agentTags,
        summary: 'Open a session',
        body: SessionRequest,
        response: { 200: SessionResponse },
      },
    },
    async (request, reply) => send(reply, await openAgentSession(context, answered, request.body)),
  );
  app.post(
    '/agent/v1/check-in',
    {
      config: { permission: 'agent' },
      // What helmet says is for browsers. It costs a tenth of what there is most of.
      helmet: false,
      schema: {
        tags: agentTags,
        summary: 'Say that the host is there',
        body: CheckInRequest,
        response: { 200: CheckInResponse },
      },
    },
    async (request, reply) => send(reply, await checkIn(context, contacts, request.agent, request.body)),
  );
  app.post(
    '/agent/v1/inventory',
    {
      config: { permission: 'agent' },
      bodyLimit: 16 * mebibyte,
      schema: {
        tags: agentTags,
        summary: 'Report what is on the host',
        body: InventoryReport,
        response: { 200: InventoryAccepted },
      },
    },
    async (request, reply) => {
      try {
        return send(reply, await inventories.run({ agent: request.agent, report: request.body }));
      } finally {
        // The agent may check in before the database has told of it.
        context.knownAgents.forget(request.agent.assetId);
      }
    },
  );

  app.get(
    '/api/v1/assets',
    {
      config: { permission: 'read' },
      onSend: staleness,
      schema: {
        tags,
        summary: 'Assets, by host name',
        querystring: AssetQuery,
        response: { 200: List(Asset) },
      },
    },
    async (request, reply) => send(reply, await assetPage(context, request.query)),
  );
  app.get(
    '/api/v1/assets/:id',
    {
      config: { permission: 'read' },
      onSend: staleness,
      schema: { tags, summary: 'One asset, by id or host name', params, response: { 200: AssetDetail } },
    },
    async (request, reply) => send(reply, await assetDetail(context, request.params.id)),
  );
  app.post(
    '/api/v1/assets/:id/retire',
    {
      config: { permission: 'asset.write' },
      schema: {
        tags,
        summary: 'Take an asset out of management',
        params,
        body: Retirement,
        response: { 200: Retired },
      },
    },
    async (request, reply) =>
      send(reply, await retireAsset(context, request.actor, request.params.id, request.body.reason)),
  );
};
