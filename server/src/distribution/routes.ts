import type { IncomingMessage, ServerResponse } from 'node:http';
import { setTimeout } from 'node:timers/promises';
import { Type } from 'typebox';
import type { Room } from '../app.ts';
import { openDistribution, type Distribution } from './distribution.ts';
import { isProxyRequest, proxyHandler, refuseConnect } from './proxy.ts';
import { readRepositories } from './repositories.ts';

/** Kept on disk at most; what was used longest ago goes first. */
const maximumCacheBytes = 20 * 1024 ** 3;
const evictEveryMilliseconds = 3_600_000;
const closePatienceMilliseconds = 3_000;

const Status = Type.Object(
  {
    repositories: Type.Array(Type.String()),
    files: Type.Integer(),
    bytes: Type.Integer(),
    requests: Type.Integer(),
    served_bytes: Type.Integer(),
    fetched_bytes: Type.Integer(),
    from_cache: Type.Integer(),
    damaged: Type.Integer(),
  },
  { additionalProperties: false },
);

/**
 * Puts the distribution point in front of the application: requests whose target is a whole address are a package manager's
 * to its proxy, and never reach a route.
 */
export const routes: Room = (app, context) => {
  const list = readRepositories(context.config.repositories);
  if (!list.ok) throw new Error(`FIXPOINT_REPOSITORIES: ${list.problems.join('; ')}`);
  const { repositories } = list;
  let opened: Promise<Distribution> | null = null;
  // the folder is made when the first asset fetches something, not by starting
  const distribution = () =>
    (opened ??= openDistribution(context, { dataFolder: context.config.dataFolder, repositories }));
  const proxy = proxyHandler(context, distribution);

  const { server } = app;
  const others = server.listeners('request');
  server.removeAllListeners('request');
  server.on('request', (request: IncomingMessage, response: ServerResponse) => {
    if (isProxyRequest(request)) proxy(request, response);
    else for (const listener of others) Reflect.apply(listener, server, [request, response]);
  });
  server.on('connect', refuseConnect);

  const evict = setInterval(() => {
    if (opened === null) return;
    const removed = opened.then((one) => one.evict(maximumCacheBytes));
    removed.catch((error: unknown) => {
      context.log.warn({ err: error }, 'old files of the distribution cache could not be removed');
    });
  }, evictEveryMilliseconds);
  evict.unref();
  app.addHook('onClose', async () => {
    clearInterval(evict);
    const point = await opened;
    // what is on its way may take long; a little patience keeps what is nearly here
    if (point !== null) await Promise.race([point.idle(), setTimeout(closePatienceMilliseconds)]);
  });

  app.get(
    '/api/v1/distribution',
    {
      config: { permission: 'read' },
      schema: {
        summary: 'What the distribution point keeps and has served',
        tags: ['distribution'],
        response: { 200: Status },
      },
    },
    async () => ({
      repositories: repositories.map((one) => one.prefix),
      ...(await (await distribution()).status()),
    }),
  );
};
