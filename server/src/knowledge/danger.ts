import type { SourcedScore } from '@fixpoint/core/knowledge/score.ts';
import type { SourcedThreat } from '@fixpoint/core/knowledge/threat.ts';
import type { Transact } from '../context.ts';
import { scoreRows, threatRows } from './known.ts';

/** What is known of how dangerous vulnerabilities are, source by source; core decides between them. */
export interface Danger {
  readonly scores: readonly SourcedScore[];
  readonly threats: readonly SourcedThreat[];
}

const day = (date: Date | string): string =>
  typeof date === 'string' ? date : date.toISOString().slice(0, 10);

/** Scores and threats of these vulnerabilities, in two queries; one without any has an empty entry. */
export async function dangersOf(
  trx: Transact,
  vulnerabilities: readonly string[],
): Promise<Map<string, Danger>> {
  const dangers = new Map<string, { scores: SourcedScore[]; threats: SourcedThreat[] }>(
    vulnerabilities.map((id) => [id, { scores: [], threats: [] }]),
  );
  for (const row of await scoreRows(trx, vulnerabilities)) {
    dangers.get(row.vulnerability)?.scores.push({
      feed: row.feed,
      record: row.record,
      score: {
        kind: 'cvss',
        vulnerability: row.vulnerability,
        scorer: row.scorer,
        version: row.version,
        vector: row.vector,
        // PostgreSQL keeps four bytes of it.
        baseScore: Math.round(row.base_score * 10) / 10,
      },
    });
  }
  for (const row of await threatRows(trx, vulnerabilities)) {
    dangers.get(row.vulnerability)?.threats.push({
      feed: row.feed,
      record: row.record,
      threat: {
        kind: 'threat',
        vulnerability: row.vulnerability,
        threat: row.threat,
        probability: row.probability,
        percentile: row.percentile,
        ransomware: row.ransomware,
        ssvc: row.ssvc,
        assertedOn: day(row.asserted_on),
        dueOn: row.due_on === null ? null : day(row.due_on),
        title: row.title,
        reference: row.reference,
      },
    });
  }
  return dangers;
}
