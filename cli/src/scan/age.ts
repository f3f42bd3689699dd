import { span } from '@fixpoint/core/knowledge/staleness.ts';
import type { KnowledgeHeader } from '../knowledge/format.ts';

/** A scan is done with the file that is at hand, so its limit is wider than that of a server, which can sync. */
const limitSeconds = 7 * 86_400;

/**
 * What of the knowledge that a scan judged by is older than a week, in one sentence; null when nothing is. A source that names
 * no date is passed over.
 */
export function ageSentence(knowledge: Pick<KnowledgeHeader, 'feeds'>, now: Date): string | null {
  const old: string[] = [];
  for (const { id, as_of } of knowledge.feeds) {
    const at = as_of === null ? Number.NaN : Date.parse(as_of);
    if (Number.isNaN(at)) continue;
    const seconds = Math.floor((now.getTime() - at) / 1000);
    if (seconds > limitSeconds) old.push(`${id} ${span(seconds)}`);
  }
  if (old.length === 0) return null;
  return `the knowledge is old (limit ${span(limitSeconds)}): ${old.join(', ')}; what was published since then is not found`;
}
