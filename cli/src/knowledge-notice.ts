import { FleetHealth } from '@fixpoint/contract/feed.ts';
import type { Connection } from './connection.ts';
import { Failure } from './failure.ts';
import { ask } from './http-client.ts';
import { note } from './output/stream.ts';
import { harmless } from './output/terminal.ts';

const askedSeconds = 5;

/**
 * Says on stderr what of the knowledge behind an answer is old, so that nobody takes silence for safety. That it cannot be
 * said, because the server is older or the caller may not ask, is no reason to fail.
 */
export async function noteStaleKnowledge(to: Connection, asset?: string): Promise<void> {
  try {
    const query = { asset };
    const health = await ask(to, '/api/v1/health', FleetHealth, { query, timeoutSeconds: askedSeconds });
    for (const { sentence } of health.knowledge) note(`warning: ${harmless(sentence)}`);
    if (health.knowledge.length > 0)
      note('what to do: see fixpoint feed status; fixpoint feed sync brings feeds up to date');
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
  }
}
