import { basename, dirname } from 'node:path';
import { pathToFileURL } from 'node:url';
import { hash } from '../knowledge/local.ts';
import { version } from '../version.ts';
import type { SubjectAssessment } from './assess-subject.ts';
import type { ScanFinding, ScanUndetermined } from './assess.ts';
import type { ScanPackage } from './judge.ts';
import { advisoryUrl, purlOf, vulnerabilityUrl } from './reference.ts';
import type { ScanPart, ScanSubject } from './subject.ts';

/**
 * SARIF 2.1.0 (docs.oasis-open.org/sarif/sarif/v2.1.0): a rule for each vulnerability, a result for each package that has it.
 * What could not be judged is a result of kind `open`, which the specification has for "not enough information to decide",
 * under the vulnerability or, where none is known by name, under the rule {@link undeterminedRule}.
 */

const undeterminedRule = 'fixpoint/undetermined';

type Level = 'error' | 'warning' | 'note' | 'none';

interface Rule {
  readonly id: string;
  readonly [property: string]: unknown;
}

interface Found {
  readonly rule: Rule;
  readonly level: Level;
  readonly kind: 'fail' | 'open';
  readonly text: string;
  readonly part: ScanPart | null;
  readonly name: string;
  readonly version: string;
  readonly package: ScanPackage | null;
  readonly properties: Readonly<Record<string, unknown>>;
}

export function sarifLog(subject: ScanSubject, { assessment, affected, partOf }: SubjectAssessment): object {
  const found: Found[] = [
    ...assessment.findings.flatMap((finding) =>
      (affected.get(finding) ?? []).map((p) => ofFinding(finding, p, partOf.get(finding) ?? null)),
    ),
    ...assessment.undetermined.flatMap((one) =>
      ofUndetermined(one, affected.get(one) ?? [], partOf.get(one) ?? null),
    ),
  ];
  const rules = new Map<string, { readonly rule: Rule; readonly index: number }>();
  for (const { rule, kind } of found) {
    const known = rules.get(rule.id);
    if (known === undefined) rules.set(rule.id, { rule, index: rules.size });
    // What a finding says of a vulnerability is more than what an undetermined one does.
    else if (kind === 'fail' && !('help' in known.rule)) rules.set(rule.id, { rule, index: known.index });
  }
  const artifact = artifactOf(subject);
  return {
    $schema: 'https://json.schemastore.org/sarif-2.1.0.json',
    version: '2.1.0',
    runs: [
      {
        tool: {
          driver: {
            name: 'Fixpoint',
            version,
            rules: [...rules.values()].map(({ rule }) => rule),
          },
        },
        columnKind: 'utf16CodeUnits',
        originalUriBaseIds: { ROOT: { uri: artifact.base } },
        artifacts: [{ location: { uri: artifact.uri, uriBaseId: 'ROOT' } }],
        results: found.map((one) => resultOf(one, rules.get(one.rule.id)?.index ?? 0, artifact.uri)),
      },
    ],
  };
}

/** The package database, or the SBOM, and the folder it is below. */
function artifactOf({ source }: ScanSubject): { readonly base: string; readonly uri: string } {
  const folder = source.kind === 'sbom' ? dirname(source.file) : source.root;
  const path = source.kind === 'sbom' ? basename(source.file) : source.database.slice(1);
  const { href } = pathToFileURL(folder);
  return {
    base: href.endsWith('/') ? href : `${href}/`,
    uri: path.split('/').map(encodeURIComponent).join('/'),
  };
}

function ofFinding(finding: ScanFinding, p: ScanPackage, part: ScanPart | null): Found {
  const fix =
    finding.fixed_version === null
      ? 'No fix is published yet.'
      : `Update ${finding.package} to ${finding.patch_version ?? finding.fixed_version}.`;
  return {
    rule: ruleOf(finding),
    level: levelOf(finding),
    kind: 'fail',
    text: `${p.name} ${p.version}: ${finding.vulnerability}. ${finding.why} ${fix}`,
    part,
    name: p.name,
    version: p.version,
    package: p,
    properties: {
      package: finding.package,
      installed_version: finding.installed_version,
      fixed_version: finding.fixed_version,
      fix_state: finding.fix_state,
      patch: finding.patch,
      exploited: finding.exploited,
      epss: finding.epss,
      feed: finding.source.feed,
      record: finding.source.record,
      advisory: finding.source.advisory,
      ...(finding.kernel === null ? {} : { kernel: finding.kernel }),
    },
  };
}

function ofUndetermined(
  one: ScanUndetermined,
  packages: readonly ScanPackage[],
  part: ScanPart | null,
): Found[] {
  const text = `${one.reason} ${one.what_to_do}`;
  const rules: readonly Rule[] =
    one.vulnerabilities.length === 0
      ? [
          {
            id: undeterminedRule,
            shortDescription: { text: 'Could not be judged, which does not mean safe' },
            defaultConfiguration: { level: 'none' },
          },
        ]
      : one.vulnerabilities.map((id) => ({
          id,
          shortDescription: { text: id },
          helpUri: vulnerabilityUrl(id),
        }));
  const subjects: readonly Pick<Found, 'name' | 'version' | 'package'>[] =
    packages.length > 0
      ? packages.map((p) => ({ name: p.name, version: p.version, package: p }))
      : one.installed.map((name) => ({ name, version: '', package: null }));
  return rules.flatMap((rule) =>
    subjects.map((about) => ({
      ...about,
      rule,
      level: 'none' as const,
      kind: 'open' as const,
      text: `${about.name}${about.version === '' ? '' : ` ${about.version}`} could not be judged: ${text}`,
      part,
      properties: { code: one.code },
    })),
  );
}

function ruleOf({ vulnerability, title, cvss, exploited, ransomware, source }: ScanFinding): Rule {
  const url = vulnerabilityUrl(vulnerability);
  const what = title ?? vulnerability;
  const danger = [
    cvss === null ? 'No CVSS score is known.' : `CVSS base score ${cvss.toFixed(1)}.`,
    ...(exploited ? ['Attacks with it are known.'] : []),
    ...(ransomware ? ['Ransomware campaigns use it.'] : []),
  ].join(' ');
  const advisory = source.advisory === null ? '' : ` [${source.advisory}](${advisoryUrl(source.advisory)})`;
  return {
    id: vulnerability,
    shortDescription: { text: what },
    fullDescription: { text: `${what}. ${danger}` },
    helpUri: url,
    help: {
      text: `${danger} Update the package to a version with the fix. ${url}`,
      markdown: `${danger} Update the package to a version with the fix. [${vulnerability}](${url})${advisory}`,
    },
    defaultConfiguration: { level: levelOf({ cvss, exploited }) },
    properties: {
      tags: ['security', 'vulnerability', ...(exploited ? ['exploited'] : [])],
      ...(cvss === null ? {} : { 'security-severity': cvss.toFixed(1) }),
    },
  };
}

function levelOf({ cvss, exploited }: Pick<ScanFinding, 'cvss' | 'exploited'>): Level {
  if (exploited || (cvss ?? 0) >= 7) return 'error';
  // Without a score it is not known to be minor.
  return cvss === null || cvss >= 4 ? 'warning' : 'note';
}

function resultOf(one: Found, ruleIndex: number, uri: string): object {
  const product = one.part === null ? '' : `${one.part.os.os} ${one.part.os.os_release}`;
  const purl = one.part === null || one.package === null ? null : purlOf(one.part.os, one.package);
  return {
    ruleId: one.rule.id,
    ruleIndex,
    kind: one.kind,
    level: one.level,
    message: { text: one.text },
    locations: [
      {
        physicalLocation: {
          artifactLocation: { uri, uriBaseId: 'ROOT', index: 0 },
          region: { startLine: 1 },
        },
        logicalLocations: [
          {
            name: one.name,
            fullyQualifiedName: purl ?? (one.version === '' ? one.name : `${one.name}@${one.version}`),
            kind: 'package',
          },
        ],
      },
    ],
    // Without the version, so that an update which does not fix it leaves it the same result.
    partialFingerprints: {
      'fixpointPackage/v1': hash(
        [one.rule.id, product, one.name, one.package?.arch ?? '', one.kind].join('\t'),
      ),
    },
    properties: one.properties,
  };
}
