import type { FastifyReply, FastifyRequest } from 'fastify';
import { staleKnowledgeHeader } from '@fixpoint/contract/feed.ts';
import type { ServerContext } from '../app.ts';
import { staleKnowledge } from './commands.ts';
import { syncParts } from './parts.ts';

/** The age of feeds changes by the hour; a list may be asked for many times a second. */
const keptMilliseconds = 10_000;

/**
 * For routes whose answers rest on knowledge: names the feeds that are stale in a header of the answer, so that no program
 * takes silence for safety. What there is to say about them is in GET /api/v1/health.
 */
export function saysStaleness(
  context: ServerContext,
): (request: FastifyRequest, reply: FastifyReply, payload: unknown) => Promise<unknown> {
  const parts = syncParts(context);
  let known: { readonly at: number; readonly feeds: string } | null = null;
  return async (_request, reply, payload) => {
    const now = context.clock.now().getTime();
    if (known === null || Math.abs(now - known.at) >= keptMilliseconds) {
      const notices = await staleKnowledge(parts);
      const ids = notices.flatMap((notice) => (notice.feeds.length > 0 ? notice.feeds : ['none']));
      known = { at: now, feeds: [...new Set(ids)].join(', ') };
    }
    if (known.feeds !== '') void reply.header(staleKnowledgeHeader, known.feeds);
    return payload;
  };
}
