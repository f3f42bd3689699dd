import type { Mitigation, MitigationView } from '@fixpoint/contract/mitigation.ts';
import { mitigationPatchId } from '@fixpoint/core/mitigation/mitigation.ts';
import type { Context } from '../context.ts';
import { assetsByMitigation } from '../finding/mitigated.ts';
import { answer, refuse, type Answer } from '../refusal.ts';
import { catalogue, type CatalogueEntry } from './catalogue.ts';

/** Mitigations of the catalogue by their ids; ids that are not known are missing from the answer. */
export function mitigationsById(ids: readonly string[]): Mitigation[] {
  return ids.flatMap((id) => catalogue().get(id)?.mitigation ?? []);
}

function view({ mitigation, digest }: CatalogueEntry, assets: ReadonlyMap<string, number>): MitigationView {
  return {
    ...mitigation,
    patch_id: mitigationPatchId(mitigation.id),
    digest,
    assets: assets.get(`${mitigation.id}@${digest}`) ?? 0,
  };
}

/** The catalogue by id; of one vulnerability only when it is named. It is small, so `after` is the id of the last one before. */
export async function listMitigations(
  context: Pick<Context, 'db'>,
  query: {
    readonly limit?: number | undefined;
    readonly after?: string | undefined;
    readonly vulnerability?: string | undefined;
  },
): Promise<Answer<{ items: MitigationView[]; total: number; next: string | null }>> {
  const { vulnerability, after, limit = 100 } = query;
  const all = [...catalogue().values()].filter(
    ({ mitigation }) =>
      vulnerability === undefined || mitigation.mitigates.some((one) => one.vulnerability === vulnerability),
  );
  const rest = after === undefined ? all : all.filter(({ mitigation }) => mitigation.id > after);
  const page = rest.slice(0, limit);
  const assets = await context.db.transaction().execute(assetsByMitigation);
  const last = page.at(-1);
  return answer({
    items: page.map((entry) => view(entry, assets)),
    total: all.length,
    next: rest.length > page.length && last !== undefined ? last.mitigation.id : null,
  });
}

export async function mitigationDetail(
  context: Pick<Context, 'db'>,
  id: string,
): Promise<Answer<MitigationView>> {
  const entry = catalogue().get(id);
  if (entry === undefined) {
    return refuse(
      404,
      'mitigation_unknown',
      `there is no mitigation ${id}`,
      'see which there are with: fixpoint mitigation list',
    );
  }
  return answer(view(entry, await context.db.transaction().execute(assetsByMitigation)));
}
