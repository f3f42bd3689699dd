import type { InstalledPackage } from '@fixpoint/core/inventory/inventory.ts';
import type { Decision } from '@fixpoint/core/knowledge/decision.ts';
import { evidenceOf } from '@fixpoint/core/match/evidence.ts';
import { isKernelImage } from '@fixpoint/core/match/kernel.ts';
import { concerns, indexDecisions, lookUp, type DecisionIndex } from '@fixpoint/core/match/match.ts';
import { windowsVerdicts } from '@fixpoint/core/match/windows-evidence.ts';
import type { SupersedenceGraph } from '@fixpoint/core/match/windows-updates.ts';
import type { Context, Transact } from '../context.ts';
import { decisionsFor, keepKnowledge, windowsKnowledge, type Product } from '../knowledge/commands.ts';
import {
  addSoftware,
  findSoftware,
  knownSourceVersion,
  removeVerdicts,
  saveVerdicts,
  softwareByIds,
  softwareNamed,
  verdictsOf,
  type PackageToIntern,
  type SoftwareRow,
  type VerdictRow,
} from './store.ts';

export type { SoftwareRow } from './store.ts';

/** A verdict that appeared or went because knowledge changed. */
export interface VerdictChange {
  readonly softwareId: number;
  readonly vulnerability: string;
}

/** What is known of some software: how to judge it depends on the ecosystem. */
type Knowledge =
  | {
      readonly ecosystem: 'windows';
      readonly decisions: readonly Decision[];
      readonly graph: SupersedenceGraph;
    }
  | { readonly ecosystem: null; readonly index: DecisionIndex };

function verdictRows(software: readonly SoftwareRow[], knowledge: Knowledge): VerdictRow[] {
  return knowledge.ecosystem === 'windows'
    ? windowsRows(software, knowledge.decisions, knowledge.graph)
    : packageRows(software, knowledge.index);
}

function windowsRows(
  software: readonly SoftwareRow[],
  decisions: readonly Decision[],
  graph: SupersedenceGraph,
): VerdictRow[] {
  const byProduct = Map.groupBy(decisions, (decision) => decision.package);
  return software.flatMap((one) =>
    windowsVerdicts(one, byProduct.get(one.name) ?? [], graph).flatMap(({ kind, decision, evidence }) =>
      kind === 'vulnerable' || kind === 'undetermined'
        ? [
            {
              software_id: one.id,
              vulnerability: decision.vulnerability,
              verdict: kind,
              fix_state: decision.fixState,
              fixed_version: decision.fixedVersion,
              evidence,
            },
          ]
        : [],
    ),
  );
}

function packageRows(software: readonly SoftwareRow[], index: DecisionIndex): VerdictRow[] {
  const rows: VerdictRow[] = [];
  for (const one of software) {
    for (const verdict of concerns(one, index)) {
      if (verdict.kind !== 'vulnerable' && verdict.kind !== 'undetermined') continue;
      rows.push({
        software_id: one.id,
        vulnerability: verdict.decision.vulnerability,
        verdict: verdict.kind,
        fix_state: verdict.decision.fixState,
        fixed_version: verdict.branch?.fixedVersion ?? verdict.decision.fixedVersion,
        evidence: evidenceOf(one, verdict),
      });
    }
  }
  return rows;
}

/** What is stored of a package beside what its host reported. */
function derived(ecosystem: string, p: PackageToIntern) {
  const target = lookUp(ecosystem, p);
  return {
    package: target?.package ?? p.source,
    statement_source: target?.source ?? p.source,
    kernel: isKernelImage(p),
  };
}

/** The decisions that concern this software, by what it was built from and by its own name. */
async function decisionsAbout(
  trx: Transact,
  product: Product,
  software: readonly SoftwareRow[],
  vulnerabilities: readonly string[] | null = null,
): Promise<Knowledge> {
  if (product.ecosystem === 'windows') {
    // Which update contains which follows from all that is known of a product, so it is always judged as a whole.
    const products = [...new Set(software.map((one) => one.name))];
    const installed = [...new Set(software.flatMap((one) => one.updates ?? []))];
    return { ecosystem: 'windows', ...(await windowsKnowledge(trx, products, installed)) };
  }
  const names = {
    sources: [...new Set(software.map((one) => one.statement_source))],
    binaries: [...new Set(software.map((one) => one.name))],
  };
  return { ecosystem: null, index: indexDecisions(await decisionsFor(trx, product, names, vulnerabilities)) };
}

/**
 * The ids of packages as software, parallel to `packages`. What no host had before is matched on the way: each distinct
 * software once, whatever the number of hosts that have it.
 */
export async function internSoftware(
  trx: Transact,
  context: Context,
  product: Product,
  packages: readonly PackageToIntern[],
): Promise<number[]> {
  let ids = await findSoftware(trx, product, packages);
  const missing = packages.filter((_, i) => ids[i] === null);
  if (missing.length > 0) {
    await keepKnowledge(trx);
    const now = context.clock.now();
    const added = await addSoftware(
      trx,
      product,
      missing.map((p) => ({ ...p, ...derived(product.ecosystem, p) })),
      now,
    );
    const knowledge = await decisionsAbout(trx, product, added);
    await saveVerdicts(trx, verdictRows(added, knowledge), now);
    ids = await findSoftware(trx, product, packages);
  }
  return ids.map((id, i) => {
    if (id === null) throw new Error(`software ${packages[i]?.name ?? '?'} was added and is not there`);
    return id;
  });
}

/**
 * Matches all known software of these packages (sources, or installed ones) again, after what is known of them has changed.
 */
export async function rematch(
  trx: Transact,
  context: Context,
  product: Product,
  packages: readonly string[],
  /** Only what is said of these vulnerabilities has changed, named by all their names; null: of any. */
  vulnerabilities: readonly string[] | null,
): Promise<{ opened: VerdictChange[]; gone: VerdictChange[] }> {
  const software = await softwareNamed(trx, product, packages);
  if (software.length === 0) return { opened: [], gone: [] };
  // Of each software everything that is said, not just of the names that changed: the rest of its verdicts stays.
  // On Windows a new update changes what others contain.
  const only = product.ecosystem === 'windows' ? null : vulnerabilities;
  const knowledge = await decisionsAbout(trx, product, software, only);
  const before = new Map<string, VerdictRow>();
  for (const row of await verdictsOf(
    trx,
    software.map((one) => one.id),
    only,
  )) {
    before.set(`${row.software_id}\t${row.vulnerability}`, row);
  }
  const opened: VerdictChange[] = [];
  const changed: VerdictRow[] = [];
  for (const row of verdictRows(software, knowledge)) {
    const key = `${row.software_id}\t${row.vulnerability}`;
    const earlier = before.get(key);
    before.delete(key);
    if (earlier === undefined) opened.push({ softwareId: row.software_id, vulnerability: row.vulnerability });
    else if (sameVerdict(earlier, row)) continue;
    else if (earlier.verdict === 'undetermined' && row.verdict === 'vulnerable') {
      opened.push({ softwareId: row.software_id, vulnerability: row.vulnerability });
    }
    changed.push(row);
  }
  const gone = [...before.values()].map((row) => ({
    softwareId: row.software_id,
    vulnerability: row.vulnerability,
  }));
  await saveVerdicts(trx, changed, context.clock.now());
  return { opened, gone };
}

/** Drops verdicts that {@link rematch} found gone, once their findings have been written to history. */
export async function dropVerdicts(trx: Transact, gone: readonly VerdictChange[]): Promise<void> {
  await removeVerdicts(
    trx,
    gone.map((one) => ({ software_id: one.softwareId, vulnerability: one.vulnerability })),
  );
}

function sameVerdict(a: VerdictRow, b: VerdictRow): boolean {
  return (
    a.verdict === b.verdict &&
    a.fix_state === b.fix_state &&
    a.fixed_version === b.fixed_version &&
    a.evidence.sentence === b.evidence.sentence &&
    a.evidence.advisory === b.evidence.advisory &&
    a.evidence.note === b.evidence.note &&
    a.evidence.update?.id === b.evidence.update?.id &&
    a.evidence.disagreements.join('\n') === b.evidence.disagreements.join('\n')
  );
}

/** A software as the hosts that have it reported it. */
export function installedPackage(row: SoftwareRow): InstalledPackage {
  const { name, arch, version, source, source_version, origin, vendor, module, updates } = row;
  return {
    name,
    arch,
    version,
    source,
    source_version,
    ...(origin === undefined ? {} : { origin }),
    ...(vendor === undefined ? {} : { vendor }),
    ...(module === undefined ? {} : { module }),
    ...(updates === undefined ? {} : { updates }),
  };
}

export async function softwareOf(trx: Transact, ids: readonly number[]): Promise<(SoftwareRow & Product)[]> {
  return ids.length === 0 ? [] : softwareByIds(trx, ids);
}

/** What an earlier version of a package was built from, if some host has shown it. */
export async function sourceVersionOf(
  trx: Transact,
  product: Product,
  p: { name: string; arch: string; version: string },
): Promise<{ source: string; source_version: string } | null> {
  return knownSourceVersion(trx, product, p);
}
