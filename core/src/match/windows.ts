import type { StatementFact } from '../knowledge/facts.ts';
import { parseWindowsBuild, type WindowsBuild } from '../version/windows-build.ts';
import type { VersionOrder } from '../version/version.ts';
import {
  compareBuildTexts,
  numberOfKb,
  seasonApart,
  type ClaimedFix,
  type ProductUpdates,
  type SupersedenceGraph,
} from './windows-updates.ts';

/**
 * Matching of a Windows product: by its build where the build is known to its last number, else by the updates that are
 * installed and everything that those contain (`windows-updates.ts`). Without either nothing is called fixed.
 */

/** As much of a software as matching reads; MatchSoftware fits. */
export interface WindowsSoftware {
  /** The product as MSRC names it. */
  readonly name: string;
  /** `10.0.17763.6054`; without the last number (`10.0.17763`, as systeminfo prints it) or empty when that is not known. */
  readonly version: string;
  /** KBs that the host reports as installed; left out when it did not say. */
  readonly updates?: readonly string[];
}

/** What is decided about one vulnerability in the product; Decision fits. */
export interface WindowsClaim extends ClaimedFix {
  readonly vulnerability: string;
  readonly status: StatementFact['status'] | 'branch_only';
  readonly fixedVersion: string | null;
}

export type WindowsRule =
  | 'build_at_or_after_fixed_build'
  | 'build_older_than_fixed_build'
  | 'fixing_update_installed'
  | 'containing_update_installed'
  | 'update_installed_but_build_older'
  | 'no_fixing_update_installed'
  | 'unlisted_update_may_contain_fix'
  | 'build_and_updates_unknown'
  | 'build_cannot_prove_fix'
  | 'no_fix_published'
  | 'vendor_says_not_affected'
  | 'vendor_has_not_looked';

export interface WindowsVerdict<Claim> {
  readonly kind: 'vulnerable' | 'fixed' | 'not_affected' | 'undetermined';
  readonly claim: Claim;
  readonly rule: WindowsRule;
  /** How the installed build stands to the fixed one; null when they were not compared. */
  readonly comparison: VersionOrder | null;
  /** The installed update that decided, or that leaves it open. */
  readonly installedUpdate: string | null;
  /** Why, for a person. */
  readonly sentence: string;
}

export type WindowsMatch<Claim> =
  | { readonly ok: true; readonly verdicts: readonly WindowsVerdict<Claim>[] }
  /** The data does not have the product: nothing is known of any vulnerability in it, which is not the same as none. */
  | { readonly ok: false; readonly rule: 'product_not_in_data'; readonly sentence: string };

/** What is known of the state of the software, worked out once for all vulnerabilities. */
interface Installed {
  readonly software: WindowsSoftware;
  readonly known: ProductUpdates | null;
  /** Null unless it has a last number. */
  readonly build: WindowsBuild | null;
  readonly updates: readonly string[] | null;
  /** Those of them that the data has for this product. */
  readonly listed: readonly string[];
  /** Highest first: installed updates that the data says nothing of. */
  readonly unlisted: readonly string[];
}

/**
 * Matches one product of a host against what is decided about it.
 *
 * @param claims decisions about this product
 * @param graph of all updates
 */
export function matchWindows<Claim extends WindowsClaim>(
  software: WindowsSoftware,
  claims: readonly Claim[],
  graph: SupersedenceGraph,
): WindowsMatch<Claim> {
  const known = graph.of(software.name);
  if (claims.length === 0 && known === null) {
    const sentence = `Microsoft’s data at hand does not name the product “${software.name}”, so nothing can be said of it.`;
    return { ok: false, rule: 'product_not_in_data', sentence };
  }
  const parsed = parseWindowsBuild(software.version);
  const updates = software.updates ?? null;
  const installed: Installed = {
    software,
    known,
    build: parsed.ok && parsed.version.branch.endsWith('*') ? parsed.version : null,
    updates,
    listed: (updates ?? []).filter((id) => known?.updates.has(id) === true),
    unlisted: (updates ?? [])
      .filter((id) => !graph.knows(id) && numberOfKb(id) > 0)
      .sort((a, b) => numberOfKb(b) - numberOfKb(a)),
  };
  return { ok: true, verdicts: claims.map((claim) => judge(claim, installed)) };
}

type Judgement = Pick<WindowsVerdict<unknown>, 'kind' | 'rule'> &
  Partial<Pick<WindowsVerdict<unknown>, 'comparison' | 'installedUpdate'>> & { readonly why: string };

function judge<Claim extends WindowsClaim>(claim: Claim, installed: Installed): WindowsVerdict<Claim> {
  const { why, comparison = null, installedUpdate = null, kind, rule } = judgement(claim, installed);
  return { kind, claim, rule, comparison, installedUpdate, sentence: `${installed.software.name}: ${why}` };
}

function judgement(claim: WindowsClaim, installed: Installed): Judgement {
  if (claim.status === 'not_affected') {
    const why = `Microsoft says that it is not affected by ${claim.vulnerability}.`;
    return { kind: 'not_affected', rule: 'vendor_says_not_affected', why };
  }
  if (claim.status === 'affected') {
    const why = `it is affected by ${claim.vulnerability} and no update or build is named that fixes it.`;
    return { kind: 'vulnerable', rule: 'no_fix_published', why };
  }
  if (claim.status !== 'fixed') {
    const why = `Microsoft lists ${claim.vulnerability} for it and does not say whether it is affected, or by what it is fixed.`;
    return { kind: 'undetermined', rule: 'vendor_has_not_looked', why };
  }
  return byBuild(claim, installed) ?? byUpdates(claim, installed);
}

/** What the build says, where it is known, of the branch of the fixed one, and a proof; else null. */
function byBuild(claim: WindowsClaim, installed: Installed): Judgement | null {
  const { build, known, updates } = installed;
  if (build === null || claim.fixedVersion === null) return null;
  // A single update beside the cumulative ones (Secure Boot's list, Safe OS) names a build that it does not bring.
  const single = claim.updates.length > 0 && !claim.updates.some((id) => known?.line.has(id) === true);
  if (known?.isCumulative === true && single) return null;
  const order = compareBuildTexts(build.text, claim.fixedVersion);
  if (order === null) return null;
  const fixedIn = `${claim.fixedVersion}, in which ${claim.vulnerability} is fixed`;
  if (order >= 0) {
    // Where "Security Only" updates raise the build too, one in between may be missing: only the same build proves.
    const proves = order === 0 || known === null || known.cumulative.size === 0 || known.isCumulative;
    if (!proves) return null;
    const comparison = order === 0 ? 'equal' : 'greater';
    const why = `its build ${build.text} is not older than ${fixedIn}.`;
    return { kind: 'fixed', rule: 'build_at_or_after_fixed_build', comparison, why };
  }
  const container = containerOf(claim, installed, (id) => {
    const reached = known?.updates.get(id)?.fixedBuild ?? null;
    const step = reached === null ? null : compareBuildTexts(reached, build.text);
    return step !== null && step <= 0;
  });
  if (container !== null) return updateVerdict(claim, container);
  const claimed = updates === null ? null : containerOf(claim, installed, () => true);
  if (claimed !== null) {
    const why = `${claimed.installed} is reported as installed, but the build ${build.text} is older than ${fixedIn}: a restart is pending, or the installation did not go through.`;
    return {
      kind: 'vulnerable',
      rule: 'update_installed_but_build_older',
      comparison: 'less',
      installedUpdate: claimed.installed,
      why,
    };
  }
  const why = `its build ${build.text} is older than ${fixedIn}.`;
  return { kind: 'vulnerable', rule: 'build_older_than_fixed_build', comparison: 'less', why };
}

interface Container {
  readonly installed: string;
  readonly fixing: string;
}

/** An installed update that brings the fix, itself first, then one that contains it. */
function containerOf(
  claim: WindowsClaim,
  { updates, listed, known }: Installed,
  accept: (id: string) => boolean,
): Container | null {
  if (updates === null) return null;
  for (const id of updates)
    if (claim.updates.includes(id) && accept(id)) return { installed: id, fixing: id };
  if (known === null) return null;
  for (const id of listed) {
    if (!accept(id)) continue;
    const fixing = claim.updates.find((one) => known.contains(id, one));
    if (fixing !== undefined) return { installed: id, fixing };
  }
  return null;
}

function updateVerdict(claim: WindowsClaim, { installed, fixing }: Container): Judgement {
  if (installed === fixing) {
    const why = `${installed} is installed, which fixes ${claim.vulnerability}.`;
    return { kind: 'fixed', rule: 'fixing_update_installed', installedUpdate: installed, why };
  }
  const why = `${installed} is installed, which contains ${fixing}, the fix of ${claim.vulnerability}.`;
  return { kind: 'fixed', rule: 'containing_update_installed', installedUpdate: installed, why };
}

/** A fix of which only the build is named, where an installed cumulative update brings at least that build. */
function reachedBuild(claim: WindowsClaim, { updates, known }: Installed): Judgement | null {
  const { fixedVersion } = claim;
  if (fixedVersion === null || claim.updates.length > 0 || known?.isCumulative !== true) return null;
  for (const id of updates ?? []) {
    const build = known.cumulative.has(id) ? (known.updates.get(id)?.fixedBuild ?? null) : null;
    const order = build === null ? null : compareBuildTexts(build, fixedVersion);
    if (order === null || order < 0) continue;
    const why = `${id} is installed, which brings build ${build ?? ''}, not older than ${fixedVersion}, in which ${claim.vulnerability} is fixed.`;
    const comparison = order === 0 ? 'equal' : 'greater';
    return { kind: 'fixed', rule: 'containing_update_installed', comparison, installedUpdate: id, why };
  }
  return null;
}

function byUpdates(claim: WindowsClaim, installed: Installed): Judgement {
  const { software, build, updates, unlisted } = installed;
  const container = containerOf(claim, installed, () => true);
  if (container !== null) return updateVerdict(claim, container);
  const fixes = claim.updates.join(' or ');
  if (updates === null) {
    const what =
      build === null
        ? 'neither its full build nor its installed updates are known'
        : `its build ${software.version} does not tell, and its installed updates are not known`;
    const rule = build === null ? 'build_and_updates_unknown' : 'build_cannot_prove_fix';
    return { kind: 'undetermined', rule, why: `${what}, so ${claim.vulnerability} cannot be judged.` };
  }
  const reached = reachedBuild(claim, installed);
  if (reached !== null) return reached;
  if (claim.updates.length === 0) {
    const named = claim.fixedVersion === null ? 'no update' : `only build ${claim.fixedVersion}`;
    const own = software.version === '' ? 'is not known' : `(${software.version}) does not compare with it`;
    const why = `${named} is named as the fix of ${claim.vulnerability}, and its own build ${own}.`;
    return { kind: 'undetermined', rule: 'build_cannot_prove_fix', comparison: 'incomparable', why };
  }
  const lowest = Math.min(...claim.updates.map(numberOfKb));
  const open = unlisted.find((id) => numberOfKb(id) > lowest - seasonApart);
  if (open !== undefined) {
    const why = `none of ${fixes}, which fix ${claim.vulnerability}, is installed, but ${open} is, of which the data says nothing and which may contain the fix. The full build of the host (UBR in its registry) would tell.`;
    return { kind: 'undetermined', rule: 'unlisted_update_may_contain_fix', installedUpdate: open, why };
  }
  const which = claim.updates.length === 1 ? `${fixes}, which fixes` : `none of ${fixes}, which fix`;
  const verb = claim.updates.length === 1 ? 'is not installed, nor an update' : 'is installed, nor an update';
  const why = `${which} ${claim.vulnerability}, ${verb} that contains it.`;
  return { kind: 'vulnerable', rule: 'no_fixing_update_installed', why };
}
