import { addAll, assetSet, type AssetSet, type ReadonlyAssetSet } from '@fixpoint/core/posture/asset-set.ts';
import type { FleetReading } from '@fixpoint/core/posture/reading.ts';
import {
  selectAssets,
  selectFindings,
  selectPatches,
  selectVulnerabilities,
} from '@fixpoint/core/posture/select/select.ts';
import type { Sliced } from '@fixpoint/core/posture/select/selection.ts';
import type { Query } from '@fixpoint/core/query/query.ts';
import type { ServerContext } from '../app.ts';
import type { Context } from '../context.ts';
import { answer, refuse, type Answer } from '../refusal.ts';
import { savedQuery } from './definition.ts';
import { findReport, type ReportRow } from './store.ts';

/** What a report comes to at this moment, for whatever acts by it. All of it is the caller's own, and stays as it is. */
export interface Evaluation {
  readonly report: ReportRow;
  readonly asOf: Date;
  /** Number of items of the report's subject. */
  readonly items: number;
  /** Assets that the items are about: of a vulnerability or patch those that have an open finding of it. */
  readonly assets: AssetSet;
  /** Sum of the risks of the assets; null for reports on vulnerabilities and patches. */
  readonly risk: number | null;
  /** The findings selected, by vulnerability and package, each with its assets; null for reports on other subjects. */
  readonly findings: readonly EvaluatedFindings[] | null;
  /** Ids of the vulnerabilities or patches selected; null for reports on other subjects. */
  readonly ids: readonly string[] | null;
}

export interface EvaluatedFindings {
  readonly vulnerability: string;
  readonly ecosystem: string;
  readonly package: string;
  readonly assets: AssetSet;
}

type Result = Pick<Evaluation, 'items' | 'assets' | 'risk' | 'findings' | 'ids'>;

const stepsInSlice = 50;
const assetsInSlice = 20_000;

/**
 * Evaluates a report on the fleet as it is now: the one function that a job with this report as its criteria goes by.
 * Whoever calls it has made sure that the report may be used. Refused when the report is unknown or archived, or when its
 * query cannot be read any more: never as if nothing were selected.
 */
export async function evaluateReport(
  context: Pick<ServerContext, 'db' | 'clock' | 'posture'>,
  id: string,
): Promise<Answer<Evaluation>> {
  const report = await findReport(context.db, id);
  if (report === null) {
    return refuse(404, 'report_unknown', `there is no report ${id}`, 'list them: fixpoint report list');
  }
  if (report.archived_at !== null) {
    return refuse(409, 'report_archived', `the report ${report.name} is archived`, 'use another report');
  }
  return await evaluate(context, report);
}

export async function evaluate(
  context: Pick<ServerContext, 'posture'> & Pick<Context, 'clock'>,
  report: ReportRow,
): Promise<Answer<Evaluation>> {
  const query = savedQuery(report);
  if (!query.ok) return query;
  const asOf = context.clock.now();
  const result = await context.posture.run((fleet) => evaluated(fleet, query.value, asOf.getTime()));
  return answer({ report, asOf, ...result });
}

/** The same, without a server. `now` is in milliseconds since 1970. */
export function* evaluated(fleet: FleetReading, query: Query, now: number): Sliced<Result> {
  const none = { risk: null, findings: null, ids: null };
  switch (query.subject) {
    case 'asset': {
      const assets = yield* selectAssets(fleet, query, now);
      return { ...none, items: assets.size, assets, risk: yield* riskOf(fleet, assets) };
    }
    case 'finding': {
      const { total, byPair } = yield* selectFindings(fleet, query, now);
      const assets = assetSet();
      const findings: EvaluatedFindings[] = [];
      for (const [index, those] of byPair) {
        const { vulnerability, ecosystem, package: name } = fleet.pair(index);
        addAll(assets, those);
        findings.push({
          vulnerability: fleet.vulnerability(vulnerability).id,
          ecosystem,
          package: name,
          assets: those.clone(),
        });
        if (findings.length % stepsInSlice === 0) yield;
      }
      return { ...none, items: total, assets, findings, risk: yield* riskOf(fleet, assets) };
    }
    case 'vulnerability': {
      const found = yield* selectVulnerabilities(fleet, query, now);
      const assets = assetSet();
      for (const [step, index] of found.entries()) {
        for (const pair of fleet.pairsOfVulnerability(index)) addOpen(fleet, pair, assets);
        if (step % stepsInSlice === stepsInSlice - 1) yield;
      }
      const ids = found.map((index) => fleet.vulnerability(index).id);
      return { ...none, items: found.length, assets, ids };
    }
    case 'patch': {
      const patches = yield* selectPatches(fleet, query, now);
      const assets = assetSet();
      for (const patch of patches) {
        yield* patch.measure();
        addAll(assets, patch.assets());
      }
      return { ...none, items: patches.length, assets, ids: patches.map((patch) => patch.id) };
    }
    default:
      return query.subject satisfies never;
  }
}

const openStatuses = ['open', 'restart_pending', 'reboot_pending'] as const;

function addOpen(fleet: FleetReading, pair: number, to: AssetSet): void {
  const byStatus = fleet.byStatus(pair);
  for (const status of openStatuses) {
    const assets = byStatus.get(status);
    if (assets !== undefined) addAll(to, assets);
  }
}

function* riskOf(fleet: FleetReading, assets: ReadonlyAssetSet): Sliced<number> {
  let sum = 0;
  let left = assetsInSlice;
  for (const asset of assets) {
    sum += fleet.risk(asset);
    left -= 1;
    if (left > 0) continue;
    left = assetsInSlice;
    yield;
  }
  return sum;
}
