import { channelTitle } from '../knowledge/channel.ts';
import { productTitle, schemeOf } from '../knowledge/ecosystem.ts';
import { versionOrderings } from '../version/version.ts';
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
  /** Support channel that the fix comes from, in words; null when everybody gets it. */
  readonly channel?: string | null;
  /** Windows: the update to deploy now, the end of the chain that supersedes the fix. */
  readonly update?: {
    readonly id: string;
    readonly build: string | null;
    /** The update that the vendor names for this vulnerability. */
    readonly contains: string;
    readonly restart: 'required' | 'maybe' | 'not_required' | null;
  };
}

const fixStateWords = {
  available: 'a fix is available',
  none_yet: 'no fix is published yet',
  will_not_fix: 'the vendor will not fix it in this release',
  end_of_life: 'the package is past its end of life in this release',
  deferred: 'the vendor has deferred the fix to a later update',
} as const;

/** The version that a verdict compared: that of the source or of the installed package, as the statement names. */
function judgedVersion(software: MatchSoftware, { decision }: Verdict): string {
  if (decision.packageKind === 'binary') return software.version;
  return lookUp(decision.ecosystem, software)?.sourceVersion ?? software.source_version;
}

function sentenceOf(software: MatchSoftware, verdict: Verdict): string {
  const { decision, branch } = verdict;
  const installed = judgedVersion(software, verdict);
  const where = productTitle(decision);
  const module = decision.module === null ? '' : ` of module ${decision.module}`;
  const who =
    decision.package === software.name
      ? `${decision.package} ${installed}${module}`
      : `${decision.package} ${installed} (package ${software.name})${module}`;
  const scheme = versionOrderings[schemeOf(decision.ecosystem)].title;
  const fix = branch?.fixedVersion ?? decision.fixedVersion;
  const channel = branch?.channel ?? decision.channel;
  const from = channel === null ? '' : `, published for ${channelTitle(channel)} only`;
  switch (verdict.rule) {
    case 'older_than_fixed_version':
      return `${who} is older than ${fix}, the first version in which ${decision.vulnerability} is fixed in ${where}${from}.`;
    case 'at_or_after_fixed_version':
      return `${who} is not older than ${fix}, in which ${decision.vulnerability} is fixed in ${where}${from}.`;
    case 'older_than_introduced_version':
      return `${who} is older than ${decision.introducedVersion}, the first version that has ${decision.vulnerability} in ${where}.`;
    case 'no_fix_published':
      return `${decision.package} is affected by ${decision.vulnerability} in ${where} in every version: ${fixStateWords[decision.fixState]}.`;
    case 'vendor_says_not_affected':
      return `The vendor says that ${decision.package} in ${where} is not affected by ${decision.vulnerability}.`;
    case 'vendor_has_not_looked':
      return `The vendor lists ${decision.vulnerability} for ${decision.package} and has not said yet whether ${where} is affected.`;
    case 'installed_version_unparseable':
      return `The installed version “${installed}” of ${decision.package} is not ${scheme}, so it cannot be compared with ${fix}.`;
    case 'fixed_version_unparseable':
      return `The record names “${fix}” as the fixed version of ${decision.package}, which is not ${scheme}.`;
    case 'versions_incomparable':
      return `${who} and ${fix}, the fixed version, are of different branches, so neither is older than the other.`;
    case 'module_stream_unknown':
      return `${decision.vulnerability} is fixed in ${fix} of a module of ${where}; the record does not say of which stream, so ${who} cannot be compared with it.`;
    case 'not_built_by_distribution':
      return `${software.name} ${software.version} was built by ${software.vendor ?? 'somebody else'}, not by ${where}, whose data on ${decision.vulnerability} says nothing about this build.`;
    case 'origin_unknown':
      return `Nobody can say who built ${software.name} ${software.version}: no repository of the host offers it. The data of ${where} on ${decision.vulnerability} may not apply to it.`;
  }
}

/** Evidence of a verdict, for storage beside it and for people. */
export function evidenceOf(software: MatchSoftware, verdict: Verdict): VerdictEvidence {
  const { decision, branch } = verdict;
  const channel = branch?.channel ?? decision.channel;
  return {
    rule: verdict.rule,
    sentence: sentenceOf(software, verdict),
    feed: branch?.feed ?? decision.feed,
    record: branch?.record ?? decision.record,
    advisory: branch === null ? decision.advisory : branch.advisory,
    installed_version: judgedVersion(software, verdict),
    fixed_version: branch?.fixedVersion ?? decision.fixedVersion,
    comparison: verdict.comparison,
    note: decision.note,
    disagreements: [...decision.disagreements],
    ...(channel === null ? {} : { channel: channelTitle(channel) }),
  };
}
