/** What Microsoft's security documents, CVRF and CSAF, say in the same words: products, KB numbers, builds, exploitation. */
import type { StatementFact, ThreatFact, UpdateFact } from '@fixpoint/core/knowledge/facts.ts';
import { compareWindowsBuild, parseWindowsBuild } from '@fixpoint/core/version/windows-build.ts';
import { FeedFetchError, FeedFormatError, type FeedDownload } from '../feed.ts';
import { openInput, wholeText } from '../input.ts';

/**
 * A product's name in one spelling. MSRC names the same product id with one blank or two (`Windows Server 2019  (Server
 * Core installation)`), and has renamed the first release of Windows 11 since: ids 11926 and 11927.
 */
export function productName(text: string): string {
  const name = text.replaceAll(/\s+/gu, ' ').trim();
  return name.replace(/^Windows 11 for /u, 'Windows 11 version 21H2 for ');
}

/**
 * Linux distributions of Microsoft's that are listed among its products, as `CBL Mariner 2.0 x64`. Their packages are RPMs
 * whose names stand where a KB stands, so nothing of it can be read as a statement about Windows; it is left out.
 */
export function isLinux(product: string): boolean {
  return /^(?:CBL[- ]?Mariner|Mariner|Azure Linux|azl\d|cbl\d)\b|\bon (?:CBL[- ]?Mariner|Azure Linux)\b/iu.test(
    product,
  );
}

/** Whether a product is Windows itself, and not something that runs on it (`Microsoft .NET Framework 4.8 on Windows …`). */
export function isOperatingSystem(product: string): boolean {
  return /^Windows (?:\d|Server\b|Vista\b|RT\b|XP\b)/u.test(product);
}

/** `5040430` or `KB5040430` as `KB5040430`; null for what stands there else: `Release Notes`, `Click to Run`, a URL. */
export function kbOf(text: string): string | null {
  const match = /^(?:KB)?(\d{6,8})$/iu.exec(text.trim());
  return match === null ? null : `KB${match[1] ?? ''}`;
}

/** The KB that an address is about, such as `https://support.microsoft.com/help/5002744`, or null. */
export function kbOfUrl(url: string): string | null {
  const match =
    /^https?:\/\/(?:[\w-]+\.)*microsoft\.com(?=\/)\S*?(?:\/help\/|\/kb\/|[?&]q=)(?:KB)?(\d{6,8})(?:$|[/?#&])/iu.exec(
      url.trim(),
    );
  return match === null ? null : `KB${match[1] ?? ''}`;
}

/**
 * KBs in the field of superseded updates: `5039217`, `4489488; 4495165`, `MS16-016, 3124280; MS16-097, 3178034`. Numbers
 * of bulletins are dropped, their KBs stand beside them.
 */
export function supersededKbs(text: string): string[] {
  return [...new Set(text.match(/(?<![\d.-])\d{6,8}(?![\d.-])/gu) ?? [])].map((kb) => `KB${kb}`).sort();
}

/**
 * The build in a field that also holds addresses, words and two builds at once; null when it is not exactly one build of
 * three or four numbers. Of Windows itself it must be a build of Windows: Internet Explorer's `1.001` is no such.
 */
export function fixedBuildOf(text: string, product: string): string | null {
  const parsed = parseWindowsBuild(text.trim().replace(/^v\.?\s*(?=\d)/iu, ''));
  if (!parsed.ok || parsed.version.numbers.length < 3) return null;
  if (isOperatingSystem(product) && !/^(?:10\.0|6\.[0-4])\.\d{4,5}\.\d+$/u.test(parsed.version.text))
    return null;
  return parsed.version.text;
}

/** A fix of one product: a remediation of type "Vendor Fix" that names a KB, a build, or both. */
export interface VendorFix {
  readonly kb: string | null;
  readonly fixedBuild: string | null;
  readonly supersedes: readonly string[];
  /** `Security Update`, `Monthly Rollup`, `Security Only`, `SecurityHotpatchUpdate`. */
  readonly type: string | null;
  readonly restart: UpdateFact['restart'];
  readonly url: string | null;
}

type FixWords = Pick<StatementFact, 'status' | 'fixedVersion' | 'updates' | 'fixState'> & {
  readonly reason: string | null;
};

const isHotpatch = (fix: VendorFix): boolean => /hotpatch/iu.test(fix.type ?? '');
const isServicingStack = (fix: VendorFix): boolean => /servicing ?stack/iu.test(fix.type ?? '');

/**
 * What the fixes of one product come to. MSRC lists them side by side and does not say whether one is enough, so:
 *
 * 1. Fixes of different types are alternatives (`Monthly Rollup` or `Security Only`; a cumulative update or its hotpatch):
 *    any of their KBs is enough. But not `Security Only` beside `IE Cumulative`: it lacks the browser's part of the fix. A
 *    servicing stack update counts only where nothing else is listed.
 * 2. Several KBs of one type that do not supersede each other are parts, as of Office: all are needed, so no KB alone is
 *    taken for the fix, only a build.
 * 3. The fixed build is the lowest of the alternatives, hotpatches left out, and only if all are of one branch. A hotpatch
 *    has a build of its own that is older than that of the cumulative update; who has it has its KB.
 */
export function fixWords(fixes: readonly VendorFix[]): FixWords {
  const real = fixes.some((fix) => !isServicingStack(fix))
    ? fixes.filter((fix) => !isServicingStack(fix))
    : fixes;
  const ofBrowser = real.some((fix) => fix.type === 'IE Cumulative');
  const alternatives = real.filter((fix) => !(ofBrowser && fix.type === 'Security Only'));
  const parts = partsOf(alternatives);
  const updates =
    parts === null ? [...new Set(alternatives.flatMap(({ kb }) => (kb === null ? [] : [kb])))].sort() : [];
  const cumulative = alternatives.filter((fix) => !isHotpatch(fix));
  const builds = [
    ...new Set(cumulative.flatMap(({ fixedBuild }) => (fixedBuild === null ? [] : [fixedBuild]))),
  ];
  const fixedVersion = extremeBuild(builds, parts === null ? 'lowest' : 'highest');
  if (updates.length > 0 || fixedVersion !== null) {
    const reason = parts === null ? null : `needs all of ${parts.join(', ')}`;
    return { status: 'fixed', fixedVersion, updates, fixState: 'available', reason };
  }
  if (parts !== null) {
    const reason = `fixed by ${parts.join(', ')} together; the record does not say whether all are needed`;
    return { status: 'undetermined', fixedVersion: null, updates: [], fixState: 'available', reason };
  }
  if (builds.length > 1) {
    const reason = `several fixed builds for one product: ${builds.join(', ')}`;
    return { status: 'undetermined', fixedVersion: null, updates: [], fixState: 'available', reason };
  }
  return {
    status: 'affected',
    fixedVersion: null,
    updates: [],
    fixState: 'available',
    reason: 'a fix is published, and neither a KB nor a build is named',
  };
}

/** KBs of one type of which none supersedes another: parts of one fix. Null when there are none such. */
function partsOf(fixes: readonly VendorFix[]): string[] | null {
  for (const list of Map.groupBy(fixes, ({ type }) =>
    type === 'Cumulative Update' ? 'Security Update' : type,
  ).values()) {
    const superseded = new Set(list.flatMap(({ supersedes }) => supersedes));
    const kbs = [...new Set(list.flatMap(({ kb }) => (kb === null || superseded.has(kb) ? [] : [kb])))];
    if (kbs.length > 1) return kbs.sort();
  }
  return null;
}

/** The lowest or highest of builds of one branch; null when there is none, or when they are of several branches. */
function extremeBuild(builds: readonly string[], which: 'lowest' | 'highest'): string | null {
  let best: string | null = null;
  for (const build of builds) {
    if (best === null) {
      best = build;
      continue;
    }
    const order = compareBuilds(build, best);
    if (order === null) return null;
    if (which === 'lowest' ? order < 0 : order > 0) best = build;
  }
  return best;
}

function compareBuilds(a: string, b: string): number | null {
  const left = parseWindowsBuild(a);
  const right = parseWindowsBuild(b);
  if (!left.ok || !right.ok) return null;
  const order = compareWindowsBuild(left.version, right.version);
  return order === 'incomparable' ? null : order;
}

/** `Publicly Disclosed:No;Exploited:Yes;Latest Software Release:Exploitation Detected` */
export function saysExploited(text: string): boolean {
  return text.split(';').some((part) => /^\s*Exploited\s*:\s*Yes\s*$/iu.test(part));
}

/** @param at ISO 8601 UTC */
export function exploitedFact(vulnerability: string, at: string, reference: string): ThreatFact {
  return {
    kind: 'threat',
    vulnerability,
    threat: 'exploited',
    probability: null,
    percentile: null,
    ransomware: null,
    ssvc: null,
    assertedOn: at.slice(0, 10),
    dueOn: null,
    title: null,
    reference,
  };
}

export function guidePage(vulnerability: string): string {
  return `https://msrc.microsoft.com/update-guide/vulnerability/${vulnerability}`;
}

/** CVE ids, and Microsoft's own for advisories: `ADV990001`. */
export function isVulnerabilityId(text: string): boolean {
  return /^(?:CVE-\d{4}-\d{4,19}|ADV\d{6})$/u.test(text);
}

/**
 * The text of a publisher's list of documents, read by `read`. A list that holds nothing is refused: it would look as if
 * nothing had changed.
 */
export async function readIndex<T>(
  index: FeedDownload,
  read: (text: string) => readonly T[],
): Promise<readonly T[]> {
  let entries: readonly T[];
  try {
    entries = read(await wholeText(await openInput({ name: index.name, bytes: index.open() })));
  } catch (error) {
    if (error instanceof FeedFormatError)
      throw new FeedFetchError('index_unusable', error.message, error.whatToDo);
    throw error;
  }
  if (entries.length === 0) {
    const what = 'Open the address in a browser: MSRC may have changed the form of its list.';
    throw new FeedFetchError('index_unusable', `${index.url ?? index.name} lists no document`, what);
  }
  return entries;
}
