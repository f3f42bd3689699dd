import { setImmediate as nextTurn } from 'node:timers/promises';
import type { RemediationBand } from '@fixpoint/contract/remediation.ts';
import {
  closedHow,
  findingIntervals,
  remediatingReasons,
  type ExposedSpell,
} from '@fixpoint/core/finding/intervals.ts';
import type { FindingInterval } from '@fixpoint/core/finding/remediation-time.ts';
import { intersection } from '@fixpoint/core/posture/asset-set.ts';
import type { Carrying, FleetFinding, FleetReading } from '@fixpoint/core/posture/reading.ts';
import { dangerFact } from '@fixpoint/core/posture/select/danger-facts.ts';
import { compileOnRecords } from '@fixpoint/core/posture/select/plan-truth.ts';
import { findingRecord, pairFields } from '@fixpoint/core/posture/select/records.ts';
import type { Sliced } from '@fixpoint/core/posture/select/selection.ts';
import { plan, predicatesOf } from '@fixpoint/core/query/plan.ts';
import type { Query } from '@fixpoint/core/query/query.ts';
import type { ServerContext } from '../app.ts';
import { answer, refuse, type Answer, type Refusal } from '../refusal.ts';
import { readQuery } from '../search/query.ts';
import {
  acceptanceStarts,
  endedExposures,
  exposedWhenRetired,
  remediatedBefore,
  retiredAssets,
  type EndedExposure,
} from './store.ts';

/**
 * When the findings of a scope were open: those that are open now from the model of the fleet, those that ended from the
 * history, asset by asset in batches. Memory is bounded by the batch, not by the fleet or its history.
 *
 * The model is read before the history: what closes in between is in both, and counts as open once.
 */

export interface IntervalScope {
  readonly tag?: string | undefined;
  readonly query?: string | undefined;
  readonly severity?: RemediationBand | undefined;
}

export interface FoundInterval {
  readonly interval: FindingInterval;
  readonly band: RemediationBand;
}

export interface IntervalReading {
  assets: number;
  retired_assets: number;
  history_rows: number;
  not_judged: number;
}

/** What is done at most for one answer. */
export const remediationLimits = { seconds: 120, readers: 2 };

/** A batch is made larger or smaller so that it comes to about this many ended exposures. */
const rowsOfBatch = { few: 10_000, many: 50_000 };
const assetsOfBatch = { first: 250, most: 5_000 };
/** Findings between two yields: each takes a few microseconds. */
const slice = 500;

interface Reader {
  readonly context: ServerContext;
  readonly scope: IntervalScope;
  readonly query: Query | null;
  readonly now: number;
  /** What ended before this is not read. */
  readonly floor: number;
  /** Whether it matters that a finding was remediated before `floor`. */
  readonly reopened: boolean;
  readonly accepted: ReadonlyMap<string, number>;
  readonly reading: IntervalReading;
  readonly visit: (found: FoundInterval) => void;
}

let reading = 0;

/**
 * Does the reading of one answer, when not too many are being read. `until`, by `performance.now()`, is when all of it is to be
 * done, however often it visits.
 */
export async function asReader<Result>(
  work: (until: number) => Promise<Answer<Result>>,
  limits = remediationLimits,
): Promise<Answer<Result>> {
  if (reading >= limits.readers) {
    return refuse(
      429,
      'remediation_busy',
      'as many histories are being read as this server reads at once',
      'ask again in a minute',
    );
  }
  reading += 1;
  try {
    return await work(performance.now() + limits.seconds * 1000);
  } finally {
    reading -= 1;
  }
}

/**
 * Visits every interval of the scope that had not ended before `floor` (milliseconds since 1970), and tells what was read.
 * `reopened`: for intervals that follow a remediation before `floor` too.
 */
export async function visitIntervals(
  context: ServerContext,
  scope: IntervalScope,
  options: { readonly floor: number; readonly reopened: boolean; readonly until: number },
  visit: (found: FoundInterval) => void,
): Promise<Answer<IntervalReading>> {
  const query = scope.query === undefined ? null : readFindingQuery(scope.query);
  if (query !== null && !query.ok) return query;
  const { floor, reopened, until } = options;
  return await readAll(
    {
      context,
      scope,
      query: query?.value ?? null,
      now: context.clock.now().getTime(),
      accepted: await acceptanceStarts(context.db),
      reading: { assets: 0, retired_assets: 0, history_rows: 0, not_judged: 0 },
      visit,
      floor,
      reopened,
    },
    until,
  );
}

async function readAll(reader: Reader, until: number): Promise<Answer<IntervalReading>> {
  const { context, scope, floor } = reader;
  const fleet = await context.posture.fresh();
  const tagged = scope.tag === undefined ? null : fleet.tag(scope.tag);
  if (scope.tag !== undefined && tagged === null) {
    const name = scope.tag.slice(0, 63);
    return refuse(404, 'tag_unknown', `there is no tag ${name}`, 'list them: fixpoint tag list');
  }
  const { live } = fleet.assets;
  const assets = (tagged === null ? live : intersection(live, tagged.holds)).toUint32Array();
  reader.reading.assets = assets.length;

  let size = assetsOfBatch.first;
  const adapt = (rows: number): void => {
    if (rows < rowsOfBatch.few) size = Math.min(assetsOfBatch.most, size * 2);
    else if (rows > rowsOfBatch.many) size = Math.max(1, Math.ceil(size / 4));
  };
  for (let start = 0; start < assets.length;) {
    if (performance.now() > until) return tooMuch;
    const ids = [...assets.subarray(start, start + size)];
    start += ids.length;
    adapt(await readBatch(reader, ids, false));
  }
  // A retired asset is in no tag, and answers no query.
  if (scope.tag !== undefined || scope.query !== undefined) return answer(reader.reading);
  for (let after = 0; ;) {
    if (performance.now() > until) return tooMuch;
    const ids = await retiredAssets(context.db, after, floor, size);
    const last = ids.at(-1);
    if (last === undefined) return answer(reader.reading);
    after = last;
    reader.reading.retired_assets += ids.length;
    adapt(await readBatch(reader, ids, true));
  }
}

const tooMuch: Refusal = refuse(
  422,
  'too_much_history',
  `the history was not read within ${String(remediationLimits.seconds)} seconds`,
  'narrow it with a tag, or with a later beginning; ask for fewer tags',
);

/** When the software of one finding was exposed. */
interface Spells {
  readonly band: RemediationBand;
  readonly spells: ExposedSpell[];
  before: boolean;
}

type Key = Pick<EndedExposure, 'asset_id' | 'vulnerability' | 'ecosystem' | 'package'>;
const keyOf = ({ asset_id: asset, vulnerability, ecosystem, package: name }: Key): string =>
  `${String(asset)}\t${vulnerability}\t${ecosystem}\t${name}`;

/** Answers with how many rows were read. */
async function readBatch(reader: Reader, ids: readonly number[], retired: boolean): Promise<number> {
  const { context, floor, visit } = reader;
  const found = new Map<string, Spells>();
  const put = (key: string, band: RemediationBand, spell: ExposedSpell): void => {
    const known = found.get(key);
    if (known === undefined) found.set(key, { band, spells: [spell], before: false });
    else known.spells.push(spell);
  };
  let visited = 0;
  /** An asset may have thousands: others have their turn between them. */
  const turn = async (): Promise<void> => {
    if (++visited % (slice * 4) === 0) await nextTurn();
  };
  if (!retired)
    // Put apart from being read, since the model may begin this anew.
    for (const one of await context.posture.run((fleet) => openSpells(fleet, reader, ids))) {
      put(...one);
      await turn();
    }
  const rows: (EndedExposure | Omit<EndedExposure, 'reason'>)[] = await endedExposures(
    context.db,
    ids,
    floor,
  );
  if (retired) for (const row of await exposedWhenRetired(context.db, ids)) rows.push(row);
  if (rows.length > 0) {
    // Judged apart from being put, since the model may begin this anew.
    const judged = await context.posture.run((fleet) => endedSpells(fleet, reader, rows));
    for (const { row, band, spell } of judged.spells) put(keyOf(row), band, spell);
    reader.reading.not_judged += judged.notJudged;
  }
  if (reader.reopened && found.size > 0)
    for (const key of await remediatedBefore(context.db, ids, floor, remediatingReasons)) {
      const known = found.get(keyOf(key));
      if (known !== undefined) known.before = true;
    }
  for (const { band, spells, before } of found.values()) {
    for (const interval of findingIntervals(spells, before)) visit({ interval, band });
    await turn();
  }
  reader.reading.history_rows += rows.length;
  return rows.length;
}

type OpenSpell = [key: string, band: RemediationBand, spell: ExposedSpell];

function* openSpells(fleet: FleetReading, reader: Reader, ids: readonly number[]): Sliced<OpenSpell[]> {
  const matches = judge(fleet, reader);
  let work = 0;
  const list: OpenSpell[] = [];
  for (const asset of ids) {
    if (!fleet.assets.live.has(asset)) continue;
    for (const finding of fleet.findingsOf(asset)) {
      if (++work % slice === 0) yield;
      // Whether it is there at all is not known.
      if (finding.status === 'undetermined') continue;
      const band = bandOf(fleet, finding.pair.danger);
      if (!matches(finding, band)) continue;
      const { ecosystem, package: name } = finding.pair;
      const { id: vulnerability } = fleet.vulnerability(finding.pair.vulnerability);
      const openedAt = finding.firstSeenAt;
      const since = finding.acceptance === null ? undefined : reader.accepted.get(finding.acceptance);
      const closed = since === undefined ? null : { at: Math.max(openedAt, since), how: 'accepted' as const };
      const key = keyOf({ asset_id: asset, vulnerability, ecosystem, package: name });
      list.push([key, band, { openedAt, closed }]);
    }
  }
  return list;
}

interface Judged {
  readonly spells: {
    readonly row: Key;
    readonly band: RemediationBand;
    readonly spell: ExposedSpell;
  }[];
  readonly notJudged: number;
}

function* endedSpells(
  fleet: FleetReading,
  reader: Reader,
  rows: readonly (EndedExposure | Omit<EndedExposure, 'reason'>)[],
): Sliced<Judged> {
  const matches = judge(fleet, reader);
  const spells: Judged['spells'] = [];
  let [notJudged, work] = [0, 0];
  for (const row of rows) {
    if (++work % slice === 0) yield;
    const finding = pastFinding(fleet, row);
    if (finding === null && reader.query !== null) {
      notJudged += 1;
      continue;
    }
    const band =
      finding === null ? bandWithout(fleet, row.vulnerability) : bandOf(fleet, finding.pair.danger);
    if (!matches(finding, band)) continue;
    const how = 'reason' in row ? closedHow(row.reason) : 'asset_retired';
    spells.push({ row, band, spell: { openedAt: row.opened_at, closed: { at: row.closed_at, how } } });
  }
  return { spells, notJudged };
}

/** A finding that has ended, as far as a query may ask of it; null: its vulnerability is no longer known there. */
function pastFinding(fleet: FleetReading, row: Omit<EndedExposure, 'reason'>): FleetFinding | null {
  const vulnerability = fleet.vulnerabilityCalled(row.vulnerability);
  if (vulnerability === null) return null;
  for (const index of fleet.pairsOfVulnerability(vulnerability)) {
    const pair = fleet.pair(index);
    if (pair.package !== row.package || pair.ecosystem !== row.ecosystem) continue;
    const spokesman: Carrying | undefined =
      pair.carriers.find(({ software }) => software.id === row.software_id) ?? pair.carriers[0];
    if (spokesman === undefined) return null;
    return {
      asset: row.asset_id,
      pair,
      status: 'open',
      spokesman,
      software: [row.software_id],
      firstSeenAt: row.opened_at,
      reopened: false,
      acceptance: null,
    };
  }
  return null;
}

/** Whether a finding is in the scope. */
function judge(
  fleet: FleetReading,
  { query, scope, now }: Reader,
): (finding: FleetFinding | null, band: RemediationBand) => boolean {
  const test = query === null ? null : compileOnRecords(query, now, [...fleet.tags.definitions.keys()]);
  return (finding, band) => {
    if (scope.severity !== undefined && scope.severity !== band) return false;
    if (test === null) return true;
    return finding !== null && test(findingRecord(fleet, finding, now)) === true;
  };
}

const bands: ReadonlyMap<unknown, RemediationBand> = new Map(
  (['critical', 'high', 'medium', 'low', 'none'] as const).map((band) => [band, band]),
);

function bandOf(fleet: FleetReading, danger: number): RemediationBand {
  return bands.get(dangerFact(fleet.danger(danger), 'severity')) ?? 'unknown';
}

function bandWithout(fleet: FleetReading, id: string): RemediationBand {
  const vulnerability = fleet.vulnerabilityCalled(id);
  if (vulnerability === null) return 'unknown';
  return bands.get(dangerFact(fleet.dangerOf(vulnerability), 'severity')) ?? 'unknown';
}

/** A query over findings that can be answered of ended ones too. */
export function readFindingQuery(text: string): Answer<Query> {
  const read = readQuery(text, 'finding');
  if (!read.ok) return read;
  for (const { scope, field } of predicatesOf(plan(read.value.query).root)) {
    if (scope !== 'patch' && (scope !== 'finding' || pairFields.has(field))) continue;
    return refuse(
      400,
      'query_of_open_findings',
      `${scope === 'patch' ? `patch.${field}` : field} is not known of findings that have ended`,
      'ask of the asset, the vulnerability or the package, such as asset.os, severity or package.name',
    );
  }
  return answer(read.value.query);
}
