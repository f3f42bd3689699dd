import type { Static } from 'typebox';
import type { Patch, PatchQuery } from '@fixpoint/contract/finding.ts';
import { productOf, schemeOf } from '@fixpoint/core/knowledge/ecosystem.ts';
import { parsePatchId } from '@fixpoint/core/knowledge/patch.ts';
import { offeredVersions } from '@fixpoint/core/match/offered.ts';
import { compareVersions } from '@fixpoint/core/version/version.ts';
import { assetRows, assetsByReference } from '../asset/commands.ts';
import type { Transact } from '../context.ts';
import { readOffset } from '../cursor.ts';
import { fixable } from '../finding/commands.ts';
import { answer, refuse, type Answer } from '../refusal.ts';
import { patchFacts, type PatchFacts } from './commands.ts';

export interface PatchPage {
  readonly items: Patch[];
  readonly total: number;
  readonly next: string | null;
}

type Fixable = Awaited<ReturnType<typeof fixable>>[number];

function view(facts: PatchFacts, open: readonly Fixable[]): Patch {
  const scheme = schemeOf(facts.ecosystem);
  const closes = open.filter((f) => {
    const product = productOf(f.os, f.os_release);
    const order = compareVersions(scheme, f.fixed_version, facts.version);
    return (
      product.ecosystem === facts.ecosystem &&
      product.release === facts.release &&
      f.package === facts.package &&
      // an update is not one of a row of versions: what it is to close is said by the finding
      (facts.ecosystem === 'windows'
        ? f.fixed_version === facts.version
        : order === 'less' || order === 'equal')
    );
  });
  return {
    id: facts.id,
    ecosystem: facts.ecosystem,
    release: facts.release,
    package: facts.package,
    version: facts.version,
    known_since: facts.known_since.toISOString(),
    offered_since: facts.offered_since?.toISOString() ?? null,
    fixes: [...facts.fixes],
    supersedes: [...facts.supersedes],
    superseded_by: facts.supersededBy,
    assets: new Set(closes.map((f) => f.asset_id)).size,
    findings: closes.length,
  };
}

/**
 * Patches, those that close most findings first. Without a filter only patches that close something now are listed and
 * that nothing supersedes; with `package` all of that package.
 */
export async function listPatches(
  trx: Transact,
  query: Static<typeof PatchQuery>,
): Promise<Answer<PatchPage>> {
  const cursor = readOffset(query.after);
  if (!cursor.ok) return cursor;
  const { offset } = cursor;
  let assetIds: number[] | undefined;
  if (query.asset !== undefined) {
    const assets = await assetsByReference(trx, [query.asset]);
    if (!assets.ok) return assets;
    assetIds = assets.value.map((asset) => asset.id);
  }
  const open = await fixable(trx, {
    ...(assetIds === undefined ? {} : { assetIds }),
    ...(query.package === undefined ? {} : { package: query.package }),
  });
  const openByPackage = Map.groupBy(open, (f) => f.package);
  const packages = query.package === undefined ? [...openByPackage.keys()] : [query.package];
  const all = await patchFacts(trx, { packages });
  const offeredHere =
    assetIds === undefined
      ? null
      : (await assetRows(trx, assetIds)).flatMap((asset) =>
          offeredVersions(productOf(asset.os, asset.os_release).ecosystem, asset.candidates),
        );
  const items = all
    .map((facts) => view(facts, openByPackage.get(facts.package) ?? []))
    .filter((patch) => query.package !== undefined || (patch.findings > 0 && patch.superseded_by === null))
    .filter(
      (patch) =>
        offeredHere === null ||
        patch.superseded_by === null ||
        offeredHere.some((o) => o.package === patch.package && o.version === patch.version),
    )
    .sort((a, b) => b.findings - a.findings || (a.id < b.id ? -1 : 1));
  const limit = query.limit ?? 100;
  const next = offset + limit < items.length ? String(offset + limit) : null;
  return answer({ items: items.slice(offset, offset + limit), total: items.length, next });
}

export async function patchDetail(trx: Transact, id: string): Promise<Answer<Patch>> {
  const parsed = parsePatchId(id);
  if (parsed === null) {
    return refuse(
      400,
      'bad_patch_id',
      `“${id}” is not the id of a patch`,
      'an id looks like debian:12/openssl@3.0.22-1~deb12u2',
    );
  }
  const [facts] = await patchFacts(trx, { ids: [id] });
  if (facts === undefined) {
    return refuse(
      404,
      'patch_not_found',
      `no patch ${id} is known`,
      `see \`fixpoint patch list --package ${parsed.package}\``,
    );
  }
  return answer(view(facts, await fixable(trx, { package: facts.package })));
}
