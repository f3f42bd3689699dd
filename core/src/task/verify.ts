import type { InstalledPackage, ReportedMitigation, Residue } from '../inventory/inventory.ts';
import {
  verifyMitigations,
  type ExpectedMitigation,
  type MitigationEvidence,
  type MitigationVerification,
} from './verify-mitigation.ts';

/**
 * The decision about a task, from what the host reports after it and from nothing else: not the exit code of the installer,
 * not what the agent believes.
 */

/** Everything but `fixed` (a fixed finding is not reported). Same words as the finding's status. */
export type ReportedStatus =
  | 'open'
  | 'restart_pending'
  | 'reboot_pending'
  | 'mitigated'
  | 'accepted'
  | 'undetermined';

/** One finding of the asset, as much of it as the decision and its evidence need. */
export interface ObservedFinding {
  readonly vulnerability: string;
  /** Source package. */
  readonly source: string;
  readonly status: ReportedStatus;
  readonly statusReason: string | null;
  readonly fixedVersion: string | null;
}

export interface ExpectedVersion {
  readonly name: string;
  readonly arch: string;
  readonly to: string;
}

export interface VerificationInput {
  /** Findings when the plan was made, for the record. */
  readonly before: readonly ObservedFinding[];
  /** Vulnerabilities that must be gone from the asset. */
  readonly expectedGone: readonly string[];
  /** All findings of the asset now that are not fixed. */
  readonly after: readonly ObservedFinding[];
  /** All packages of the asset now. */
  readonly installed: readonly InstalledPackage[];
  readonly expectedVersions: readonly ExpectedVersion[];
  /** Replaced code that is still there. What is of a known version is in `after`; of an unknown one, only here. */
  readonly residue: readonly Residue[];
  /** Mitigations that were ordered, what the host reports of such, and which vulnerabilities they bear on. */
  readonly mitigations?: {
    readonly expected: readonly ExpectedMitigation[];
    readonly reported: readonly ReportedMitigation[];
    readonly vulnerabilities: readonly string[];
  };
  /** Why nothing about the asset can be judged now, as a sentence; null when it can: see {@link verify}. */
  readonly unjudged: string | null;
}

export type VerificationOutcome =
  | 'succeeded'
  | 'not_remediated'
  | 'restart_pending'
  | 'reboot_pending'
  | 'undetermined';

export interface WrongVersion {
  readonly name: string;
  readonly arch: string;
  readonly expected: string;
  /** Null when the package is not installed. */
  readonly installed: string | null;
}

export interface VerificationEvidence {
  readonly expected_gone: readonly string[];
  readonly before: readonly ObservedFinding[];
  /** Those of the expected vulnerabilities that are still reported. */
  readonly remaining: readonly ObservedFinding[];
  readonly gone: readonly string[];
  readonly wrong_versions: readonly WrongVersion[];
  /** Code of the ordered packages of which nobody knows the version: `/usr/lib/…/libssl.so.3 (nginx.service)`. */
  readonly unknown_residue: readonly string[];
  /** What the mitigations came to, and what is reported now of the vulnerabilities that they bear on. */
  readonly mitigations?: readonly MitigationEvidence[];
  readonly bears_on?: readonly ObservedFinding[];
  /** One sentence for a person. */
  readonly sentence: string;
}

export interface Verification {
  readonly outcome: VerificationOutcome;
  readonly evidence: VerificationEvidence;
}

/**
 * Decides a task. `succeeded` only when every ordered package is exactly at its version and no expected vulnerability is
 * reported any more, in whatever status. What is there but cannot be judged is `undetermined`, never success and never failure.
 *
 * Where there is no data for the system of the asset, or its agent cannot read the host, nothing is reported either: that is
 * `unjudged`, and `undetermined` whatever else is there.
 */
export function verify(input: VerificationInput): Verification {
  const expected = new Set(input.expectedGone);
  const remaining = input.after.filter((finding) => expected.has(finding.vulnerability));
  const stillThere = new Set(remaining.map((finding) => finding.vulnerability));
  const wrongVersions = wrongVersionsOf(input.installed, input.expectedVersions);
  const gone = [...expected].filter((vulnerability) => !stillThere.has(vulnerability)).sort();
  const unknown = unknownResidue(input);
  const mitigations =
    input.mitigations === undefined
      ? null
      : verifyMitigations(input.mitigations.expected, input.mitigations.reported);
  const outcome =
    input.unjudged === null
      ? worse(decideOutcome(remaining, wrongVersions, unknown), mitigations?.outcome ?? 'succeeded')
      : 'undetermined';
  const bearsOn = new Set(input.mitigations?.vulnerabilities);
  return {
    outcome,
    evidence: {
      expected_gone: [...expected].sort(),
      before: input.before,
      remaining,
      gone,
      wrong_versions: wrongVersions,
      unknown_residue: unknown.map(residueWords),
      ...(mitigations === null
        ? {}
        : {
            mitigations: mitigations.evidence,
            bears_on: input.after.filter((finding) => bearsOn.has(finding.vulnerability)),
          }),
      sentence:
        input.unjudged ?? sentencesOf(input, outcome, { remaining, wrongVersions, unknown, mitigations }),
    },
  };
}

const worstFirst: readonly VerificationOutcome[] = [
  'not_remediated',
  'undetermined',
  'reboot_pending',
  'restart_pending',
];

function worse(a: VerificationOutcome, b: VerificationOutcome): VerificationOutcome {
  return worstFirst.find((outcome) => outcome === a || outcome === b) ?? 'succeeded';
}

interface Found {
  readonly remaining: readonly ObservedFinding[];
  readonly wrongVersions: readonly WrongVersion[];
  readonly unknown: readonly Residue[];
  readonly mitigations: MitigationVerification | null;
}

/** A mitigation never fixes software, and the sentence says so. */
function sentencesOf(input: VerificationInput, outcome: VerificationOutcome, found: Found): string {
  const { remaining, wrongVersions, unknown, mitigations } = found;
  const expected = new Set(input.expectedGone).size;
  const ofPackages = decideOutcome(remaining, wrongVersions, unknown);
  const sentences = [...(mitigations?.sentences ?? [])];
  if (mitigations === null || expected > 0 || input.expectedVersions.length > 0) {
    sentences.unshift(
      sentenceOf(mitigations === null ? outcome : ofPackages, remaining, wrongVersions, unknown, expected),
    );
  } else if (
    outcome === 'succeeded' &&
    input.mitigations?.expected.some((one) => one.action === 'apply') === true
  ) {
    sentences.push('The software itself is not fixed by that.');
  }
  return sentences.join(' ');
}

function wrongVersionsOf(
  installed: readonly InstalledPackage[],
  expected: readonly ExpectedVersion[],
): WrongVersion[] {
  // a kernel of an rpm system is there in several versions at once, in no order
  const byKey = Map.groupBy(installed, (p) => `${p.name}:${p.arch}`);
  return expected.flatMap(({ name, arch, to }) => {
    const there = byKey.get(`${name}:${arch}`) ?? [];
    if (there.some((p) => p.version === to)) return [];
    return [{ name, arch, expected: to, installed: there.at(-1)?.version ?? null }];
  });
}

function decideOutcome(
  remaining: readonly ObservedFinding[],
  wrongVersions: readonly WrongVersion[],
  unknown: readonly Residue[],
): VerificationOutcome {
  if (wrongVersions.length > 0) return 'not_remediated';
  if (remaining.length === 0 && unknown.length === 0) return 'succeeded';
  const statuses = new Set(remaining.map((finding) => finding.status));
  // mitigated and accepted say how a person lives with vulnerable code; it is there all the same
  if (statuses.has('open') || statuses.has('mitigated') || statuses.has('accepted')) return 'not_remediated';
  // whatever version a process runs, a restart ends it; what a file on disk is stays unknown
  if (statuses.has('undetermined') || unknown.some((one) => one.kind === 'file')) return 'undetermined';
  return statuses.has('reboot_pending') ? 'reboot_pending' : 'restart_pending';
}

function sentenceOf(
  outcome: VerificationOutcome,
  remaining: readonly ObservedFinding[],
  wrongVersions: readonly WrongVersion[],
  unknown: readonly Residue[],
  expected: number,
): string {
  const names = [
    ...new Set([...remaining.map((finding) => finding.vulnerability), ...unknown.map(residueWords)]),
  ];
  const list =
    names.slice(0, 5).join(', ') + (names.length > 5 ? ` and ${String(names.length - 5)} more` : '');
  const why = remaining.find((finding) => finding.statusReason !== null)?.statusReason;
  const because = why === undefined || why === null ? '' : ` (${why})`;
  if (outcome === 'not_remediated') {
    const parts = wrongVersionWords(wrongVersions);
    if (names.length > 0) parts.push(`still reported: ${list}${because}`);
    return `${parts.join('; ')}.`;
  }
  const sentences: Record<Exclude<VerificationOutcome, 'not_remediated'>, string> = {
    succeeded: `All ordered versions are installed, and none of the ${String(expected)} expected vulnerabilities is reported any more.`,
    restart_pending: `Fixed on disk, but a running program still uses the old code: ${list}${because}.`,
    reboot_pending: `Fixed on disk, but the host must reboot before the old code is gone: ${list}${because}.`,
    undetermined: `It cannot be decided whether these are gone: ${list}${because}.`,
  };
  return sentences[outcome];
}

/** Replaced code of the ordered packages whose version the host could not tell, so that no finding can stand for it. */
function unknownResidue(input: VerificationInput): Residue[] {
  const ordered = new Set(input.expectedVersions.map((one) => `${one.name}:${one.arch}`));
  return input.residue.filter((one) => one.version === null && ordered.has(`${one.name}:${one.arch}`));
}

function residueWords(residue: Residue): string {
  const by = residue.process === null ? residue.name : (residue.process.unit ?? residue.process.command);
  return `${residue.path} (${by})`;
}

function wrongVersionWords(wrongVersions: readonly WrongVersion[]): string[] {
  const [wrong] = wrongVersions;
  if (wrong === undefined) return [];
  const more = wrongVersions.length > 1 ? ` (and ${String(wrongVersions.length - 1)} more packages)` : '';
  const is = wrong.installed === null ? 'not installed' : `at ${wrong.installed}`;
  return [`${wrong.name} is ${is} instead of ${wrong.expected}${more}`];
}
