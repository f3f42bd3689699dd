import type { IncomingMessage } from 'node:http';
import { Readable } from 'node:stream';
import { Type } from 'typebox';
import { BundleImport, BundleImportQuery, FeedImport } from '@fixpoint/contract/feed.ts';
import { RefusedError } from '../api-error.ts';
import { send, type Room } from '../app.ts';
import { refuse } from '../refusal.ts';
import { importBundle } from './bundle-import.ts';
import { feedById } from './commands.ts';
import { syncParts } from './parts.ts';
import { importUpload } from './upload.ts';

const gibibyte = 1024 ** 3;
/** Large enough for the largest published feed, small enough to end a runaway upload. */
const feedBodyLimit = 2 * gibibyte;
const bundleBodyLimit = 32 * gibibyte;

const tooLarge = (limit: number) =>
  refuse(
    413,
    'body_too_large',
    `the file is larger than ${String(limit / gibibyte)} GiB, which none is`,
    'check that it is the file that the publisher of the feed names, or a bundle',
  );

/** The stream, ended by an error where it goes on beyond the limit: who sends in chunks announces no length. */
function bounded(payload: IncomingMessage, limit: number): Readable {
  return Readable.from(
    (async function* () {
      let bytes = 0;
      for await (const chunk of payload) {
        // Without an encoding, a request's body comes as bytes.
        const piece: Buffer = chunk;
        bytes += piece.length;
        if (bytes > limit) throw new RefusedError(tooLarge(limit));
        yield piece;
      }
    })(),
  );
}

function streamOf(body: unknown): Readable {
  if (body instanceof Readable) return body;
  throw new RefusedError(
    refuse(
      400,
      'body_missing',
      'there is no file in the request',
      'send the published file, or the bundle, as the body',
    ),
  );
}

/** What takes files as they are, whatever their type: the body is handed on as a stream and never held as a whole. */
export const uploadRoutes: Room = (app, context) => {
  const parts = syncParts(context);
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('*', (request, payload, done) => {
    const limit = request.routeOptions.bodyLimit;
    const announced = Number(request.headers['content-length'] ?? 0);
    if (announced > limit) return done(new RefusedError(tooLarge(limit)));
    done(null, bounded(payload, limit));
  });

  app.post(
    '/api/v1/feeds/:id/import',
    {
      config: { permission: 'knowledge.write' },
      bodyLimit: feedBodyLimit,
      schema: {
        summary: 'Imports a file as the publisher publishes it; all of it or nothing',
        tags: ['knowledge'],
        params: Type.Object({ id: Type.String({ minLength: 1, maxLength: 50 }) }),
        querystring: Type.Object({
          name: Type.Optional(Type.String({ minLength: 1, maxLength: 255 })),
          published_at: Type.Optional(Type.String({ format: 'date-time' })),
          allow_shrink: Type.Optional(Type.Boolean()),
        }),
        response: { 200: FeedImport },
      },
    },
    async (request, reply) => {
      const feed = send(reply, feedById(parts, request.params.id));
      const body = streamOf(request.body);
      const { name = 'upload', published_at: publishedAt = null, allow_shrink: allowShrink } = request.query;
      return send(
        reply,
        await importUpload(parts, request.actor, feed, body, {
          name,
          maximumBytes: feedBodyLimit,
          allowShrink: allowShrink === true,
          publishedAt,
        }),
      );
    },
  );
  app.post(
    '/api/v1/feed-bundle',
    {
      config: { permission: 'knowledge.write' },
      bodyLimit: bundleBodyLimit,
      schema: {
        summary: 'Checks a bundle and imports each feed in it by itself',
        tags: ['knowledge'],
        querystring: BundleImportQuery,
        response: { 200: BundleImport },
      },
    },
    async (request, reply) => {
      const { key, allow_older: allowOlder, allow_shrink: allowShrink } = request.query;
      return send(
        reply,
        await importBundle(parts, request.actor, streamOf(request.body), {
          key,
          allowOlder: allowOlder === true,
          allowShrink: allowShrink === true,
        }),
      );
    },
  );
};
