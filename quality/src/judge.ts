import { decideAll, type Decision } from '@fixpoint/core/knowledge/decision.ts';
import { productOf, productTitle } from '@fixpoint/core/knowledge/ecosystem.ts';
import { evidenceOf } from '@fixpoint/core/match/evidence.ts';
import {
  kernelExposure,
  statusOf,
  type ExposureKind,
  type InstalledSoftware,
} from '@fixpoint/core/finding/exposure.ts';
import type { HostFacts } from '@fixpoint/core/inventory/inventory.ts';
import { isKernelImage, kernelStatementSource } from '@fixpoint/core/match/kernel.ts';
import {
  indexDecisions,
  isMatchable,
  matchSoftware,
  type DecisionIndex,
  type VerdictKind,
} from '@fixpoint/core/match/match.ts';
import { supersedenceOf } from '@fixpoint/core/match/windows-updates.ts';
import { matchWindows } from '@fixpoint/core/match/windows.ts';
import type { Case, CaseVerdict, System } from './case.ts';
import { readInstalled } from './installed.ts';
import { readKnowledge, type CaseKnowledge } from './knowledge.ts';

/** What the product says of one vulnerability in one installed package. */
export interface Answer {
  readonly verdict: CaseVerdict;
  /** Its own reason. */
  readonly sentence: string;
}

export interface Judged {
  readonly answers: ReadonlyMap<string, Answer>;
  /** Every pair that the knowledge could speak of by name alone: each of these needs a label. */
  readonly pairs: readonly string[];
  /** Vulnerabilities that are withdrawn as a whole, so that nothing is said of any package. */
  readonly withdrawn: ReadonlySet<string>;
}

export const pairKey = (vulnerability: string, name: string): string => `${vulnerability} ${name}`;

/** Judges a case as the product does: feeds, decisions, matching, and then what of it runs. */
export async function judgeCase(one: Case): Promise<Judged> {
  const product = productOf(one.system.os, one.system.os_release);
  const knowledge = await readKnowledge(one.knowledge, product);
  const installed: InstalledSoftware[] = readInstalled(one).map((p, id) => ({ id, ...p }));
  const residue = (one.system.residue ?? []).map((p, at) => ({ ...p, id: 10_000 + at }));
  const gone = (one.system.gone ?? []).map((p, at) => ({ ...p, id: 20_000 + at }));
  const there = [...installed, ...residue, ...gone];
  const pairs = namedPairs(there, knowledge);
  const { withdrawn } = knowledge;
  if (product.ecosystem === 'windows') {
    return { answers: judgeWindows(installed, knowledge), pairs, withdrawn };
  }
  const statements = knowledge.statements.filter(({ statement }) => statement.release === product.release);
  const answers = new Map<string, Answer>();
  if (statements.length === 0) {
    const sentence = `Nothing is known of ${productTitle(product)}, so nothing can be said of its packages.`;
    const all = isMatchable(product.ecosystem) ? pairs : everyPair(there, knowledge);
    for (const pair of all)
      if (!withdrawn.has(pair.split(' ')[0] ?? '')) answers.set(pair, { verdict: 'undetermined', sentence });
    return { answers, pairs: all, withdrawn };
  }
  const decisions = decideAll(statements, withdrawn);
  const index = indexDecisions(decisions);
  const exposed = exposuresOf(one.system, installed, residue, gone);
  const found = new Map<string, Exposed[]>();
  for (const exposure of exposed.list) judgeOne(exposure, index, found);
  const next = exposed.nextKernel === null ? null : vulnerableIn(exposed.nextKernel, index);
  for (const [pair, list] of found) answers.set(pair, answerOf(list, next));
  return { answers, pairs, withdrawn };
}

export interface Exposure {
  readonly software: InstalledSoftware;
  /** `inert`: a kernel that is installed and does not run. */
  readonly counts: ExposureKind | 'inert';
}

interface Exposed extends Exposure {
  readonly vulnerability: string;
  readonly kind: VerdictKind;
  readonly sentence: string;
}

/** Which software of the host counts, and how. */
export function exposuresOf(
  system: System,
  installed: readonly InstalledSoftware[],
  residue: readonly (InstalledSoftware & { readonly kind: 'process' | 'file' })[],
  gone: readonly InstalledSoftware[],
): { readonly list: readonly Exposure[]; readonly nextKernel: InstalledSoftware | null } {
  const host = system.running_kernel === null && system.machine !== 'container' ? null : hostOf(system);
  const kernels = kernelExposure(host, installed, gone);
  const removed = gone.find(({ id }) => id === kernels.removedRunning);
  return {
    list: [
      ...installed.map((software): Exposure => ({
        software,
        counts: kernels.inert.includes(software.id) ? 'inert' : 'installed',
      })),
      ...residue.map((software): Exposure => ({ software, counts: software.kind })),
      ...(removed === undefined ? [] : [{ software: removed, counts: 'kernel' } as const]),
    ],
    nextKernel: installed.find(({ id }) => id === kernels.nextKernel) ?? null,
  };
}

function hostOf(system: System): HostFacts {
  return {
    hostname: 'case',
    os: system.os,
    os_release: system.os_release,
    os_title: '',
    arch: 'amd64',
    addresses: [],
    boot_id: '',
    booted_at: '2025-01-01T00:00:00Z',
    running_kernel: system.running_kernel ?? '',
    kernels: [],
    machine: system.machine,
    reboot_required: false,
    reboot_required_by: [],
    held: [],
    units: [],
  };
}

function judgeOne(exposure: Exposure, index: DecisionIndex, found: Map<string, Exposed[]>): void {
  const { software } = exposure;
  matchSoftware(software, index, (kind, decision, comparison, rule, branch) => {
    const { sentence } = evidenceOf(software, { kind, decision, comparison, rule, branch });
    const { vulnerability } = decision;
    const pair = pairKey(vulnerability, software.name);
    const one = { ...exposure, vulnerability, kind, sentence };
    const list = found.get(pair);
    if (list === undefined) found.set(pair, [one]);
    else list.push(one);
  });
}

function vulnerableIn(software: InstalledSoftware, index: DecisionIndex): ReadonlySet<string> {
  const vulnerable = new Set<string>();
  matchSoftware(software, index, (kind, decision) => {
    if (kind === 'vulnerable' || kind === 'undetermined') vulnerable.add(decision.vulnerability);
  });
  return vulnerable;
}

/** One answer for all that carries the package's name: what is vulnerable outweighs what is not known, and that what is safe. */
function answerOf(list: readonly Exposed[], next: ReadonlySet<string> | null): Answer {
  const counting = list.filter(({ counts }) => counts !== 'inert');
  const vulnerable = counting.filter(({ kind }) => kind === 'vulnerable');
  const [worst] = vulnerable;
  if (worst !== undefined) {
    const status = statusOf(
      vulnerable.map(({ counts, software, vulnerability }) => ({
        kind: counts === 'inert' ? 'installed' : counts,
        fixedInNextKernel: next !== null && isKernelImage(software) && !next.has(vulnerability),
      })),
    );
    return {
      verdict: status === 'open' || status === 'mitigated' ? 'vulnerable' : status,
      sentence: worst.sentence,
    };
  }
  const of = (kind: VerdictKind): Exposed | undefined => counting.find((one) => one.kind === kind);
  const unknown = of('undetermined');
  if (unknown !== undefined) return { verdict: 'undetermined', sentence: unknown.sentence };
  const idle = list.find(
    ({ counts, kind }) => counts === 'inert' && kind !== 'fixed' && kind !== 'not_affected',
  );
  if (idle !== undefined) {
    const { name, version } = idle.software;
    return { verdict: 'not_running', sentence: `${name} ${version} is installed and does not run.` };
  }
  const safe = list.find(({ kind }) => kind === 'fixed') ?? list[0];
  if (safe === undefined) return { verdict: 'not_listed', sentence: 'Nothing is said of it.' };
  return { verdict: safe.kind, sentence: safe.sentence };
}

function judgeWindows(
  installed: readonly InstalledSoftware[],
  knowledge: CaseKnowledge,
): ReadonlyMap<string, Answer> {
  const decisions = decideAll(knowledge.statements, knowledge.withdrawn);
  const graph = supersedenceOf(knowledge.updates, decisions);
  const answers = new Map<string, Answer>();
  for (const software of installed) {
    const claims = decisions.filter((decision: Decision) => decision.package === software.name);
    const matched = matchWindows(software, claims, graph);
    if (matched.ok) {
      for (const { kind, claim, sentence } of matched.verdicts)
        answers.set(pairKey(claim.vulnerability, software.name), { verdict: kind, sentence });
    } else {
      for (const vulnerability of knowledge.vulnerabilities)
        answers.set(pairKey(vulnerability, software.name), {
          verdict: 'undetermined',
          sentence: matched.sentence,
        });
    }
  }
  return answers;
}

/**
 * Pairs that the knowledge speaks of when only names are looked at, of whatever release, stream, channel or version. It is
 * kept apart from how matching looks things up, so that what matching fails to find is missed by a label and not by nobody.
 */
function namedPairs(there: readonly InstalledSoftware[], knowledge: CaseKnowledge): string[] {
  const pairs = new Set<string>();
  for (const software of there) {
    const names = new Set([software.name, software.source, kernelStatementSource(software.source)]);
    for (const { statement } of knowledge.statements) {
      if (names.has(statement.package)) pairs.add(pairKey(statement.vulnerability, software.name));
    }
  }
  return [...pairs];
}

/** Of a system that no feed knows: every vulnerability that is spoken of at all, in every package. */
function everyPair(there: readonly InstalledSoftware[], knowledge: CaseKnowledge): string[] {
  return there.flatMap(({ name }) => [...knowledge.vulnerabilities].map((one) => pairKey(one, name)));
}
