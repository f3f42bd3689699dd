import { readFileSync, statSync } from 'node:fs';
import { Type, type Static } from 'typebox';
import { describeProblems, parseShape } from '@fixpoint/contract/parse.ts';
import { exitCodes } from '../exit-codes.ts';
import { Failure } from '../failure.ts';
import { codeOf } from '../output/stream.ts';

/**
 * Reads an SBOM: CycloneDX JSON 1.4 to 1.6 (cyclonedx.org/docs/1.6/json) and SPDX JSON 2.2 and 2.3 (spdx.github.io/spdx-spec).
 * Both come out as one list of components; where each belongs is for sbom-place.ts to say. A component that cannot be read
 * stays in the list as such: what is left out would read as safe.
 */

export interface Sbom {
  readonly file: string;
  readonly format: 'CycloneDX' | 'SPDX';
  readonly version: string;
  /** `urn:uuid:…`; null where the document has none. */
  readonly serialNumber: string | null;
  readonly components: readonly SbomComponent[];
  /** Operating systems that it names, as `ID VERSION`. */
  readonly systems: readonly { readonly id: string; readonly version: string }[];
  /** Components that are no packages: operating systems, containers, files, data. */
  readonly notPackages: number;
}

export interface SbomComponent {
  /** `bom-ref` or `SPDXID`; null where it has none. */
  readonly ref: string | null;
  readonly name: string;
  readonly version: string;
  readonly purl: string | null;
  readonly properties: ReadonlyMap<string, string>;
  /** SPDX: how the package was found; Trivy writes the source package there. */
  readonly sourceInfo: string;
  /** Why it cannot be read; then the rest is as much of it as could be. */
  readonly malformed: string | null;
}

const maximumBytes = 128 * 1024 * 1024;
const maximumComponents = 500_000;

/** @throws Failure `sbom_…` */
export function readSbom(file: string): Sbom {
  const value = parseText(file, readText(file));
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw noSbom(file);
  if ('bomFormat' in value) return readCycloneDx(file, value);
  if ('spdxVersion' in value) return readSpdx(file, value);
  if ('@context' in value && JSON.stringify(value['@context']).includes('spdx')) {
    throw unsupported(file, 'SPDX 3', 'SPDX 2.2 and 2.3');
  }
  throw noSbom(file);
}

function readText(file: string): string {
  try {
    const { size } = statSync(file);
    if (size > maximumBytes) {
      throw new Failure(
        exitCodes.inputUnusable,
        'sbom_too_big',
        `${file} has ${String(size)} bytes; the limit is ${String(maximumBytes)}`,
        'Make one SBOM for each image or host.',
      );
    }
    return readFileSync(file, 'utf8').replace(/^\uFEFF/u, '');
  } catch (error) {
    if (error instanceof Failure || codeOf(error) === '') throw error;
    throw new Failure(
      exitCodes.usage,
      'sbom_not_readable',
      `the SBOM ${file} cannot be read (${codeOf(error)})`,
      'Give --sbom a file that is there and that this account may read.',
    );
  }
}

function parseText(file: string, text: string): unknown {
  const start = text.slice(0, 4096).trimStart();
  if (start.startsWith('<')) {
    throw new Failure(
      exitCodes.inputUnusable,
      'sbom_not_json',
      `${file} is XML`,
      'Convert it to JSON, for example with `cyclonedx convert --input-format xml --output-format json`.',
    );
  }
  if (start.startsWith('SPDXVersion:')) {
    throw new Failure(
      exitCodes.inputUnusable,
      'sbom_not_json',
      `${file} is SPDX in its tag-value form`,
      'Convert it to JSON, for example with pyspdxtools.',
    );
  }
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new Failure(
      exitCodes.inputUnusable,
      'sbom_not_json',
      `${file} is not JSON: ${error instanceof Error ? error.message : String(error)}`,
      'Give a CycloneDX or SPDX document in JSON, whole.',
    );
  }
}

function noSbom(file: string): Failure {
  return new Failure(
    exitCodes.inputUnusable,
    'sbom_unknown_format',
    `${file} is neither a CycloneDX nor an SPDX document`,
    'Give CycloneDX JSON (1.4 to 1.6) or SPDX JSON (2.2 or 2.3).',
  );
}

function unsupported(file: string, version: string, supported: string): Failure {
  return new Failure(
    exitCodes.inputUnusable,
    'sbom_version_unsupported',
    `${file} is ${version}, which is not read`,
    `Make it as ${supported}.`,
  );
}

function malformed(file: string, problems: string): Failure {
  return new Failure(
    exitCodes.inputUnusable,
    'sbom_malformed',
    `${file} does not have the form of its format: ${problems}`,
    'Make it anew, or report it to the tool that wrote it.',
  );
}

function tooMany(file: string): Failure {
  return new Failure(
    exitCodes.inputUnusable,
    'sbom_too_big',
    `${file} has more than ${String(maximumComponents)} components`,
    'Make one SBOM for each image or host.',
  );
}

const CycloneDx = Type.Object({
  bomFormat: Type.Literal('CycloneDX'),
  specVersion: Type.String(),
  serialNumber: Type.Optional(Type.String()),
  components: Type.Optional(Type.Array(Type.Unknown())),
});

const CycloneDxComponent = Type.Object({
  type: Type.Optional(Type.String()),
  name: Type.String(),
  version: Type.Optional(Type.String()),
  purl: Type.Optional(Type.String()),
  'bom-ref': Type.Optional(Type.String()),
  properties: Type.Optional(
    Type.Array(Type.Object({ name: Type.Optional(Type.String()), value: Type.Optional(Type.String()) })),
  ),
  components: Type.Optional(Type.Array(Type.Unknown())),
});

/** Types of components that are no packages, and have no package URL either. */
const notPackages: ReadonlySet<string> = new Set([
  'operating-system',
  'container',
  'file',
  'data',
  'machine-learning-model',
  'cryptographic-asset',
  // SPDX's primaryPackagePurpose
  'OPERATING-SYSTEM',
  'CONTAINER',
  'FILE',
  'ARCHIVE',
]);

function readCycloneDx(file: string, value: object): Sbom {
  const parsed = parseShape(CycloneDx, value);
  if (!parsed.ok) throw malformed(file, describeProblems(parsed.problems));
  const { specVersion, serialNumber } = parsed.value;
  if (!['1.4', '1.5', '1.6'].includes(specVersion)) {
    throw unsupported(file, `CycloneDX ${specVersion}`, 'CycloneDX 1.4, 1.5 or 1.6');
  }
  const components: SbomComponent[] = [];
  const systems: Sbom['systems'][number][] = [];
  let others = 0;
  // Components may hold components, as deep as a writer likes.
  const waiting: unknown[] = (parsed.value.components ?? []).toReversed();
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
    if (components.length + waiting.length > maximumComponents) throw tooMany(file);
    const one = parseShape(CycloneDxComponent, next);
    if (!one.ok) {
      components.push(malformedComponent(next, describeProblems(one.problems)));
      continue;
    }
    const { type = '', name, version = '', purl, properties = [] } = one.value;
    for (const inner of (one.value.components ?? []).toReversed()) waiting.push(inner);
    if (type === 'operating-system') systems.push({ id: name, version });
    if (purl === undefined && notPackages.has(type)) {
      others++;
      continue;
    }
    components.push({
      ref: one.value['bom-ref'] ?? null,
      name,
      version,
      purl: purl ?? null,
      properties: propertyMap(properties),
      sourceInfo: '',
      malformed: null,
    });
  }
  return whole({
    file,
    format: 'CycloneDX',
    version: specVersion,
    serialNumber: serialNumber ?? null,
    components,
    systems,
    notPackages: others,
  });
}

function propertyMap(
  properties: NonNullable<Static<typeof CycloneDxComponent>['properties']>,
): ReadonlyMap<string, string> {
  return new Map(
    properties.flatMap(({ name, value }) =>
      name === undefined || value === undefined ? [] : [[name, value] as const],
    ),
  );
}

const Spdx = Type.Object({
  spdxVersion: Type.String(),
  documentNamespace: Type.Optional(Type.String()),
  packages: Type.Optional(Type.Array(Type.Unknown())),
});

const SpdxPackage = Type.Object({
  SPDXID: Type.Optional(Type.String()),
  name: Type.String(),
  versionInfo: Type.Optional(Type.String()),
  sourceInfo: Type.Optional(Type.String()),
  primaryPackagePurpose: Type.Optional(Type.String()),
  externalRefs: Type.Optional(
    Type.Array(Type.Object({ referenceType: Type.String(), referenceLocator: Type.String() })),
  ),
});

function readSpdx(file: string, value: object): Sbom {
  const parsed = parseShape(Spdx, value);
  if (!parsed.ok) throw malformed(file, describeProblems(parsed.problems));
  const { spdxVersion, packages = [] } = parsed.value;
  const version = /^SPDX-(.+)$/u.exec(spdxVersion)?.[1] ?? spdxVersion;
  if (version !== '2.2' && version !== '2.3') throw unsupported(file, spdxVersion, 'SPDX 2.2 or 2.3');
  if (packages.length > maximumComponents) throw tooMany(file);
  const components: SbomComponent[] = [];
  const systems: Sbom['systems'][number][] = [];
  let others = 0;
  for (const next of packages) {
    const one = parseShape(SpdxPackage, next);
    if (!one.ok) {
      components.push(malformedComponent(next, describeProblems(one.problems)));
      continue;
    }
    const { SPDXID, name, versionInfo = '', sourceInfo = '', primaryPackagePurpose = '' } = one.value;
    const purl = one.value.externalRefs?.find((ref) => ref.referenceType === 'purl')?.referenceLocator;
    if (primaryPackagePurpose === 'OPERATING-SYSTEM') systems.push({ id: name, version: versionInfo });
    if (purl === undefined && notPackages.has(primaryPackagePurpose)) {
      others++;
      continue;
    }
    components.push({
      ref: SPDXID ?? null,
      name,
      version: versionInfo,
      purl: purl ?? null,
      properties: new Map(),
      sourceInfo,
      malformed: null,
    });
  }
  return whole({
    file,
    format: 'SPDX',
    version,
    serialNumber: null,
    components,
    systems,
    notPackages: others,
  });
}

function malformedComponent(value: unknown, problem: string): SbomComponent {
  const fields: Readonly<Record<string, unknown>> =
    typeof value === 'object' && value !== null ? { ...value } : {};
  const text = (...keys: readonly string[]): string =>
    keys.map((key) => fields[key]).find((field) => typeof field === 'string') ?? '';
  const ref = text('bom-ref', 'SPDXID');
  return {
    ref: ref === '' ? null : ref,
    name: text('name') === '' ? '(no name)' : text('name'),
    version: text('version', 'versionInfo'),
    purl: null,
    properties: new Map(),
    sourceInfo: '',
    malformed: problem,
  };
}

function whole(sbom: Sbom): Sbom {
  if (sbom.components.length > 0) return sbom;
  throw new Failure(
    exitCodes.inputUnusable,
    'sbom_empty',
    `${sbom.file} names no package, so there is nothing to judge`,
    'Make the SBOM of an image or host with its system packages.',
  );
}
