import type { Acceptance, AcceptanceState, CoveredFinding } from '@fixpoint/contract/acceptance.ts';
import { readAcceptanceScope, scopeTags } from '@fixpoint/core/posture/acceptance-scope.ts';
import type { AcceptanceCoverage } from '@fixpoint/core/posture/acceptance-coverage.ts';
import { coverages, firstFindings } from '@fixpoint/core/posture/acceptance-coverage.ts';
import type { FleetFinding, FleetReading } from '@fixpoint/core/posture/reading.ts';
import type { Sliced } from '@fixpoint/core/posture/select/selection.ts';
import { assetTruths } from '@fixpoint/core/posture/select/asset-truths.ts';
import { explain } from '@fixpoint/core/query/explain.ts';
import { parse } from '@fixpoint/core/query/parse.ts';
import type { ServerContext } from '../app.ts';
import type { AcceptanceRow } from './store.ts';

/** Acceptances as people see them. */

export function stateOf(row: AcceptanceRow, now: Date): AcceptanceState {
  if (row.revoked_at !== null) return 'revoked';
  if (row.expires_at <= now) return 'expired';
  return row.starts_at > now ? 'scheduled' : 'in_force';
}

/** What is about to be shown of a coverage. Its pairs have their places in one state of the fleet only, so it is read along. */
export interface Covered {
  readonly coverage: AcceptanceCoverage;
  readonly first: readonly CoveredFinding[];
}

/** What each of these is about now, with the worst `limit` findings; `isOver`: of those that nobody else has accepted. */
export async function coveredBy<Row extends Pick<AcceptanceRow, 'id' | 'scope'>>(
  context: Pick<ServerContext, 'posture' | 'clock'>,
  rows: readonly Row[],
  limit: number,
  isOver: (row: Row) => boolean,
): Promise<Map<string, Covered>> {
  if (rows.length === 0) return new Map();
  const now = context.clock.now().getTime();
  return await context.posture.run(function* (fleet): Sliced<Map<string, Covered>> {
    const all = yield* coverages(fleet, assetTruths, rows, now);
    const covered = new Map<string, Covered>();
    for (const row of rows) {
      yield;
      const coverage = all.get(row.id);
      if (coverage === undefined) throw new Error('an acceptance that was asked for has no coverage');
      const first = firstFindings(fleet, coverage, limit, isOver(row)).map((one) => findingView(fleet, one));
      covered.set(row.id, { coverage, first });
    }
    return covered;
  });
}

/** What each of these is about now, whether it is in force or not. */
async function coveragesOf(
  context: Pick<ServerContext, 'posture' | 'clock'>,
  rows: readonly Pick<AcceptanceRow, 'id' | 'scope'>[],
): Promise<Map<string, AcceptanceCoverage>> {
  if (rows.length === 0) return new Map();
  const now = context.clock.now().getTime();
  return await context.posture.run((fleet) => coverages(fleet, assetTruths, rows, now));
}

/** With how much each covers, where it is in force. */
export async function acceptanceViews(
  context: Pick<ServerContext, 'posture' | 'clock'>,
  rows: readonly AcceptanceRow[],
): Promise<Acceptance[]> {
  const now = context.clock.now();
  const inForce = rows.filter((row) => stateOf(row, now) === 'in_force');
  const covered = await coveragesOf(context, inForce);
  const tags = inForce.length === 0 ? null : scopeTags((await context.posture.fresh()).tags);
  return rows.map((row) => {
    const coverage = covered.get(row.id);
    const read = tags === null || coverage === undefined ? null : readAcceptanceScope(row.scope, tags);
    return {
      id: row.id,
      state: stateOf(row, now),
      scope: row.scope,
      words: inWords(row.scope),
      reason: row.reason,
      owner: row.owner,
      created_by: row.created_by,
      created_at: row.created_at.toISOString(),
      starts_at: row.starts_at.toISOString(),
      expires_at: row.expires_at.toISOString(),
      revoked_at: row.revoked_at?.toISOString() ?? null,
      revoked_by: row.revoked_by,
      revoked_reason: row.revoked_reason,
      findings: coverage?.findings ?? null,
      assets: coverage?.assets.size ?? null,
      exploited: coverage?.exploited ?? null,
      problem:
        read === null || read.ok
          ? null
          : `Its scope can no longer be judged, so it covers nothing: ${read.message}.`,
    };
  });
}

export function inWords(scope: string): string {
  const read = parse(scope, 'finding');
  return read.ok ? explain(read.query) : scope;
}

export function findingView(fleet: FleetReading, { asset, pair, status }: FleetFinding): CoveredFinding {
  const { id, title } = fleet.vulnerability(pair.vulnerability);
  const { score, summary } = fleet.danger(pair.danger);
  return {
    asset_id: fleet.assets.uid(asset),
    hostname: fleet.assets.hostname(asset),
    vulnerability: id,
    title,
    package: pair.package,
    status,
    score: score.score,
    exploited: summary.threat.maturity === 'active',
  };
}

export const counted = (count: number, noun: string): string =>
  `${String(count)} ${noun}${count === 1 ? '' : 's'}`;
