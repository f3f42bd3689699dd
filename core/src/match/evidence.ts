import { lookUp, type MatchSoftware, type Verdict } from './match.ts';

/** Why a verdict is what it is; the shape is contract's `Evidence`. */
export interface VerdictEvidence {
  readonly rule: string;
  readonly sentence: string;
  readonly feed: string | null;
  readonly record: string | null;
  readonly advisory: string | null;
  readonly installed_version: string | null;
  readonly fixed_version: string | null;
  readonly comparison: 'less' | 'equal' | 'greater' | 'incomparable' | 'unparseable' | null;
  readonly note: string | null;
  readonly disagreements: string[];
}

const fixStateWords = {
  available: 'a fix is available',
  none_yet: 'no fix is published yet',
  will_not_fix: 'the vendor will not fix it in this release',
  end_of_life: 'the package is past its end of life in this release',
  deferred: 'the vendor has deferred the fix to a later update',
} as const;

function sentenceOf(software: MatchSoftware, verdict: Verdict): string {
  const { decision } = verdict;
  const installed = lookUp(software)?.version ?? software.source_version;
  const who = `${decision.package} ${installed} (package ${software.name})`;
  switch (verdict.rule) {
    case 'older_than_fixed_version':
      return `${who} is older than ${decision.fixedVersion}, the first version in which ${decision.vulnerability} is fixed in ${decision.ecosystem} ${decision.release}.`;
    case 'at_or_after_fixed_version':
      return `${who} is not older than ${decision.fixedVersion}, in which ${decision.vulnerability} is fixed in ${decision.ecosystem} ${decision.release}.`;
    case 'no_fix_published':
      return `${decision.package} is affected by ${decision.vulnerability} in ${decision.ecosystem} ${decision.release} in every version: ${fixStateWords[decision.fixState]}.`;
    case 'vendor_says_not_affected':
      return `The vendor says that ${decision.package} in ${decision.ecosystem} ${decision.release} is not affected by ${decision.vulnerability}.`;
    case 'vendor_has_not_looked':
      return `The vendor lists ${decision.vulnerability} for ${decision.package} and has not said yet whether ${decision.ecosystem} ${decision.release} is affected.`;
    case 'installed_version_unparseable':
      return `The installed version “${installed}” of ${decision.package} is not a Debian version, so it cannot be compared with ${decision.fixedVersion}.`;
    case 'fixed_version_unparseable':
      return `The record names “${decision.fixedVersion}” as the fixed version of ${decision.package}, which is not a Debian version.`;
  }
}

/** Evidence of a verdict, for storage beside it and for people. */
export function evidenceOf(software: MatchSoftware, verdict: Verdict): VerdictEvidence {
  const { decision } = verdict;
  return {
    rule: verdict.rule,
    sentence: sentenceOf(software, verdict),
    feed: decision.feed,
    record: decision.record,
    advisory: decision.advisory,
    installed_version: lookUp(software)?.version ?? software.source_version,
    fixed_version: decision.fixedVersion,
    comparison: verdict.comparison,
    note: decision.note,
    disagreements: [...decision.disagreements],
  };
}
