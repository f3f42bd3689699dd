import type { IncomingMessage, ServerResponse } from 'node:http';
import type { FastifyRequest } from 'fastify';
import { setTimeout } from 'node:timers/promises';
import { Type } from 'typebox';
import {
  DistributionPoint,
  DistributionPointChange,
  DistributionPointCreated,
  DistributionPointRequest,
  DistributionStatus,
  HeartbeatRequest,
  HeartbeatResponse,
  TicketRequest,
  TicketResponse,
} from '@fixpoint/contract/distribution.ts';
import { RefusedError } from '../api-error.ts';
import { send, type Room, type ServerContext } from '../app.ts';
import { agentFromBasic } from '../auth/guard.ts';
import { refuse } from '../refusal.ts';
import { openDistribution, type Distribution } from './distribution.ts';
import {
  changePoint,
  createPoint,
  heartbeat,
  listPoints,
  pointOfSecret,
  removePoint,
  ticketFor,
} from './points.ts';
import { createPrestaging } from './prestage.ts';
import { isProxyRequest, proxyHandler, refuseConnect, type Client } from './proxy.ts';
import { readRepositories } from './repositories.ts';
import { databaseIndex } from './store.ts';
import { readBasic } from './ticket.ts';

const sweepEveryMilliseconds = 3_600_000;
const closePatienceMilliseconds = 3_000;
const ById = Type.Object({ id: Type.String({ format: 'uuid' }) });
const tags = ['distribution'];

/** An asset by its session, or a point near the hosts by its secret. */
async function clientOf(context: ServerContext, header: string | undefined): Promise<Client | null> {
  const agent = await agentFromBasic(context, header);
  if (agent !== null) return { id: agent.uid, limited: true };
  const basic = readBasic(header);
  const point = basic === null ? null : await pointOfSecret(context, basic.password);
  return point === null || point.id !== basic?.user ? null : { id: point.id, limited: false };
}

/**
 * Puts the distribution point in front of the application: requests whose target is a whole address are a package manager's
 * to its proxy, and never reach a route.
 */
export const routes: Room = (app, context) => {
  const { config } = context;
  const list = readRepositories(config.repositories);
  if (!list.ok) throw new Error(`FIXPOINT_REPOSITORIES: ${list.problems.join('; ')}`);
  const { repositories } = list;
  const prefixes = repositories.map((one) => one.prefix);
  let opened: Promise<Distribution> | null = null;
  // the folder is made when the first asset fetches something, not by starting
  const distribution = () =>
    (opened ??= openDistribution(
      { index: databaseIndex(context.db), clock: context.clock, log: context.log },
      {
        dataFolder: config.dataFolder,
        repositories: () => repositories,
        limitBytes: config.distributionLimitBytes,
        bytesPerSecond: config.distributionBytesPerSecond,
        clientBytesPerSecond: config.distributionClientBytesPerSecond,
      },
    ).then((one) => {
      prestaging.attach(one);
      return one;
    }));
  const prestaging = createPrestaging(context, distribution);
  const proxy = proxyHandler({
    log: context.log,
    distribution,
    authenticate: (header) => clientOf(context, header),
  });

  const { server } = app;
  const others = server.listeners('request');
  server.removeAllListeners('request');
  server.on('request', (request: IncomingMessage, response: ServerResponse) => {
    if (isProxyRequest(request)) proxy(request, response);
    else for (const listener of others) Reflect.apply(listener, server, [request, response]);
  });
  server.on('connect', refuseConnect);

  const makeRoom = async (): Promise<void> => {
    const point = await opened;
    await point?.evict();
    await point?.sweep();
  };
  const sweep = setInterval(() => {
    makeRoom().catch((error: unknown) => {
      context.log.warn({ err: error }, 'old files of the distribution cache could not be removed');
    });
  }, sweepEveryMilliseconds);
  sweep.unref();
  app.addHook('onListen', () => {
    prestaging.start();
  });
  app.addHook('onClose', async () => {
    clearInterval(sweep);
    await prestaging.stop();
    const point = await opened;
    // what is on its way may take long; a little patience keeps what is nearly here
    if (point !== null) await Promise.race([point.idle(), setTimeout(closePatienceMilliseconds)]);
  });

  app.get(
    '/api/v1/distribution',
    {
      config: { permission: 'read' },
      schema: {
        summary: 'What the distribution point keeps, has served and fetches ahead',
        tags,
        response: { 200: DistributionStatus },
      },
    },
    async () => ({
      repositories: [...prefixes],
      limit_bytes: config.distributionLimitBytes,
      ...(await (await distribution()).status()),
      prestage: prestaging.status(),
    }),
  );

  app.get(
    '/api/v1/distribution-points',
    {
      config: { permission: 'read' },
      schema: {
        summary: 'Distribution points near the hosts',
        tags,
        response: { 200: Type.Object({ items: Type.Array(DistributionPoint) }) },
      },
    },
    async () => await listPoints(context),
  );
  app.post(
    '/api/v1/distribution-points',
    {
      config: { permission: 'distribution.write' },
      schema: {
        summary: 'Register a distribution point near the hosts; its secret is in this answer only',
        tags,
        body: DistributionPointRequest,
        response: { 201: DistributionPointCreated },
      },
    },
    async (request, reply) => send(reply, await createPoint(context, request.actor, request.body), 201),
  );
  app.patch(
    '/api/v1/distribution-points/:id',
    {
      config: { permission: 'distribution.write' },
      schema: {
        summary: 'Change where a distribution point is, or which hosts load from it',
        tags,
        params: ById,
        body: DistributionPointChange,
        response: { 200: DistributionPoint },
      },
    },
    async (request, reply) =>
      send(reply, await changePoint(context, request.actor, request.params.id, request.body)),
  );
  app.delete(
    '/api/v1/distribution-points/:id',
    {
      config: { permission: 'distribution.write' },
      schema: {
        summary: 'Remove a distribution point: no host is sent to it, and its secret opens nothing',
        tags,
        params: ById,
        response: { 200: DistributionPoint },
      },
    },
    async (request, reply) => send(reply, await removePoint(context, request.actor, request.params.id)),
  );

  app.post(
    '/agent/v1/distribution-ticket',
    {
      config: { permission: 'agent' },
      bodyLimit: 16 * 1024,
      schema: {
        summary: 'What to show to a distribution point near the host',
        tags: ['agent'],
        body: TicketRequest,
        response: { 200: TicketResponse },
      },
    },
    async (request, reply) => send(reply, await ticketFor(context, request.agent, request.body.point)),
  );

  const callers = new WeakMap<FastifyRequest, { readonly id: string; readonly ranges: unknown }>();
  app.post(
    '/point/v1/heartbeat',
    {
      // known by its own secret, before anything is read
      config: { permission: 'public' },
      onRequest: async (request) => {
        const secret = /^Bearer (\S{1,200})$/iu.exec(request.headers.authorization ?? '')?.[1] ?? '';
        const point = await pointOfSecret(context, secret);
        if (point === null) {
          throw new RefusedError(
            refuse(
              401,
              'wrong_credentials',
              'this is not the secret of a distribution point of this server',
              'register the point: fixpoint distribution add',
            ),
          );
        }
        callers.set(request, point);
      },
      bodyLimit: 256 * 1024,
      schema: {
        summary: 'How a distribution point near the hosts is, and what it is to do',
        tags,
        body: HeartbeatRequest,
        response: { 200: HeartbeatResponse },
      },
    },
    async (request, reply) => {
      const point = callers.get(request);
      if (point === undefined) throw new Error('nobody has said which point calls');
      return send(
        reply,
        await heartbeat(context, point.id, request.body, {
          repositories: prefixes,
          ...prestaging.forPoint(point.id),
        }),
      );
    },
  );
};
