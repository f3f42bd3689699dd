import { readFileSync } from 'node:fs';
import { Value } from 'typebox/value';
import { PatchJobDefinition } from '@fixpoint/contract/patch-job.ts';
import { exitCodes } from './exit-codes.ts';
import { Failure } from './failure.ts';
import { wholeNumber } from './list.ts';
import { codeOf } from './output/stream.ts';

/** What a job is to be, from the options of a command or from a file. */

export interface DefinitionOptions {
  readonly file?: string;
  readonly patch?: string[];
  readonly mitigation?: string[];
  readonly undo?: boolean;
  readonly criteria?: string;
  readonly everythingNewer?: boolean;
  readonly excludePackage?: string[];
  readonly pin?: string[];
  readonly target?: string[];
  readonly allTags?: string[];
  readonly targetQuery?: string;
  readonly range?: string[];
  readonly exclude?: string[];
  readonly excludeQuery?: string;
  readonly name?: string;
  readonly leaveUnits?: boolean;
  readonly reboot?: string;
  readonly rollback?: string;
  readonly rollbackRequired?: boolean;
  readonly allowRemovals?: boolean;
  readonly installTimeout?: string;
  readonly expireAfter?: string;
  readonly concurrency?: string;
}

const usage = (message: string, whatToDo: string): Failure =>
  new Failure(exitCodes.usage, 'usage', message, whatToDo);

/** Of these, only the name goes together with a file. */
const besideFile: ReadonlySet<string> = new Set(['file', 'name']);

/** @throws Failure with what is wrong, before the server is asked */
export function definitionOf(options: DefinitionOptions): PatchJobDefinition {
  if (options.file === undefined) return definitionOfOptions(options);
  const other = optionNames.find(([key]) => !besideFile.has(key) && options[key] !== undefined);
  if (other !== undefined) {
    throw usage(
      `--file and ${other[1]} are both given`,
      'Write all of it into the file; docs/patch-jobs.md shows what can stand there.',
    );
  }
  const definition = definitionOfText(readText(options.file), options.file);
  return options.name === undefined ? definition : { ...definition, name: options.name };
}

const optionNames: readonly (readonly [keyof DefinitionOptions, string])[] = [
  ['file', '--file'],
  ['name', '--name'],
  ['patch', '--patch'],
  ['mitigation', '--mitigation'],
  ['undo', '--undo'],
  ['criteria', '--criteria'],
  ['everythingNewer', '--everything-newer'],
  ['excludePackage', '--exclude-package'],
  ['pin', '--pin'],
  ['target', '--target'],
  ['allTags', '--all-tags'],
  ['targetQuery', '--target-query'],
  ['range', '--range'],
  ['exclude', '--exclude'],
  ['excludeQuery', '--exclude-query'],
  ['leaveUnits', '--leave-units'],
  ['reboot', '--reboot'],
  ['rollback', '--rollback'],
  ['rollbackRequired', '--rollback-required'],
  ['allowRemovals', '--allow-removals'],
  ['installTimeout', '--install-timeout'],
  ['expireAfter', '--expire-after'],
  ['concurrency', '--concurrency'],
];

function readText(file: string): string {
  try {
    return readFileSync(file === '-' ? 0 : file, 'utf8');
  } catch (error) {
    const reason = codeOf(error) === 'ENOENT' ? 'there is no such file' : String(error);
    throw usage(`${file} cannot be read: ${reason}`, 'Name a JSON file, or - for the standard input.');
  }
}

/** A definition as JSON. What is wrong is named by its place. */
export function definitionOfText(text: string, from: string): PatchJobDefinition {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw usage(
      `${from} is not JSON: ${error instanceof Error ? error.message : String(error)}`,
      'docs/patch-jobs.md has an example to begin with.',
    );
  }
  if (Value.Check(PatchJobDefinition, value)) return value;
  const problems = [...Value.Errors(PatchJobDefinition, value)]
    .slice(0, 5)
    .map(({ instancePath, message }) => ({
      path: instancePath,
      message,
    }));
  throw new Failure(
    exitCodes.usage,
    'job_invalid',
    `${from} is no definition of a patch job`,
    'Correct what is named; docs/patch-jobs.md shows all that can stand there.',
    problems,
  );
}

function definitionOfOptions(options: DefinitionOptions): PatchJobDefinition {
  const { criteria, target = [], targetQuery, range, allTags, reboot, rollback } = options;
  const patches = patchesOf(options);
  if (patches.length === 0 && criteria === undefined) {
    throw usage(
      'nothing is to be deployed',
      'Name a --patch or a --mitigation (fixpoint patch list and fixpoint mitigation list show them), or give --criteria or --file.',
    );
  }
  if (target.length === 0 && targetQuery === undefined && range === undefined && allTags === undefined) {
    throw usage('nothing says where', 'Give --target, --target-query, --range or --all-tags.');
  }
  if (options.everythingNewer === true && criteria === undefined) {
    throw usage(
      '--everything-newer is given without --criteria',
      "Give both: --criteria 'id = *' takes all.",
    );
  }
  if (options.rollbackRequired === true && rollback === undefined) {
    throw usage('--rollback-required is given without --rollback', 'Say when: --rollback any_failure.');
  }
  const tagsOf = (names: readonly string[]): string[] =>
    names.filter((name) => name.startsWith('tag:')).map((name) => name.slice('tag:'.length));
  const assetsOf = (names: readonly string[]): string[] =>
    names.filter((name) => !name.startsWith('tag:')).map((name) => name.replace(/^asset:/u, ''));
  const exclude = options.exclude ?? [];
  return {
    name: options.name ?? defaultName(options),
    trigger: 'manual',
    patches,
    ...(criteria === undefined
      ? {}
      : {
          criteria: {
            query: criteria,
            ...(options.everythingNewer === true ? { everything_newer: true } : {}),
          },
        }),
    ...(options.excludePackage === undefined ? {} : { exclude_packages: options.excludePackage }),
    ...(options.pin === undefined ? {} : { pins: options.pin.map(pinOf) }),
    target: {
      tags: tagsOf(target),
      ...(allTags === undefined ? {} : { tags_all: allTags.map((tag) => tag.replace(/^tag:/u, '')) }),
      ...(targetQuery === undefined ? {} : { query: targetQuery }),
      ...(range === undefined ? {} : { ranges: range }),
      assets: assetsOf(target),
      exclude: assetsOf(exclude),
      ...(tagsOf(exclude).length === 0 ? {} : { exclude_tags: tagsOf(exclude) }),
      ...(options.excludeQuery === undefined ? {} : { exclude_query: options.excludeQuery }),
    },
    ...(options.undo === true ? { undo_mitigations: true } : {}),
    units: options.leaveUnits === true ? 'leave' : 'restart',
    ...(reboot === undefined
      ? {}
      : { reboot: { mode: choice(reboot, '--reboot', ['suppress', 'force', 'prompt']) } }),
    ...(rollback === undefined
      ? {}
      : {
          rollback: {
            on: choice(rollback, '--rollback', [
              'off',
              'by_hand',
              'verification_failure',
              'health_failure',
              'any_failure',
            ]),
            ...(options.rollbackRequired === true ? { required: true } : {}),
          },
        }),
    ...(options.allowRemovals === true ? { allow_removals: true } : {}),
    install_timeout_seconds: wholeNumber(options.installTimeout ?? '1800', '--install-timeout'),
    expire_after_seconds: wholeNumber(options.expireAfter ?? '86400', '--expire-after'),
    concurrency: wholeNumber(options.concurrency ?? '100', '--concurrency'),
  };
}

function choice<T extends string>(text: string, option: string, choices: readonly T[]): T {
  const found = choices.find((one) => one === text);
  if (found !== undefined) return found;
  throw usage(`${option} is ${JSON.stringify(text)}`, `Give ${option} one of ${choices.join(', ')}.`);
}

function pinOf(text: string): { package: string; version: string } {
  const at = text.indexOf('=');
  if (at > 0 && at < text.length - 1) return { package: text.slice(0, at), version: text.slice(at + 1) };
  throw usage(`--pin is ${JSON.stringify(text)}`, 'Give it as PACKAGE=VERSION: --pin nginx=1.22.1-9.');
}

/** Patches and mitigations alike, as a job names them. */
function patchesOf({ patch = [], mitigation = [] }: DefinitionOptions): string[] {
  return [...patch, ...mitigation.map((id) => `mitigation:${id.replace(/^mitigation:/u, '')}`)];
}

function defaultName(options: DefinitionOptions): string {
  const { criteria, target = [], targetQuery, range = [], allTags = [] } = options;
  const names = patchesOf(options).map((id) => /(?:\/|^mitigation:)([^@]+)/u.exec(id)?.[1] ?? id);
  const what = [...names, ...(criteria === undefined ? [] : [criteria])].join(', ');
  const where = [...target, ...allTags, ...range, ...(targetQuery === undefined ? [] : [targetQuery])];
  return `${options.undo === true ? 'undo ' : ''}${what} on ${where.join(', ')}`.slice(0, 100);
}
