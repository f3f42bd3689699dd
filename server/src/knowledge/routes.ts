import { Type } from 'typebox';
import { FeedRejection } from '@fixpoint/contract/feed.ts';
import { List } from '@fixpoint/contract/list.ts';
import { send, type Room } from '../app.ts';
import { feeds } from '../feed/feeds.ts';
import { refuse } from '../refusal.ts';
import { rejectionsOf } from './commands.ts';

/** What an import left aside. Feeds themselves, and what imports them, are in the room feed-sync. */
export const routes: Room = (app, context) => {
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
    '/api/v1/feeds/:id/rejections',
    {
      config: { permission: 'read' },
      schema: {
        summary: 'Records of the last import that were reported and skipped',
        tags: ['knowledge'],
        params,
        response: {
          200: List(FeedRejection),
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
};
