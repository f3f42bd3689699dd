import type { IncomingMessage } from 'node:http';
import { Readable } from 'node:stream';
import { Type } from 'typebox';
import { FeedImport, FeedStatus } from '@fixpoint/contract/audit.ts';
import { List } from '@fixpoint/contract/list.ts';
import { RefusedError } from '../api-error.ts';
import { send, type Room } from '../app.ts';
import { feeds } from '../feed/feeds.ts';
import { refuse } from '../refusal.ts';
import { feedStatus, rejectionsOf } from './commands.ts';
import { importFeed } from './import.ts';

const tooLarge = refuse(
  413,
  'body_too_large',
  'the file is larger than 2 GiB, and no feed is',
  'check that it is the file that the publisher of the feed names',
);

/** The stream, ended by an error where it goes on beyond the limit: who sends in chunks announces no length. */
function bounded(payload: IncomingMessage): Readable {
  return Readable.from(
    (async function* () {
      let bytes = 0;
      for await (const chunk of payload) {
        // Without an encoding, a request's body comes as bytes.
        const piece: Buffer = chunk;
        bytes += piece.length;
        if (bytes > feedBodyLimit) throw new RefusedError(tooLarge);
        yield piece;
      }
    })(),
  );
}

/** Large enough for the largest published feed, small enough to end a runaway upload. */
const feedBodyLimit = 2 * 1024 ** 3;

export const routes: Room = (app, context) => {
  // Feeds come as published, whatever their type: the body is handed on as a stream and never held as a whole.
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('*', (request, payload, done) => {
    const announced = Number(request.headers['content-length'] ?? 0);
    if (announced > feedBodyLimit) return done(new RefusedError(tooLarge));
    done(null, bounded(payload));
  });
  const params = Type.Object({ id: Type.String({ minLength: 1, maxLength: 50 }) });
  const feedById = (id: string) => feeds.find((feed) => feed.id === id);
  const unknownFeed = (id: string) =>
    refuse(
      404,
      'feed_not_found',
      `there is no feed “${id}”`,
      `feeds are: ${feeds.map((feed) => feed.id).join(', ')}`,
    );

  app.get(
    '/api/v1/feeds',
    {
      config: { permission: 'read' },
      schema: {
        summary: 'Every feed with its age',
        tags: ['knowledge'],
        response: { 200: List(FeedStatus) },
      },
    },
    async () => {
      const items = await context.db.transaction().execute((trx) => feedStatus(trx, context));
      return { items, total: items.length, next: null };
    },
  );
  app.get(
    '/api/v1/feeds/:id/rejections',
    {
      config: { permission: 'read' },
      schema: {
        summary: 'Records of the last import that were reported and skipped',
        tags: ['knowledge'],
        params,
        response: {
          200: List(
            Type.Object({
              position: Type.String(),
              code: Type.String(),
              message: Type.String(),
              excerpt: Type.String(),
              at: Type.String(),
            }),
          ),
        },
      },
    },
    async (request, reply) => {
      const feed = feedById(request.params.id);
      if (feed === undefined) return send(reply, unknownFeed(request.params.id));
      const items = await context.db.transaction().execute((trx) => rejectionsOf(trx, feed.id));
      return { items, total: items.length, next: null };
    },
  );
  app.post(
    '/api/v1/feeds/:id/import',
    {
      config: { permission: 'knowledge.write' },
      bodyLimit: feedBodyLimit,
      schema: {
        summary: 'Imports a file as the publisher publishes it; all of it or nothing',
        tags: ['knowledge'],
        params,
        querystring: Type.Object({
          name: Type.Optional(Type.String({ maxLength: 255 })),
          allow_shrink: Type.Optional(Type.Boolean()),
        }),
        response: { 200: FeedImport },
      },
    },
    async (request, reply) => {
      const feed = feedById(request.params.id);
      if (feed === undefined) return send(reply, unknownFeed(request.params.id));
      if (!(request.body instanceof Readable)) {
        return send(
          reply,
          refuse(
            400,
            'body_missing',
            'there is no file in the request',
            'send the published file as the body',
          ),
        );
      }
      const result = await importFeed(
        context,
        feed,
        { name: request.query.name ?? 'upload', bytes: request.body },
        { actor: request.actor, allowShrink: request.query.allow_shrink === true },
      );
      return send(reply, result);
    },
  );
};
