import type { AcceptancePreview } from '@fixpoint/contract/acceptance.ts';
import { coverages, firstFindings, riskTaken } from '@fixpoint/core/posture/acceptance-coverage.ts';
import { readAcceptanceScope, scopeTags } from '@fixpoint/core/posture/acceptance-scope.ts';
import type { FleetReading } from '@fixpoint/core/posture/reading.ts';
import { assetTruths } from '@fixpoint/core/posture/select/asset-truths.ts';
import type { Sliced } from '@fixpoint/core/posture/select/selection.ts';
import { explain } from '@fixpoint/core/query/explain.ts';
import type { Query } from '@fixpoint/core/query/query.ts';
import type { ServerContext } from '../app.ts';
import { answer, type Answer, type Refusal } from '../refusal.ts';
import { asOf } from '../search/posture-state.ts';
import { counted, findingView } from './view.ts';

const firstListed = 20;

/** A scope that an acceptance may have, or the refusal with its place. */
export function checkedScope(fleet: Pick<FleetReading, 'tags'>, text: string): Answer<Query> {
  const read = readAcceptanceScope(text, scopeTags(fleet.tags));
  if (read.ok) return answer(read.query);
  const { code, message, at, length } = read;
  const refusal: Refusal = {
    ok: false,
    status: 400,
    code,
    message,
    whatToDo: read.what_to_do,
    problems: [
      {
        path: '/scope',
        message,
        at,
        length,
        suggestions: [...read.suggestions],
        ...('expected' in read ? { expected: [...read.expected] } : {}),
      },
    ],
  };
  return refusal;
}

/** What would be accepted now. */
export async function previewAcceptance(
  context: Pick<ServerContext, 'posture' | 'clock'>,
  scope: string,
): Promise<Answer<AcceptancePreview>> {
  const checked = checkedScope(await context.posture.fresh(), scope);
  if (!checked.ok) return checked;
  const now = context.clock.now().getTime();
  const preview = await context.posture.run((fleet) => previewed(fleet, scope, explain(checked.value), now));
  return answer({ ...preview, as_of: asOf(context.posture) });
}

function* previewed(
  fleet: FleetReading,
  scope: string,
  words: string,
  now: number,
): Sliced<Omit<AcceptancePreview, 'as_of'>> {
  const coverage = (yield* coverages(fleet, assetTruths, [{ id: 'preview', scope }], now)).get('preview');
  if (coverage === undefined) throw new Error('a scope that was asked for has no coverage');
  const risk = yield* riskTaken(fleet, coverage);
  const { findings, assets, exploited, notAccepted } = coverage;
  const warnings: string[] = [];
  if (exploited > 0)
    warnings.push(
      `${counted(exploited, 'finding')} of it ${exploited === 1 ? 'is' : 'are'} of vulnerabilities that are known to be attacked now.`,
    );
  if (findings === 0)
    warnings.push('Nothing is covered now; what comes later and fits will be accepted unseen.');
  const share = fleet.assets.live.size === 0 ? 0 : assets.size / fleet.assets.live.size;
  if (share > 0.5 && fleet.assets.live.size >= 10)
    warnings.push(`It reaches ${(share * 100).toFixed(0)} % of all assets.`);
  return {
    words,
    findings,
    assets: assets.size,
    exploited,
    accepted_already: findings - notAccepted,
    risk: { now: risk.now, shown_after: risk.accepted, sampled_assets: risk.sampled },
    warnings,
    first: firstFindings(fleet, coverage, firstListed).map((finding) => findingView(fleet, finding)),
  };
}
