/**
 * How fast software is matched: all distinct software of the Debian extract in one pass, and how near that is to what the
 * comparisons alone cost and to what reading the same memory costs.
 */
import { extractFacts } from '@fixpoint/cli/knowledge/make.ts';
import { decideAll } from '@fixpoint/core/knowledge/decision.ts';
import type { SourcedStatement } from '@fixpoint/core/knowledge/union.ts';
import { evidenceOf } from '@fixpoint/core/match/evidence.ts';
import {
  concerns,
  indexDecisions,
  lookUp,
  matchSoftware,
  type MatchSoftware,
} from '@fixpoint/core/match/match.ts';
import { compareDpkg, parseDpkg, type DpkgVersion } from '@fixpoint/core/version/dpkg.ts';
import { grouped, median, repeat, report, spread } from './statistics.ts';

const targetPerSecond = 500_000;
const secondsEach = 2;

export async function benchMatch(): Promise<void> {
  const statements: SourcedStatement[] = [];
  for await (const { feed, record, fact } of extractFacts()) {
    if (fact.kind === 'statement') statements.push({ feed, record, statement: fact });
  }
  const decideTimes = repeat(() => decideAll(statements), 1);
  const decisions = decideAll(statements);
  const indexTimes = repeat(() => indexDecisions(decisions), 1);
  const index = indexDecisions(decisions);
  const software = versionHistory(statements);

  let decided = 0;
  let vulnerable = 0;
  const pass = (): void => {
    decided = 0;
    vulnerable = 0;
    for (const one of software) {
      matchSoftware(one, index, (kind) => {
        decided++;
        if (kind === 'vulnerable') vulnerable++;
      });
    }
  };
  const passTimes = repeat(pass, secondsEach);
  const pairs = comparedPairs(software, index);
  let sum = 0;
  const compareTimes = repeat(() => {
    for (let i = 0; i < pairs.installed.length; i++) {
      const a = pairs.installed[i];
      const b = pairs.fixed[i];
      if (a !== undefined && b !== undefined) sum += compareDpkg(a, b);
    }
  }, secondsEach);
  const readTimes = repeat(() => {
    for (let i = 0; i < pairs.installed.length; i++) {
      const a = pairs.installed[i];
      const b = pairs.fixed[i];
      if (a !== undefined && b !== undefined) {
        sum += a.epoch + b.epoch + a.text.charCodeAt(a.upstreamStart) + b.text.charCodeAt(b.upstreamStart);
      }
    }
  }, secondsEach);
  const evidenceTimes = repeat(() => {
    for (const one of software)
      for (const verdict of concerns(one, index)) sum += evidenceOf(one, verdict).sentence.length;
  }, secondsEach);

  const packages = new Set(software.map((one) => one.source)).size;
  console.log('\nmatch: all distinct software of the Debian 12 extract, one pass, one core');
  console.log('\n work');
  report('statements of the feeds', grouped(statements.length));
  report('decisions (statements united)', grouped(decisions.length));
  report(
    'distinct software (source package at a version)',
    `${grouped(software.length)} of ${grouped(packages)} packages`,
  );
  report(
    'decisions about software in one pass',
    `${grouped(decided)}, ${grouped(vulnerable)} of them "vulnerable"`,
  );
  report('versions compared in one pass', grouped(pairs.installed.length));
  console.log('\n time');
  const perSecond = (decided / median(passTimes)) * 1000;
  report(
    'one pass',
    `${median(passTimes).toFixed(1)} ms (${spread(passTimes, 1)}, ${String(passTimes.length)} runs)`,
  );
  report('decisions a second and core', grouped(perSecond), {
    text: `≥ ${grouped(targetPerSecond)}`,
    met: perSecond >= targetPerSecond,
  });
  report(
    'with evidence for everything vulnerable',
    `${median(evidenceTimes).toFixed(1)} ms, ${grouped((decided / median(evidenceTimes)) * 1000)} decisions/s`,
  );
  report('uniting the statements before', `${median(decideTimes).toFixed(1)} ms`);
  report('indexing the decisions before', `${median(indexTimes).toFixed(1)} ms`);
  console.log('\n limit');
  const comparePart = median(compareTimes) / median(passTimes);
  report(
    'the same comparisons alone',
    `${median(compareTimes).toFixed(1)} ms, ${grouped((pairs.installed.length / median(compareTimes)) * 1000)} a second`,
  );
  report('reading the same versions from memory alone', `${median(readTimes).toFixed(1)} ms`);
  report(
    'share of a pass that is comparing',
    `${(comparePart * 100).toFixed(0)} % (the rest is looking up, deciding and telling)`,
  );
  if (!Number.isFinite(sum)) throw new Error('the sums keep the work from being optimised away');
}

/**
 * Every version that the data knows of each source package: those that fixed something, and those of its changelog. That
 * is what a fleet with hosts of every age has installed.
 */
function versionHistory(statements: readonly SourcedStatement[]): MatchSoftware[] {
  const software = new Map<string, MatchSoftware>();
  const add = (source: string, version: string): void => {
    // Of the kernel only images are matched.
    const name = source === 'linux' ? `linux-image-${version}-amd64` : source;
    software.set(`${source}\t${version}`, { name, version, source, source_version: version });
  };
  for (const { feed, record, statement } of statements) {
    if (statement.fixedVersion !== null) add(statement.package, statement.fixedVersion);
    const entry = /^([^/]+)\/(.+)$/u.exec(record);
    if (feed === 'debian-changelog' && entry?.[1] !== undefined && entry[2] !== undefined)
      add(entry[1], entry[2]);
  }
  return [...software.values()];
}

/** The pairs that a pass compares, in its order. */
function comparedPairs(
  software: readonly MatchSoftware[],
  index: ReturnType<typeof indexDecisions>,
): { installed: DpkgVersion[]; fixed: DpkgVersion[] } {
  const installed: DpkgVersion[] = [];
  const fixed: DpkgVersion[] = [];
  for (const one of software) {
    const target = lookUp(index.ecosystem, one);
    if (target === null) continue;
    const parsed = parseDpkg(target.sourceVersion);
    if (!parsed.ok) continue;
    for (const ready of index.ofSource(target.source)) {
      if (ready.decision.status !== 'fixed' || ready.fixed === null) continue;
      const reference = parseDpkg(ready.fixed.text);
      if (!reference.ok) continue;
      installed.push(parsed.version);
      fixed.push(reference.version);
    }
  }
  return { installed, fixed };
}
