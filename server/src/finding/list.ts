import type { Static } from 'typebox';
import { findingStatuses, type Finding, type FindingQuery } from '@fixpoint/contract/finding.ts';
import { summariseDanger } from '@fixpoint/core/knowledge/danger.ts';
import { isEcosystem, productOf } from '@fixpoint/core/knowledge/ecosystem.ts';
import { correlate } from '@fixpoint/core/match/correlate.ts';
import { offeredVersions } from '@fixpoint/core/match/offered.ts';
import { vulnerabilityScore } from '@fixpoint/core/risk/vulnerability-score.ts';
import type { ServerContext } from '../app.ts';
import { assetRows, type AssetRow } from '../asset/commands.ts';
import type { Transact } from '../context.ts';
import { readOffset } from '../cursor.ts';
import { dangersOf } from '../knowledge/danger.ts';
import { answer, refuse, type Answer } from '../refusal.ts';
import { patchAnswer } from './patch-answer.ts';
import { newestPatches } from '../patch/commands.ts';
import { softwareOf, type SoftwareRow } from '../software/commands.ts';
import { mitigatedSentence, mitigationsFor } from './mitigated.ts';
import { findingsCalled, fixedFindings, type FindingRow } from './derived.ts';
import { pageOfFindings } from './page.ts';

/** Findings as people see them: with the patch that closes each on its asset. */

export interface FindingPage {
  readonly items: Finding[];
  readonly total: number;
  readonly next: string | null;
}

const exposed = findingStatuses.filter((status) => status !== 'fixed');

/**
 * One page of findings, most dangerous first. Which they are, their order and number is of the read model; their evidence, patch
 * and mitigations are read for the page. `after` is the `next` of the page before: when the fleet changes in between, a
 * finding may be on two pages or on none.
 */
export async function listFindings(
  context: Pick<ServerContext, 'db' | 'clock' | 'posture'>,
  query: Static<typeof FindingQuery>,
): Promise<Answer<FindingPage>> {
  const statuses = query.status?.split(',').map((s) => s.trim()) ?? [...exposed];
  const unknown = statuses.find((s) => !findingStatuses.some((known) => known === s));
  if (unknown !== undefined) {
    return refuse(
      400,
      'unknown_status',
      `“${unknown}” is not a status of findings`,
      `use one or more of: ${findingStatuses.join(', ')}`,
    );
  }
  const withFixed = statuses.includes('fixed');
  if (withFixed && query.query !== undefined) {
    return refuse(
      400,
      'fixed_not_by_query',
      'findings that are fixed cannot be asked for by a query',
      'leave the query away, and use asset, vulnerability, package and tag; or leave the status fixed away',
    );
  }
  const cursor = readOffset(query.after);
  if (!cursor.ok) return cursor;
  const { offset } = cursor;
  const limit = query.limit ?? 100;
  const selected = await pageOfFindings(context, query, { statuses, offset, limit });
  if (!selected.ok) return selected;
  const { keys, scope } = selected.value;
  let { total } = selected.value;
  const { rows, items } = await context.db.transaction().execute(async (trx) => {
    const found = await findingsCalled(trx, keys);
    if (withFixed) {
      const rest = limit - keys.length;
      const page = await fixedFindings(trx, {
        ...scope,
        limit: Math.max(rest, 1),
        offset: Math.max(0, offset - total),
      });
      if (rest > 0) found.push(...page);
      total += Number(page[0]?.total ?? 0);
    }
    return { rows: found, items: await present(trx, found) };
  });
  // What has gone since it was selected is not on the page, and counts as shown.
  const reached = offset + Math.max(rows.length, keys.length);
  return answer({ items, total, next: reached < total && reached > offset ? String(reached) : null });
}

async function present(trx: Transact, rows: readonly FindingRow[]): Promise<Finding[]> {
  const software = new Map(
    (await softwareOf(trx, [...new Set(rows.flatMap((row) => row.software))])).map((s) => [s.id, s]),
  );
  const assets = await assetRows(trx, [...new Set(rows.map((row) => row.asset_id))]);
  const assetOf = new Map(assets.map((asset) => [asset.id, asset]));
  const closing = rows.map((row) => closedBy(row, software, assetOf));
  const newest = await newestPatches(
    trx,
    closing.flatMap(({ patch }) => (patch === null ? [] : [patch.id])),
  );
  const dangers = await dangersOf(trx, [...new Set(rows.map((row) => row.vulnerability))]);
  return rows.map((row, i) => {
    const product = productOf(row.os, row.os_release);
    const facts = dangers.get(row.vulnerability);
    const danger = summariseDanger(
      facts?.scores ?? [],
      facts?.threats ?? [],
      isEcosystem(product.ecosystem) ? product.ecosystem : null,
    );
    const installed = row.software.flatMap((id) => software.get(id) ?? []);
    const { patch, missing } = closing[i] ?? { patch: null, missing: null };
    const mitigations =
      row.status === 'fixed'
        ? []
        : mitigationsFor(
            row,
            { os: row.os, osRelease: row.os_release },
            assetOf.get(row.asset_id)?.host?.mitigations,
          );
    return {
      asset_id: row.uid,
      hostname: row.hostname,
      vulnerability: row.vulnerability,
      title: row.title,
      status: row.status,
      status_reason:
        (row.status === 'mitigated' ? mitigatedSentence(mitigations) : row.reasons?.join(' ')) ?? null,
      package: row.package,
      installed: installed.map((one) => `${one.name} ${one.version}`),
      fix_state: fixStates.find((state) => state === row.fix_state) ?? 'unknown',
      fixed_version: row.fixed_version,
      patch:
        row.status === 'fixed' || patch === null ? null : patchAnswer(patch, newest.get(patch.id) ?? null),
      missing_patch: row.status === 'fixed' ? null : missing,
      mitigations,
      risk_score: vulnerabilityScore(danger).score,
      cvss: danger.score?.chosen.score.baseScore ?? null,
      cvss_scorer: danger.score?.chosen.score.scorer ?? null,
      danger_disagreements: [...danger.disagreements],
      exploit: danger.threat.maturity,
      epss: row.epss,
      exploited: row.exploited,
      ransomware: row.ransomware,
      first_seen_at: row.first_seen_at.toISOString(),
      fixed_at: row.fixed_at?.toISOString() ?? null,
      evidence: row.evidence,
    };
  });
}

/** The patch that closes a finding on its asset, or why there is none. */
function closedBy(
  row: FindingRow,
  software: ReadonlyMap<number, SoftwareRow>,
  assets: ReadonlyMap<number, AssetRow>,
) {
  const product = productOf(row.os, row.os_release);
  const asset = assets.get(row.asset_id);
  return correlate({
    product,
    package: row.package,
    fixState: row.fix_state,
    fixedVersion: row.fixed_version,
    channel: row.evidence.channel ?? null,
    rule: row.evidence.rule,
    ...(row.evidence.update === undefined ? {} : { update: row.evidence.update }),
    installed: row.software.flatMap((id) => software.get(id) ?? []),
    offered: offeredVersions(product.ecosystem, asset?.candidates ?? []),
    held: asset?.host?.held ?? [],
  });
}

const fixStates = ['available', 'none_yet', 'will_not_fix', 'end_of_life', 'deferred'] as const;
