/** SARIF and CycloneDX VEX of real roots, checked against their schemas, and that they say what the scan says. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Ajv, type ValidateFunction } from 'ajv';
import addFormats from 'ajv-formats';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createScanFixture, dpkgStanza } from './fixture-root.ts';
import { sarifSubset } from './sarif-subset.ts';

const fixture = createScanFixture();
afterAll(() => fixture.remove());

/** The official schemas, as the CycloneDX project's own library carries them. */
const schemas = join(import.meta.dirname, '../../../node_modules/@cyclonedx/cyclonedx-library/res/schema');
const officialSchema = (name: string): object => {
  const schema: unknown = JSON.parse(readFileSync(join(schemas, `${name}.SNAPSHOT.schema.json`), 'utf8'));
  if (typeof schema !== 'object' || schema === null) throw new Error(`${name} is no schema`);
  return schema;
};

function createAjv(): Ajv {
  const ajv = new Ajv({ strict: false, allErrors: true, validateFormats: true });
  addFormats.default(ajv);
  ajv.addFormat('iri-reference', (value: string) => !/[\s<>"{}|\\^`]/u.test(value));
  ajv.addFormat('idn-email', (value: string) => /^\S+@\S+$/u.test(value));
  return ajv;
}

const cycloneDx = createAjv()
  // The library renamed the files, and not the identifiers in them.
  .addSchema(officialSchema('spdx'), 'http://cyclonedx.org/schema/spdx.SNAPSHOT.schema.json')
  .addSchema(officialSchema('jsf-0.82'), 'http://cyclonedx.org/schema/jsf-0.82.SNAPSHOT.schema.json')
  .compile(officialSchema('bom-1.6'));
const sarif = createAjv().compile(sarifSubset);

function problemsOf(validate: ValidateFunction, value: unknown): unknown[] {
  validate(value);
  return (validate.errors ?? []).slice(0, 5);
}

const bookworm = 'ID=debian\nVERSION_ID="12"\nPRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\n';
const status = [
  dpkgStanza('openssl', '3.0.9-1'),
  dpkgStanza('libssl3', '3.0.9-1', { Source: 'openssl' }),
  dpkgStanza('curl', 'not a version'),
  dpkgStanza('zlib1g', '1:99.9-1', { Source: 'zlib (1:1.2.13.dfsg-1)' }),
  dpkgStanza('nodejs', '20.1.0-1nodesource1'),
  dpkgStanza('linux-image-6.1.0-9-amd64', '6.1.27-1', { Source: 'linux-signed-amd64 (6.1.27+1)' }),
  dpkgStanza('acme-agent', '1'),
].join('');

interface SarifResult {
  readonly ruleId: string;
  readonly ruleIndex: number;
  readonly kind: string;
  readonly level: string;
  readonly message: { readonly text: string };
  readonly partialFingerprints: Readonly<Record<string, string>>;
  readonly locations: readonly {
    readonly physicalLocation: { readonly artifactLocation: { readonly uri: string } };
    readonly logicalLocations: readonly { readonly name: string; readonly fullyQualifiedName: string }[];
  }[];
}
interface SarifDocument {
  readonly runs: readonly [
    {
      readonly tool: {
        readonly driver: {
          readonly rules: readonly {
            readonly id: string;
            readonly properties?: Readonly<Record<string, unknown>>;
          }[];
        };
      };
      readonly originalUriBaseIds: { readonly ROOT: { readonly uri: string } };
      readonly results: readonly SarifResult[];
    },
  ];
}
interface VexVulnerability {
  readonly id: string;
  readonly 'bom-ref': string;
  readonly analysis: { readonly state: string; readonly justification?: string; readonly detail: string };
  readonly affects: readonly { readonly ref: string }[];
}
interface VexDocument {
  readonly components: readonly {
    readonly 'bom-ref': string;
    readonly name: string;
    readonly purl?: string;
  }[];
  readonly vulnerabilities: readonly VexVulnerability[];
}

let root = '';
beforeAll(() => {
  root = fixture.root({ 'etc/os-release': bookworm, 'var/lib/dpkg/status': status });
});
function written(format: string, args: readonly string[]): string {
  const { stdout, stderr, status: code } = fixture.run(['scan', '--format', format, ...args]);
  if (code !== 0) throw new Error(stderr);
  return stdout;
}
function sarifOf(args: readonly string[] = ['--root', root]): SarifDocument {
  const log: SarifDocument = JSON.parse(written('sarif', args));
  return log;
}
function vexOf(args: readonly string[] = ['--root', root]): VexDocument {
  const document: VexDocument = JSON.parse(written('cyclonedx-vex', args));
  return document;
}

describe('SARIF', () => {
  test('has the form of the specification; the schema would notice', () => {
    const log = sarifOf();
    expect(problemsOf(sarif, log)).toEqual([]);
    expect(problemsOf(sarif, { ...log, version: '2.0.0' })).not.toEqual([]);
    const [run] = log.runs;
    const spoilt = { ...run, results: [{ ...run.results[0], kind: 'open' }] };
    expect(problemsOf(sarif, { ...log, runs: [spoilt] })).not.toEqual([]);
  });

  test('a result for each package of a finding, under the rule of the vulnerability', () => {
    const [{ results, tool, originalUriBaseIds }] = sarifOf().runs;
    const { rules } = tool.driver;
    expect(new Set(rules.map((rule) => rule.id)).size).toBe(rules.length);
    expect(results.every((one) => rules[one.ruleIndex]?.id === one.ruleId)).toBe(true);
    const of = results.filter((one) => one.ruleId === 'CVE-2023-5363');
    expect(of.map((one) => one.locations[0]?.logicalLocations[0]?.fullyQualifiedName)).toEqual([
      'pkg:deb/debian/openssl@3.0.9-1?arch=amd64&distro=debian-12',
      'pkg:deb/debian/libssl3@3.0.9-1?arch=amd64&distro=debian-12&upstream=openssl',
    ]);
    expect(of[0]?.locations[0]?.physicalLocation.artifactLocation.uri).toBe('var/lib/dpkg/status');
    expect(originalUriBaseIds.ROOT.uri).toBe(`file://${root}/`);
    expect(of[0]?.message.text).toContain('is older than 3.0.11-1~deb12u2');
    expect(rules[of[0]?.ruleIndex ?? -1]?.properties).toMatchObject({ 'security-severity': '7.5' });
    const { findings } = fixture.scanJson(['--root', root]);
    expect(new Set(results.filter((one) => one.kind === 'fail').map((one) => one.ruleId))).toEqual(
      new Set(findings.map((f) => f.vulnerability)),
    );
  });

  test('what could not be judged is open, not absent', () => {
    const [{ results }] = sarifOf().runs;
    const open = results.filter((one) => one.kind === 'open');
    expect(new Set(open.map((one) => one.locations[0]?.logicalLocations[0]?.name))).toEqual(
      new Set(['curl', 'nodejs']),
    );
    expect(open.every((one) => one.level === 'none')).toBe(true);
  });

  test('fingerprints are unique, and outlive an update that does not fix', () => {
    const [{ results }] = sarifOf().runs;
    const prints = (of: readonly SarifResult[]): string[] =>
      of.map((one) => one.partialFingerprints['fixpointPackage/v1'] ?? '');
    expect(new Set(prints(results)).size).toBe(results.length);
    const updated = fixture.root({
      'etc/os-release': bookworm,
      'var/lib/dpkg/status': dpkgStanza('openssl', '3.0.9-1+really1'),
    });
    const [later] = sarifOf(['--root', updated]).runs;
    expect(later.results.length).toBeGreaterThan(5);
    expect(prints(results)).toEqual(expect.arrayContaining(prints(later.results)));
  });

  test('of an SBOM points into the SBOM', () => {
    const bom = join(fixture.folder, 'my bom.json');
    writeFileSync(
      bom,
      JSON.stringify({
        bomFormat: 'CycloneDX',
        specVersion: '1.6',
        components: [
          { type: 'library', name: 'openssl', purl: 'pkg:deb/debian/openssl@3.0.9-1?distro=debian-12' },
          { type: 'library', name: 'left-pad', purl: 'pkg:npm/left-pad@1.3.0' },
        ],
      }),
    );
    const log = sarifOf(['--sbom', bom]);
    expect(problemsOf(sarif, log)).toEqual([]);
    const [{ results }] = log.runs;
    expect(results[0]?.locations[0]?.physicalLocation.artifactLocation.uri).toBe('my%20bom.json');
    expect(results.find((one) => one.kind === 'open')?.message.text).toContain('left-pad');
  });
});

describe('CycloneDX VEX', () => {
  test('is valid by the official schema of 1.6; the schema would notice', () => {
    const document = vexOf();
    expect(problemsOf(cycloneDx, document)).toEqual([]);
    const [first] = document.vulnerabilities;
    const spoilt = { ...document, vulnerabilities: [{ ...first, analysis: { state: 'open' } }] };
    expect(problemsOf(cycloneDx, spoilt)).not.toEqual([]);
  });

  test('every state, and every reference leads to a component', () => {
    const { components, vulnerabilities } = vexOf();
    const refs = new Set(components.map((one) => one['bom-ref']));
    expect(refs.size).toBe(components.length);
    expect(components).toHaveLength(7);
    expect(components.find((one) => one.name === 'acme-agent')).toMatchObject({
      properties: [{ name: 'fixpoint:unknown' }],
    });
    expect(vulnerabilities.every((one) => one.affects.every(({ ref }) => refs.has(ref)))).toBe(true);
    expect(new Set(vulnerabilities.map((one) => one['bom-ref'])).size).toBe(vulnerabilities.length);
    const states = Map.groupBy(vulnerabilities, (one) => one.analysis.state);
    expect([...states.keys()].sort()).toEqual(['exploitable', 'in_triage', 'resolved']);
    const { findings } = fixture.scanJson(['--root', root]);
    expect(new Set(states.get('exploitable')?.map((one) => one.id))).toEqual(
      new Set(findings.map((f) => f.vulnerability)),
    );
    const of = (state: string): Set<string> =>
      new Set(states.get(state)?.flatMap((one) => one.affects.map(({ ref }) => ref.replace(/@.*/u, ''))));
    expect(of('in_triage')).toEqual(new Set(['pkg:deb/debian/curl', 'pkg:deb/debian/nodejs']));
    expect(of('resolved')).toContain('pkg:deb/debian/openssl');
  });

  test('what the vendor says is not affected, with the justification', () => {
    const knowledge = join(fixture.folder, 'knowledge');
    const feed = join(import.meta.dirname, '../../../server/src/feed/alpine-secdb/sample/v3.18-main.json');
    const made = fixture.run([
      'knowledge',
      'make',
      '--no-extract',
      '--out',
      knowledge,
      '--feed',
      `alpine-secdb=${feed}`,
    ]);
    expect(made.status).toBe(0);
    const alpine = fixture.root({
      'etc/os-release': 'ID=alpine\nVERSION_ID=3.18.4\n',
      'lib/apk/db/installed': 'P:libssl3\nV:3.1.3-r0\nA:x86_64\no:openssl\n\n',
    });
    const document = vexOf(['--root', alpine, '--knowledge', knowledge]);
    expect(problemsOf(cycloneDx, document)).toEqual([]);
    expect(document.components.map((one) => one.purl)).toEqual([
      'pkg:apk/alpine/libssl3@3.1.3-r0?arch=x86_64&distro=alpine-3.18.4&upstream=openssl',
    ]);
    const notAffected = document.vulnerabilities.find((one) => one.id === 'CVE-2022-1292');
    expect(notAffected?.analysis).toMatchObject({
      state: 'not_affected',
      justification: 'code_not_present',
      detail: expect.stringContaining('The vendor says'),
    });
  });

  test('of an SBOM keeps its references', () => {
    const bom = join(fixture.folder, 'bom.json');
    writeFileSync(
      bom,
      JSON.stringify({
        bomFormat: 'CycloneDX',
        specVersion: '1.4',
        serialNumber: 'urn:uuid:3e671687-395b-41f5-a30f-a58921a69b79',
        components: [
          {
            type: 'library',
            'bom-ref': 'one',
            name: 'openssl',
            purl: 'pkg:deb/debian/openssl@3.0.9-1?distro=debian-12',
          },
          { type: 'library', 'bom-ref': 'two', name: 'left-pad', purl: 'pkg:npm/left-pad@1.3.0' },
        ],
      }),
    );
    const document = vexOf(['--sbom', bom]);
    expect(problemsOf(cycloneDx, document)).toEqual([]);
    expect(document.components.map((one) => one['bom-ref'])).toEqual(['one', 'two']);
    expect(document.vulnerabilities.every((one) => one.affects[0]?.ref === 'one')).toBe(true);
  });
});
