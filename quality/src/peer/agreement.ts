import type { Decision } from '@fixpoint/core/knowledge/decision.ts';
import { isKernelImage, isKernelSource, kernelStatementSource } from '@fixpoint/core/match/kernel.ts';
import {
  indexDecisions,
  lookUp,
  matchSoftware,
  type MatchSoftware,
  type VerdictKind,
} from '@fixpoint/core/match/match.ts';
import type { VersionTest } from './oval.ts';

/** Comparison of our verdicts with those of another program on the same packages and the same decisions. */

/** Why a peer says something else, where that is not a mistake of either. */
export type Explanation =
  | 'debug symbols, of which nothing runs'
  | 'built from a kernel’s source without being a kernel'
  | 'a signed kernel image, which the peer does not look up under linux'
  | 'not built by the distribution'
  | 'of another module stream, which the peer does not know'
  | 'a build of a support branch with a fix of its own'
  | 'a binary with a version of its own, which the peer compares in place of the source’s';

export interface Agreement {
  /** Pairs of (vulnerability, installed package) that were compared. */
  readonly compared: number;
  /** Of these, called vulnerable by both. */
  readonly bothVulnerable: number;
  readonly bothNot: number;
  readonly explained: ReadonlyMap<Explanation, number>;
  /** Each as a sentence. */
  readonly unexplained: readonly string[];
}

interface Ours {
  readonly software: MatchSoftware;
  readonly decision: Decision;
  /** Null: matching says nothing of it. */
  readonly kind: VerdictKind | null;
  readonly byBranch: boolean;
}

/** Our word on each decision that names the package or its source, whether or not matching looks at it. */
export function ourWords(packages: readonly MatchSoftware[], decisions: readonly Decision[]): Ours[] {
  const index = indexDecisions(decisions);
  const named = Map.groupBy(decisions, (decision) => decision.package);
  return packages.flatMap((software) => {
    const found = new Map<Decision, { readonly kind: VerdictKind; readonly byBranch: boolean }>();
    matchSoftware(software, index, (kind, decision, _, __, branch) =>
      found.set(decision, { kind, byBranch: branch !== null }),
    );
    const names = new Set([software.name, software.source, kernelStatementSource(software.source)]);
    return [...names].flatMap((name) =>
      (named.get(name) ?? [])
        .filter((one) => one.packageKind === 'source' || one.package === software.name)
        .filter(
          (one) =>
            one.packageKind === 'binary' ||
            one.package !== software.name ||
            software.source === software.name,
        )
        .map((decision) => ({
          software,
          decision,
          kind: found.get(decision)?.kind ?? null,
          byBranch: found.get(decision)?.byBranch === true,
        })),
    );
  });
}

/** Pairs that debsecan prints, against ours. debsecan knows neither architectures nor who built a package. */
export function agreeWithDebsecan(
  packages: readonly MatchSoftware[],
  decisions: readonly Decision[],
  theirs: ReadonlySet<string>,
): Agreement {
  const pairs = Map.groupBy(
    ourWords(packages, decisions),
    ({ software, decision }) => `${decision.vulnerability} ${software.name}`,
  );
  const result = counting();
  for (const pair of theirs) if (!pairs.has(pair)) result.differ(null, `only debsecan says ${pair}`);
  for (const [pair, words] of pairs) {
    const [first] = words;
    const own = words.some(({ kind }) => kind === 'vulnerable');
    if (first === undefined || own === theirs.has(pair)) {
      result.agree(own);
      continue;
    }
    const { software } = first;
    const signed = isKernelImage(software) && software.source !== kernelStatementSource(software.source);
    const why = own && signed ? 'a signed kernel image, which the peer does not look up under linux' : null;
    result.differ(
      why ?? whyNothing(first),
      `${pair}: ${own ? 'vulnerable here' : 'not vulnerable here'}, ${own ? 'not' : 'vulnerable'} for debsecan (installed ${software.source_version}, fixed ${first.decision.fixedVersion ?? 'nowhere'})`,
    );
  }
  return result.done();
}

/** What OpenSCAP is asked: each installed package against each fixed version that is named for it, once. */
export function versionTests(words: readonly Ours[]): VersionTest[] {
  const tests = new Map<string, VersionTest>();
  for (const { software, decision } of words) {
    if (decision.status !== 'fixed' || decision.fixedVersion === null) continue;
    const test = { name: software.name, fixedVersion: decision.fixedVersion };
    tests.set(testKey(test), test);
  }
  return [...tests.values()];
}

const testKey = ({ name, fixedVersion }: VersionTest): string => `${name} ${fixedVersion}`;

/** Our words against OpenSCAP's, verdict by verdict. `answers[i]` is of `tests[i]`. */
export function agreeWithOval(
  words: readonly Ours[],
  tests: readonly VersionTest[],
  answers: ReadonlyMap<number, string>,
): Agreement {
  const said = new Map(tests.map((test, at) => [testKey(test), answers.get(at + 1)]));
  const result = counting();
  for (const word of words) {
    const { software, decision, kind } = word;
    if (decision.status !== 'fixed' || decision.fixedVersion === null) continue;
    const answer = said.get(testKey({ name: software.name, fixedVersion: decision.fixedVersion }));
    const own = kind === 'vulnerable';
    if ((kind === 'vulnerable' || kind === 'fixed') && answer === String(own)) {
      result.agree(own);
      continue;
    }
    const ownVersion =
      decision.packageKind === 'source' &&
      !isKernelImage(software) &&
      software.version !== software.source_version;
    const why = word.byBranch
      ? 'a build of a support branch with a fix of its own'
      : (whyNothing(word) ??
        (ownVersion
          ? 'a binary with a version of its own, which the peer compares in place of the source’s'
          : null));
    result.differ(
      why,
      `${decision.vulnerability} in ${software.name} ${software.version}: ${kind ?? 'nothing'} here, ${answer ?? 'no answer'} for OpenSCAP (fixed ${decision.fixedVersion})`,
    );
  }
  return result.done();
}

/** Why matching calls it neither vulnerable nor fixed, where that is by a rule; each goes with one answer of ours only. */
function whyNothing({ software, decision, kind }: Ours): Explanation | null {
  if (kind === 'undetermined') return software.origin === undefined ? null : 'not built by the distribution';
  if (kind !== null) return null;
  if (lookUp(decision.ecosystem, software) === null) {
    return isKernelSource(software.source) && !/-(?:dbg|dbgsym|debuginfo|debugsource)$/u.test(software.name)
      ? 'built from a kernel’s source without being a kernel'
      : 'debug symbols, of which nothing runs';
  }
  if ((decision.module ?? undefined) !== software.module)
    return 'of another module stream, which the peer does not know';
  return null;
}

function counting() {
  const explained = new Map<Explanation, number>();
  const unexplained: string[] = [];
  let bothVulnerable = 0;
  let bothNot = 0;
  let different = 0;
  return {
    agree(vulnerable: boolean): void {
      if (vulnerable) bothVulnerable++;
      else bothNot++;
    },
    differ(why: Explanation | null, sentence: string): void {
      different++;
      if (why === null) unexplained.push(sentence);
      else explained.set(why, (explained.get(why) ?? 0) + 1);
    },
    done: (): Agreement => ({
      compared: bothVulnerable + bothNot + different,
      bothVulnerable,
      bothNot,
      explained,
      unexplained,
    }),
  };
}

/** For a terminal. */
export function agreementText(title: string, agreement: Agreement): string {
  const { compared, bothVulnerable, bothNot, explained, unexplained } = agreement;
  return [
    `${title}: ${String(compared)} pairs; both vulnerable ${String(bothVulnerable)}, both not ${String(bothNot)}`,
    ...[...explained].map(([why, count]) => `  ${String(count).padStart(6)}  ${why}`),
    `  ${String(unexplained.length).padStart(6)}  not explained`,
  ].join('\n');
}
