import { Type } from 'typebox';
import {
  BundleExportQuery,
  BundleKey,
  BundleKeyRequest,
  BundleKeys,
  FeedSettingRequest,
  FeedStatus,
  FeedSyncQuery,
  FleetHealth,
  HealthQuery,
} from '@fixpoint/contract/feed.ts';
import { List } from '@fixpoint/contract/list.ts';
import { send, type Room } from '../app.ts';
import { exportBundle } from './bundle-export.ts';
import { bundleKeys, distrustKey, trustKey } from './bundle-keys.ts';
import { allFeeds, changeSetting, fleetHealth, requestSync } from './commands.ts';
import { syncParts } from './parts.ts';

const ById = Type.Object({ id: Type.String({ minLength: 1, maxLength: 50 }) });
const ByKey = Type.Object({ key: Type.String({ minLength: 1, maxLength: 100 }) });

/** Feeds: their age, how they are kept current, and bundles. What takes files is in upload-routes.ts. */
export const routes: Room = (app, context) => {
  const parts = syncParts(context);

  app.get(
    '/api/v1/feeds',
    {
      config: { permission: 'read' },
      schema: {
        summary: 'Every feed: what is held of it, how old that is, and how it is kept current',
        tags: ['knowledge'],
        response: { 200: List(FeedStatus) },
      },
    },
    async () => {
      const items = await allFeeds(parts);
      return { items, total: items.length, next: null };
    },
  );
  app.get(
    '/api/v1/health',
    {
      config: { permission: 'read' },
      schema: {
        summary:
          'What a reader of findings must be told: which knowledge about the fleet, or about an asset, is old',
        tags: ['knowledge'],
        querystring: HealthQuery,
        response: { 200: FleetHealth },
      },
    },
    async (request, reply) => send(reply, await fleetHealth(parts, request.query.asset)),
  );
  app.put(
    '/api/v1/feeds/:id/setting',
    {
      config: { permission: 'knowledge.write' },
      schema: {
        summary: 'Changes whether, how often and from where a feed is downloaded',
        tags: ['knowledge'],
        params: ById,
        body: FeedSettingRequest,
        response: { 200: FeedStatus },
      },
    },
    async (request, reply) =>
      send(reply, await changeSetting(parts, request.actor, request.params.id, request.body)),
  );
  app.post(
    '/api/v1/feeds/:id/sync',
    {
      config: { permission: 'knowledge.write' },
      schema: {
        summary:
          'Has a feed downloaded and imported now, in the background; GET /api/v1/feeds shows how far it is',
        tags: ['knowledge'],
        params: ById,
        querystring: FeedSyncQuery,
        response: { 202: FeedStatus },
      },
    },
    async (request, reply) => {
      const allowShrink = request.query.allow_shrink === true;
      return send(reply, await requestSync(parts, request.actor, request.params.id, { allowShrink }), 202);
    },
  );
  app.get(
    '/api/v1/feed-bundle',
    {
      config: { permission: 'knowledge.write' },
      schema: {
        summary: 'A signed archive of the published files that are held, for a site without a network',
        tags: ['knowledge'],
        querystring: BundleExportQuery,
      },
    },
    async (request, reply) => {
      const { feeds, compress } = request.query;
      const wanted = feeds === undefined ? null : feeds.split(',').filter((id) => id !== '');
      const made = await exportBundle(parts, request.actor, wanted, compress === 'zstd');
      const { stream } = send(reply, made);
      return reply.type(compress === 'zstd' ? 'application/zstd' : 'application/x-tar').send(stream);
    },
  );
  app.get(
    '/api/v1/feed-bundle/keys',
    {
      config: { permission: 'read' },
      schema: {
        summary:
          'The public key that bundles of this server are signed with, and those whose bundles it takes',
        tags: ['knowledge'],
        response: { 200: BundleKeys },
      },
    },
    async () => await bundleKeys(parts),
  );
  app.post(
    '/api/v1/feed-bundle/keys',
    {
      config: { permission: 'knowledge.write' },
      schema: {
        summary: 'Takes bundles that are signed with this key',
        tags: ['knowledge'],
        body: BundleKeyRequest,
        response: { 201: BundleKey },
      },
    },
    async (request, reply) => send(reply, await trustKey(parts, request.actor, request.body), 201),
  );
  app.delete(
    '/api/v1/feed-bundle/keys/:key',
    {
      config: { permission: 'knowledge.write' },
      schema: {
        summary: 'Takes no more bundles that are signed with this key',
        tags: ['knowledge'],
        params: ByKey,
        response: { 200: BundleKey },
      },
    },
    async (request, reply) => send(reply, await distrustKey(parts, request.actor, request.params.key)),
  );
};
