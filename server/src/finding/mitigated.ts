import type { BlockingMitigation } from '@fixpoint/core/posture/facts.ts';
import type { ReportedMitigation } from '@fixpoint/core/inventory/inventory.ts';
import { ecosystems, isEcosystem, productOf } from '@fixpoint/core/knowledge/ecosystem.ts';
import { effectOn } from '@fixpoint/core/mitigation/applicability.ts';
import { sql, type RawBuilder } from 'kysely';
import type { FindingMitigation } from '@fixpoint/contract/finding.ts';
import type { Transact } from '../context.ts';
import { catalogue } from '../mitigation/catalogue.ts';

/** Which findings a mitigation bears on: what the catalogue says, of what the assets report as applied. */

/** Names one edition of a mitigation, as asset_exposure keeps those in force. */
const keyOf = (id: string, digest: string): string => `${id}@${digest}`;

/** Those of a host that are in force, sorted. An edition that the catalogue does not have (any more) blocks nothing. */
export function keysInForce(reported: readonly ReportedMitigation[] | undefined): string[] {
  return (reported ?? [])
    .filter((one) => one.state === 'applied')
    .map((one) => keyOf(one.id, one.digest))
    .sort();
}

/** Stands for every release in {@link blocked}; no release is called so. */
const everyRelease = '*';

/** Every finding that a mitigation blocks, as edition, vulnerability, system, release and package in one text. */
let blockedTexts: readonly string[] | null = null;

function blocked(): readonly string[] {
  blockedTexts ??= [...catalogue().values()].flatMap(({ mitigation, digest }) =>
    mitigation.applies_to.flatMap(({ ecosystem, releases, packages }) =>
      mitigation.mitigates
        .filter((one) => one.effect === 'blocks')
        .flatMap(({ vulnerability }) =>
          systemsOf(ecosystem).flatMap((os) =>
            (releases.length === 0 ? [everyRelease] : releases).flatMap((release) =>
              packages.map((name) =>
                [keyOf(mitigation.id, digest), vulnerability, os, release, name].join(' '),
              ),
            ),
          ),
        ),
    ),
  );
  return blockedTexts;
}

/** What mitigations block, for the read model: the same as {@link isMitigated} says in SQL. */
export function blockingMitigations(): BlockingMitigation[] {
  return [...catalogue().values()].flatMap(({ mitigation, digest }) =>
    mitigation.applies_to.flatMap(({ ecosystem, releases, packages }) =>
      mitigation.mitigates
        .filter((one) => one.effect === 'blocks')
        .flatMap(({ vulnerability }) =>
          (releases.length === 0 ? [null] : releases).flatMap((release) =>
            packages.map((name) => ({
              key: keyOf(mitigation.id, digest),
              vulnerability,
              ecosystem,
              release,
              package: name,
            })),
          ),
        ),
    ),
  );
}

/** What the assets of an ecosystem call their system: ID in os-release(5), of which openSUSE has two. */
function systemsOf(ecosystem: string): string[] {
  const own = isEcosystem(ecosystem) ? ecosystems[ecosystem].os : ecosystem;
  return [own, 'opensuse-tumbleweed'].filter((os) => productOf(os, '').ecosystem === ecosystem);
}

/** SQL: the release that {@link productOf} answers for `x.os` and `x.os_release`; a test holds the two together. */
export function productRelease(): RawBuilder<string> {
  return sql<string>`case
    when x.os in ('almalinux', 'rocky', 'rhel') then split_part(x.os_release, '.', 1)
    when x.os in ('wolfi', 'windows', 'opensuse-tumbleweed') then ''
    when x.os <> 'alpine' then x.os_release
    when strpos(x.os_release, '_alpha') > 0 then 'edge'
    else array_to_string((string_to_array(x.os_release, '.'))[1:2], '.') end`;
}

/**
 * SQL: whether a mitigation in force blocks this vulnerability on this asset. Reads `x.mitigations`, `x.os`, `x.os_release`,
 * `v.vulnerability`, `s.package`. Assets without mitigations, which is nearly all, cost one comparison; PostgreSQL hashes
 * the list for the others. Answers as {@link blockedBy} does.
 */
export function isMitigated(): RawBuilder<unknown> {
  return sql`(x.mitigations <> '{}' and exists (
    select from unnest(x.mitigations) as m(key)
      cross join lateral (values (${everyRelease}), (${productRelease()})) as r(release)
    where m.key || ' ' || v.vulnerability || ' ' || x.os || ' ' || r.release || ' ' || s.package
      = any(${blocked()}::text[])))`;
}

/** The same for one asset, outside of SQL. */
export function blockedBy(
  keys: readonly string[],
  os: string,
  osRelease: string,
): (vulnerability: string, name: string) => boolean {
  const inForce = [...catalogue().values()].filter(({ mitigation, digest }) =>
    keys.includes(keyOf(mitigation.id, digest)),
  );
  const product = productOf(os, osRelease);
  return (vulnerability, name) =>
    inForce.some(
      ({ mitigation }) =>
        effectOn(mitigation, { vulnerability, package: name }, product)?.effect === 'blocks',
    );
}

/** What is known against a finding besides a patch, with how it stands on the asset; `blocks` first. */
export function mitigationsFor(
  finding: { readonly vulnerability: string; readonly package: string },
  system: { readonly os: string; readonly osRelease: string },
  reported: readonly ReportedMitigation[] | undefined,
): FindingMitigation[] {
  const product = productOf(system.os, system.osRelease);
  const known = [...catalogue().values()].flatMap(({ mitigation, digest }): FindingMitigation[] => {
    const about = effectOn(mitigation, finding, product);
    if (about === null) return [];
    const now = reported?.find((one) => one.id === mitigation.id && one.digest === digest);
    return [
      {
        id: mitigation.id,
        title: mitigation.title,
        effect: about.effect,
        condition: about.condition,
        state: now?.state ?? null,
      },
    ];
  });
  return known.sort((a, b) => (a.effect < b.effect ? -1 : a.effect > b.effect ? 1 : a.id < b.id ? -1 : 1));
}

/** Why a finding counts as mitigated; null when it does not. */
export function mitigatedSentence(known: readonly FindingMitigation[]): string | null {
  const ids = known.filter((one) => one.effect === 'blocks' && one.state === 'applied').map((one) => one.id);
  if (ids.length === 0) return null;
  return `While ${ids.join(', ')} is applied it cannot be used; the software itself is not fixed.`;
}

/** For an explanation: what is in force against a vulnerability in these packages, and what could be. */
export function mitigationSentences(
  vulnerability: string,
  packages: readonly string[],
  system: { readonly os: string; readonly osRelease: string },
  reported: readonly ReportedMitigation[] | undefined,
): { facts: string[]; changes: string[] } {
  const facts = new Set<string>();
  const changes = new Set<string>();
  for (const name of packages) {
    for (const one of mitigationsFor({ vulnerability, package: name }, system, reported)) {
      if (one.state === 'applied') {
        facts.add(
          `The mitigation ${one.id} is in force and ${one.effect} it; the software is not fixed. ${one.condition}`,
        );
      } else changes.add(`The mitigation ${one.id} ${one.effect} it while it is applied: ${one.title}.`);
    }
  }
  return { facts: [...facts], changes: [...changes] };
}

/** On how many assets each edition is in force. */
export async function assetsByMitigation(trx: Transact): Promise<Map<string, number>> {
  const { rows } = await sql<{ key: string; assets: number }>`
    select m.key, count(*)::integer as assets
    from asset_exposure e join asset a on a.id = e.asset_id and a.retired_at is null
      cross join lateral unnest(e.mitigations) as m(key)
    group by m.key`.execute(trx);
  return new Map(rows.map((row) => [row.key, row.assets]));
}
