import type { Static } from 'typebox';
import type { Explanation, ExplanationQuery } from '@fixpoint/contract/explanation.ts';
import { explain, type SoftwareThere } from '@fixpoint/core/finding/explain.ts';
import { productOf, productTitle } from '@fixpoint/core/knowledge/ecosystem.ts';
import { lookUp } from '@fixpoint/core/match/match.ts';
import { offeredVersions } from '@fixpoint/core/match/offered.ts';
import { assetRows, assetsByReference } from '../asset/commands.ts';
import type { Transact } from '../context.ts';
import { knownOf, vulnerabilityCalled, windowsKnowledge } from '../knowledge/commands.ts';
import { answer, refuse, type Answer } from '../refusal.ts';
import { patchAnswer } from './patch-answer.ts';
import { patchFacts } from '../patch/commands.ts';
import { softwareOf } from '../software/commands.ts';
import { mitigationSentences } from './mitigated.ts';
import { exposureOf, type Exposure } from './store.ts';

/** Tells why an asset has a vulnerability, or why it has not, from the facts as they are now. */
export async function explanation(
  trx: Transact,
  query: Static<typeof ExplanationQuery>,
): Promise<Answer<Explanation>> {
  const named = await assetsByReference(trx, [query.asset]);
  if (!named.ok) return named;
  const [asset] = await assetRows(
    trx,
    named.value.map((one) => one.id),
  );
  if (asset === undefined) {
    return refuse(404, 'asset_unknown', `there is no asset ${query.asset}`, 'name it by id or host name');
  }
  const called = await vulnerabilityCalled(trx, query.vulnerability);
  if (!called.ok) return called;
  const vulnerability = called.value ?? query.vulnerability;
  const product = productOf(asset.os, asset.os_release);
  const known = await knownOf(trx, product, vulnerability);
  const names = new Set(known.statements.map(({ statement }) => statement.package));
  const exposure = await exposureOf(trx, asset.id);
  const software = await softwareThere(trx, exposure, asset, names);
  const [nextKernel] = exposure.nextKernel === null ? [] : await softwareOf(trx, [exposure.nextKernel]);
  const told = explain({
    vulnerability,
    hostname: asset.hostname,
    product,
    productKnown: known.productKnown,
    vulnerabilityKnown: called.value !== null,
    statements: known.statements,
    withdrawals: known.withdrawals,
    software,
    offered: offeredVersions(product.ecosystem, asset.candidates),
    held: asset.host?.held ?? [],
    hasInventory: asset.host !== null,
    undetermined: exposure.undetermined,
    nextKernel: nextKernel ?? null,
    ...(product.ecosystem === 'windows'
      ? { updates: (await windowsKnowledge(trx, ...windowsNames(software))).graph }
      : {}),
  });
  const isThere = ['open', 'restart_pending', 'reboot_pending', 'undetermined'].includes(told.verdict);
  const packages = software.flatMap((one) => lookUp(product.ecosystem, one)?.package ?? []);
  const mitigations = mitigationSentences(
    vulnerability,
    isThere ? packages : [],
    { os: asset.os, osRelease: asset.os_release },
    asset.host?.mitigations,
  );
  const patches = told.software.flatMap(({ patch }) => (patch === null ? [] : [patch.id]));
  const facts = new Map(
    (patches.length === 0 ? [] : await patchFacts(trx, { ids: patches })).map((one) => [one.id, one]),
  );
  return answer({
    asset_id: asset.uid,
    hostname: asset.hostname,
    system: productTitle(product),
    vulnerability,
    verdict: told.verdict,
    sentence: told.sentence,
    facts: [...told.facts, ...mitigations.facts],
    software: told.software.map(({ missing, patch, ...one }) => ({
      ...one,
      patch: patch === null ? null : patchAnswer(patch, facts.get(patch.id)?.supersededBy ?? null),
      missing_patch: missing,
      also_fixes: (patch === null ? [] : (facts.get(patch.id)?.fixes ?? [])).filter(
        (id) => id !== vulnerability,
      ),
    })),
    changes: [...told.changes, ...mitigations.changes],
  });
}

/** The products and the installed updates of some software. */
function windowsNames(software: readonly SoftwareThere[]): [products: string[], updates: string[]] {
  return [
    [...new Set(software.map((one) => one.name))],
    [...new Set(software.flatMap((one) => one.updates ?? []))],
  ];
}

/** The software of an asset that statements of these names could be about: installed, or replaced and still there. */
async function softwareThere(
  trx: Transact,
  exposure: Exposure,
  asset: { readonly id: number; readonly software: readonly number[] },
  names: ReadonlySet<string>,
): Promise<SoftwareThere[]> {
  const inert = new Set(exposure.inert);
  const ids = [...asset.software, ...exposure.stale.map((one) => one.software)];
  const byId = new Map(
    (await softwareOf(trx, [...new Set(ids)]))
      .filter((row) => names.has(row.statement_source) || names.has(row.name))
      .map((row) => [row.id, row]),
  );
  return [
    ...asset.software.flatMap((id) => {
      const row = byId.get(id);
      return row === undefined
        ? []
        : [{ ...row, counts: inert.has(id) ? ('inert' as const) : ('installed' as const), reason: null }];
    }),
    ...exposure.stale.flatMap((stale) => {
      const row = byId.get(stale.software);
      return row === undefined ? [] : [{ ...row, counts: stale.kind, reason: stale.reason }];
    }),
  ];
}
