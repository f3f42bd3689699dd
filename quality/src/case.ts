/** A case of the corpus: the real state of one host, what its vendor publishes, and what is true of it. See ../corpus/README.md. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { Type, type Static } from 'typebox';
import { Compile } from 'typebox/compile';

/** What a label may say, and what an answer may be. */
export const verdicts = [
  'vulnerable',
  'fixed',
  'not_affected',
  'undetermined',
  'not_listed',
  'withdrawn',
  'not_running',
  'restart_pending',
  'reboot_pending',
] as const;
export type CaseVerdict = (typeof verdicts)[number];

/** What a label is there to show; docs/accuracy.md says what each means. */
export const classes = [
  'plain_fix',
  'no_fix_yet',
  'will_not_fix',
  'end_of_life',
  'deferred',
  'not_affected_by_vendor',
  'under_investigation',
  'older_than_introduced',
  'name_collision',
  'years_older',
  'withdrawn',
  'after_upgrade',
  'still_running',
  'kernel_not_running',
  'kernel_no_code',
  'container_kernel',
  'epoch',
  'pre_release',
  'binary_rebuild',
  'backport',
  'third_party',
  'debug_package',
  'multi_arch',
  'source_split',
  'module_stream',
  'eus_branch',
  'other_product',
  'esm_only',
  'other_release',
  'sources_disagree',
  'unparseable',
  'unknown_release',
  'windows_build',
  'windows_supersedence',
  'windows_other_branch',
  'windows_pending_restart',
  'windows_unlisted_update',
] as const;

const Label = Type.Object(
  {
    vulnerability: Type.String({ minLength: 1 }),
    /** The installed package; on Windows the product. */
    package: Type.String({ minLength: 1 }),
    verdict: Type.Enum(verdicts),
    /** Why, in words that somebody who has only the source can check. */
    reason: Type.String({ minLength: 10 }),
    /** Record or address where the vendor says so. */
    source: Type.String({ minLength: 3 }),
    class: Type.Enum(classes),
  },
  { additionalProperties: false },
);
export type Label = Static<typeof Label>;
const Labels = Type.Array(Label, { minItems: 1 });

const SoftwareState = {
  name: Type.String(),
  arch: Type.String(),
  version: Type.String(),
  source: Type.String(),
  source_version: Type.String(),
};

const System = Type.Object(
  {
    /** What is special about the host, for people. */
    about: Type.String(),
    os: Type.String(),
    os_release: Type.String(),
    /** `uname -r`; null when it is not known, as in an image or a mounted disk. */
    running_kernel: Type.Union([Type.String(), Type.Null()]),
    machine: Type.Enum(['physical_or_virtual', 'container']),
    /** Case whose `knowledge` folder this one shares, of the same distribution or with its name before; left out: its own. */
    knowledge_of: Type.Optional(Type.String({ pattern: '^[a-z0-9][a-z0-9.-]*(?:/[a-z0-9][a-z0-9.-]*)?$' })),
    /** Replaced code that still runs or lies on the disk. */
    residue: Type.Optional(
      Type.Array(
        Type.Object(
          { kind: Type.Enum(['process', 'file']), ...SoftwareState },
          { additionalProperties: false },
        ),
      ),
    ),
    /** Software that was installed before and is removed: a kernel among it may still run. */
    gone: Type.Optional(Type.Array(Type.Object(SoftwareState, { additionalProperties: false }))),
  },
  { additionalProperties: false },
);
export type System = Static<typeof System>;

const validLabels = Compile(Labels);
const validSystem = Compile(System);

/** The output of the package manager, by the name of the file that holds it. */
export const packageFiles = ['dpkg-status', 'rpm-query.tsv', 'apk-installed', 'systeminfo.txt'] as const;
export type PackageFile = (typeof packageFiles)[number];

export interface Case {
  /** `debian/web-server` */
  readonly name: string;
  readonly distribution: string;
  readonly system: System;
  readonly packageFile: PackageFile;
  readonly packageText: string;
  /** Windows: `reg query` of the host beside, where it was recorded. */
  readonly registryText: string | null;
  /** Paths of files of feeds; the name of each starts with the id of its feed. */
  readonly knowledge: readonly string[];
  readonly labels: readonly Label[];
}

export const corpusFolder = resolve(import.meta.dirname, '../corpus');

/** Every case of the corpus, in order. Throws when one is not of its form: the corpus is part of the source. */
export function readCorpus(folder = corpusFolder): Case[] {
  return foldersIn(folder).flatMap((distribution) =>
    foldersIn(join(folder, distribution)).map((name) => readCase(join(folder, distribution), name)),
  );
}

function foldersIn(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map((entry) => entry.name)
    .sort();
}

function readCase(distributionFolder: string, own: string): Case {
  const folder = join(distributionFolder, own);
  const distribution = basename(distributionFolder);
  const name = `${distribution}/${own}`;
  const system: unknown = readJson(join(folder, 'system.json'));
  if (!validSystem.Check(system)) throw malformed(name, 'system.json', validSystem, system);
  const labels: unknown = readJson(join(folder, 'labels.json'));
  if (!validLabels.Check(labels)) throw malformed(name, 'labels.json', validLabels, labels);
  const [packageFile, ...more] = packageFiles.filter((file) => existsSync(join(folder, file)));
  if (packageFile === undefined || more.length > 0)
    throw new Error(`${name} must hold exactly one of ${packageFiles.join(', ')}`);
  const teller = system.knowledge_of ?? own;
  const corpus = teller.includes('/') ? dirname(distributionFolder) : distributionFolder;
  const knowledgeFolder = join(corpus, teller, 'knowledge');
  const registry = join(folder, 'registry.txt');
  return {
    name,
    distribution,
    system,
    packageFile,
    packageText: readFileSync(join(folder, packageFile), 'utf8'),
    registryText: existsSync(registry) ? readFileSync(registry, 'utf8') : null,
    knowledge: readdirSync(knowledgeFolder)
      .sort()
      .map((file) => join(knowledgeFolder, file)),
    labels,
  };
}

function readJson(path: string): unknown {
  return JSON.parse(readFileSync(path, 'utf8'));
}

function malformed(
  name: string,
  file: string,
  valid: { Errors(value: unknown): readonly { instancePath: string; message: string }[] },
  value: unknown,
): Error {
  const [error] = valid.Errors(value);
  return new Error(`${name}/${file}: ${error?.instancePath ?? ''} ${error?.message ?? 'is not of its form'}`);
}
