import { claimOf, decideAll, type Decision } from '../knowledge/decision.ts';
import { productTitle, type Product } from '../knowledge/ecosystem.ts';
import type { SourcedStatement, Withdrawal } from '../knowledge/union.ts';
import { correlate, type CorrelatedPatch, type MissingPatch } from '../match/correlate.ts';
import { evidenceOf, type VerdictEvidence } from '../match/evidence.ts';
import {
  indexDecisions,
  lookUp,
  matchSoftware,
  type MatchSoftware,
  type VerdictKind,
} from '../match/match.ts';
import { windowsVerdicts } from '../match/windows-evidence.ts';
import type { SupersedenceGraph } from '../match/windows-updates.ts';
import type { OfferedVersion } from '../knowledge/patch.ts';
import { isKernelImage } from '../match/kernel.ts';
import type { ExposureKind, Undetermined } from './exposure.ts';

/**
 * One vulnerability on one asset, told as a person would tell it: what the sources say, what is installed, which rule joined
 * them, and what would change the answer. It works from the facts anew, so it also explains why there is *no* finding.
 */

/** A software of the asset, and how it counts there. */
export interface SoftwareThere extends MatchSoftware {
  readonly arch: string;
  /** `inert`: a kernel that is installed and does not run. */
  readonly counts: ExposureKind | 'inert';
  /** For what is no longer installed: which process or file still holds it. */
  readonly reason: string | null;
}

export interface ExplainInput {
  readonly vulnerability: string;
  readonly hostname: string;
  readonly product: Product;
  /** Whether any feed lists what is vulnerable in this release. */
  readonly productKnown: boolean;
  /** Whether any feed speaks of the vulnerability at all. */
  readonly vulnerabilityKnown: boolean;
  /** What the ecosystem's feeds say of the vulnerability in this release. */
  readonly statements: readonly SourcedStatement[];
  readonly withdrawals: readonly Withdrawal[];
  /** All software of the asset that one of the statements could be about. */
  readonly software: readonly SoftwareThere[];
  readonly offered: readonly OfferedVersion[];
  readonly held: readonly string[];
  /** False when the asset has told nothing yet. */
  readonly hasInventory?: boolean;
  /** What of the asset could not be judged: a kernel that comes from no package, code of an unknown version that still runs. */
  readonly undetermined?: readonly Undetermined[];
  /** The kernel that a reboot would start, when it is not the running one. */
  readonly nextKernel?: Pick<SoftwareThere, 'name' | 'version'> | null;
  /** Windows: which update supersedes which, of all that is known of the asset's products. */
  readonly updates?: SupersedenceGraph;
}

export type ExplainedVerdict =
  | 'open'
  | 'restart_pending'
  | 'reboot_pending'
  | 'undetermined'
  | 'fixed'
  | 'not_affected'
  | 'not_installed'
  | 'withdrawn'
  | 'not_listed'
  | 'unknown_vulnerability'
  | 'unknown_system';

export interface ExplainedSoftware {
  readonly name: string;
  readonly version: string;
  readonly arch: string;
  readonly counts: SoftwareThere['counts'];
  readonly reason: string | null;
  readonly verdict: VerdictKind;
  readonly evidence: VerdictEvidence;
  readonly patch: CorrelatedPatch | null;
  readonly missing: MissingPatch | null;
}

export interface Explanation {
  readonly vulnerability: string;
  readonly verdict: ExplainedVerdict;
  /** The answer in one sentence. */
  readonly sentence: string;
  /** What each source says, the most authoritative first. */
  readonly facts: readonly string[];
  readonly software: readonly ExplainedSoftware[];
  /** What would change the answer. */
  readonly changes: readonly string[];
}

/** Explains; never fails: what is not known is an answer too. */
export function explain(input: ExplainInput): Explanation {
  const { vulnerability, product, hostname } = input;
  const where = productTitle(product);
  const facts = [
    ...input.withdrawals.map((w) => `${w.feed} (${w.record}): withdrawn on ${w.withdrawnAt.slice(0, 10)}`),
    ...input.statements.map((one) => `${claimOf(one)} — ${one.statement.package} of ${where}`),
  ];
  const answer = (
    verdict: ExplainedVerdict,
    sentence: string,
    changes: readonly string[],
    software: readonly ExplainedSoftware[] = [],
  ): Explanation => ({ vulnerability, verdict, sentence, facts, software, changes });

  const [withdrawal] = input.withdrawals;
  if (withdrawal !== undefined) {
    return answer(
      'withdrawn',
      `${vulnerability} was withdrawn on ${withdrawal.withdrawnAt.slice(0, 10)}, says ${withdrawal.feed}; there is nothing to fix on ${hostname}.`,
      ['A feed takes the withdrawal back.'],
    );
  }
  if (!input.productKnown) {
    return answer(
      'unknown_system',
      `Nothing is known of ${where}, the system of ${hostname}, so whether it has ${vulnerability} cannot be said.`,
      [`A feed that covers ${where} is imported.`],
    );
  }
  if (!input.vulnerabilityKnown) {
    return answer(
      'unknown_vulnerability',
      `No feed that is loaded speaks of ${vulnerability}; that does not make ${hostname} safe from it.`,
      [
        'A feed that speaks of it is imported or synchronised; see `fixpoint feed status` for how old they are.',
      ],
    );
  }
  if (input.statements.length === 0) {
    return answer(
      'not_listed',
      `The feeds of ${where} do not list ${vulnerability}: as far as they know, no package of ${where} has it.`,
      [`A source of ${where} lists it for a package that ${hostname} has.`],
    );
  }
  if (input.hasInventory === false) {
    return answer(
      'undetermined',
      `${hostname} has sent no inventory yet, so whether it has ${vulnerability} cannot be said.`,
      ['Its agent sends an inventory.'],
    );
  }
  const decisions = decideAll(input.statements);
  const software = input.software.flatMap((one) => explainSoftware(input, decisions, one));
  const [silent] = input.software;
  if (software.length === 0 && silent !== undefined) {
    return answer(
      'not_listed',
      `${hostname} does not have ${vulnerability}, as far as the feeds of ${where} know: what they say of it is about other builds (of another module stream or support channel, or with the code itself) than ${silent.name} ${silent.version}.`,
      [`A source of ${where} speaks of ${silent.name} as it is installed.`],
    );
  }
  if (software.length === 0) {
    const packages = [...new Set(input.statements.map(({ statement }) => statement.package))].sort();
    return answer(
      'not_installed',
      `${hostname} does not have ${vulnerability}: nothing of ${packages.join(', ')}, which it is in, is installed or still runs.`,
      [`${packages.join(' or ')} is installed in a version that has it.`],
    );
  }
  const [verdict, sentence] = verdictOf(input, software);
  return answer(verdict, sentence, changesOf(verdict, software), software);
}

function explainSoftware(
  input: ExplainInput,
  decisions: readonly Decision[],
  software: SoftwareThere,
): ExplainedSoftware[] {
  return verdictsOn(input, decisions, software).map((verdict) => {
    const { evidence } = verdict;
    const safe = verdict.kind === 'fixed' || verdict.kind === 'not_affected';
    const { patch, missing } = safe
      ? { patch: null, missing: null }
      : correlate({
          product: input.product,
          package: lookUp(input.product.ecosystem, software)?.package ?? software.source,
          fixState: verdict.decision.fixState,
          fixedVersion: evidence.fixed_version,
          channel: evidence.channel ?? null,
          rule: evidence.rule,
          ...(evidence.update === undefined ? {} : { update: evidence.update }),
          installed: [software],
          offered: input.offered,
          held: input.held,
        });
    const { name, version, arch, counts, reason } = software;
    return { name, version, arch, counts, reason, verdict: verdict.kind, evidence, patch, missing };
  });
}

interface JudgedSoftware {
  readonly kind: VerdictKind;
  readonly decision: Decision;
  readonly evidence: VerdictEvidence;
}

/** What is said of a software, by the way of its ecosystem. */
function verdictsOn(
  input: ExplainInput,
  decisions: readonly Decision[],
  software: SoftwareThere,
): readonly JudgedSoftware[] {
  if (input.updates !== undefined) {
    const own = decisions.filter((decision) => decision.package === software.name);
    return windowsVerdicts(software, own, input.updates);
  }
  const verdicts: JudgedSoftware[] = [];
  matchSoftware(software, indexDecisions(decisions), (kind, decision, comparison, rule, branch) => {
    const evidence = evidenceOf(software, { kind, decision, comparison, rule, branch });
    verdicts.push({ kind, decision, evidence });
  });
  return verdicts;
}

/** The worst of what counts decides; a kernel that does not run counts for nothing. */
function verdictOf(
  input: ExplainInput,
  software: readonly ExplainedSoftware[],
): [verdict: ExplainedVerdict, sentence: string] {
  const { vulnerability, hostname } = input;
  const counting = software.filter((one) => one.counts !== 'inert');
  const idle = software.find((one) => one.counts === 'inert' && one.verdict === 'vulnerable');
  const vulnerable = counting.filter((one) => one.verdict === 'vulnerable');
  const onDisk = vulnerable.filter((one) => one.counts === 'installed' || one.counts === 'file');
  const [first] = onDisk;
  if (first !== undefined && onDisk.every(isKernelImage) && isFixedInNext(input, software)) {
    const next = `${input.nextKernel?.name ?? ''} ${input.nextKernel?.version ?? ''}`;
    return [
      'reboot_pending',
      `${hostname} still runs a kernel with ${vulnerability}, which ${next}, started by the next reboot, does not have: ${first.evidence.sentence}`,
    ];
  }
  if (first !== undefined) {
    const rest = onDisk.length > 1 ? ` (and ${onDisk.length - 1} more)` : '';
    return ['open', `${hostname} has ${vulnerability}${rest}: ${first.evidence.sentence}`];
  }
  const kernel = vulnerable.find((one) => one.counts === 'kernel');
  if (kernel !== undefined) {
    return [
      'reboot_pending',
      `${hostname} still runs a kernel with ${vulnerability}: ${kernel.reason ?? ''}`.trim(),
    ];
  }
  const [process] = vulnerable;
  if (process !== undefined) {
    return [
      'restart_pending',
      `${vulnerability} is fixed on the disk of ${hostname}, and its code still runs: ${process.reason ?? ''}`.trim(),
    ];
  }
  const unknown = counting.find((one) => one.verdict === 'undetermined');
  if (unknown !== undefined) {
    return [
      'undetermined',
      `Whether ${hostname} has ${vulnerability} cannot be said: ${unknown.evidence.sentence}`,
    ];
  }
  const open = input.undetermined?.find(({ subject }) =>
    software.some((one) =>
      subject.startsWith(isKernelImage(one) && one.counts === 'inert' ? 'kernel ' : `${one.name} `),
    ),
  );
  if (open !== undefined) {
    return ['undetermined', `Whether ${hostname} has ${vulnerability} cannot be said: ${open.reason}`];
  }
  if (counting.length === 0 && idle !== undefined) {
    return [
      'not_affected',
      `${hostname} does not have ${vulnerability} as it runs: ${idle.name} ${idle.version} is installed and does not run.`,
    ];
  }
  const fixed = counting.find((one) => one.verdict === 'fixed');
  if (fixed !== undefined)
    return ['fixed', `${hostname} does not have ${vulnerability} any more: ${fixed.evidence.sentence}`];
  const [safe] = software;
  return [
    'not_affected',
    `${hostname} does not have ${vulnerability}. ${safe?.evidence.sentence ?? ''}`.trim(),
  ];
}

/** Whether the next reboot starts a kernel without the vulnerability. */
function isFixedInNext({ nextKernel }: ExplainInput, software: readonly ExplainedSoftware[]): boolean {
  if (nextKernel === undefined || nextKernel === null) return false;
  const verdicts = software.filter(
    ({ name, version }) => name === nextKernel.name && version === nextKernel.version,
  );
  return verdicts.every(({ verdict }) => verdict === 'fixed' || verdict === 'not_affected');
}

function changesOf(verdict: ExplainedVerdict, software: readonly ExplainedSoftware[]): string[] {
  const changes = new Set<string>(verdict === 'reboot_pending' ? ['The host is rebooted.'] : []);
  for (const one of software) {
    if (one.verdict === 'fixed') {
      changes.add(`${one.name} goes back to a version before ${one.evidence.fixed_version ?? 'the fix'}.`);
    } else if (one.verdict === 'not_affected') {
      changes.add(`The vendor changes its word on ${one.name}.`);
    } else if (one.counts === 'process') {
      changes.add('The processes that still run the old code are restarted.');
    } else if (one.counts === 'kernel') {
      changes.add('The host is rebooted.');
    } else if (one.counts === 'inert') {
      changes.add(`The host boots ${one.name} ${one.version}.`);
    } else if (one.missing !== null) {
      changes.add(one.missing.sentence);
    } else if (one.patch !== null) {
      const obstacle = one.patch.obstacle === null ? '' : ` ${one.patch.obstacle}`;
      const boot = one.patch.needs.reboot === 'required' ? ', and the host is rebooted' : '';
      changes.add(`${one.patch.id} is installed${boot}.${obstacle}`);
    }
    for (const other of one.evidence.disagreements)
      changes.add(`Another source turns out to be right: ${other}.`);
  }
  return [...changes];
}
