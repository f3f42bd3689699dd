import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { definitionProblems } from '@fixpoint/core/patch-job/problems.ts';
import { Failure } from './failure.ts';
import { definitionOf, definitionOfText, type DefinitionOptions } from './job-definition.ts';

const docs = readFileSync(join(import.meta.dirname, '../../docs/patch-jobs.md'), 'utf8');
const example = /```json job\n([\s\S]*?)```/u.exec(docs)?.[1] ?? '';

function refusal(make: () => unknown): Failure {
  try {
    make();
  } catch (error) {
    if (error instanceof Failure) return error;
    throw error;
  }
  throw new Error('it was not refused');
}

describe('the example of the docs', () => {
  test('is a definition without a fault, and has every part that there is', () => {
    const definition = definitionOfText(example, 'docs/patch-jobs.md');
    expect(definitionProblems(definition, Date.parse('2026-01-01T00:00:00Z'))).toEqual([]);
    expect(Object.keys(definition).length).toBe(22);
  });
});

describe('a definition from a file', () => {
  test('what is wrong in it is named by its place', () => {
    const failure = refusal(() => definitionOfText(example.replace('"restart"', '"resart"'), 'job.json'));
    expect(failure.code).toBe('job_invalid');
    expect(failure.problems.map((one) => one.path)).toContain('/units');
    expect(refusal(() => definitionOfText('{', 'job.json')).message).toContain('job.json is not JSON');
  });
  test('is all that there is: other options beside it are refused', () => {
    expect(refusal(() => definitionOf({ file: 'x', patch: ['y'] })).message).toContain('--patch');
    expect(refusal(() => definitionOf({ file: '/nowhere/job.json' })).message).toContain('no such file');
  });
});

describe('a definition from options', () => {
  const options: DefinitionOptions = { patch: ['debian:12/openssl@1'], target: ['tag:web', 'web-1'] };
  test('as before', () => {
    expect(definitionOf(options)).toEqual({
      name: 'openssl on tag:web, web-1',
      trigger: 'manual',
      patches: ['debian:12/openssl@1'],
      target: { tags: ['web'], assets: ['web-1'], exclude: [] },
      units: 'restart',
      install_timeout_seconds: 1800,
      expire_after_seconds: 86_400,
      concurrency: 100,
    });
  });
  test('with what is new', () => {
    const definition = definitionOf({
      criteria: 'exploited',
      everythingNewer: true,
      excludePackage: ['postgresql-*'],
      pin: ['nginx=1:2.0=3'],
      allTags: ['tag:web', 'production'],
      targetQuery: 'os = debian',
      range: ['10.0.0.0/8'],
      exclude: ['tag:frozen', 'web-9'],
      excludeQuery: 'criticality = 5',
      reboot: 'force',
      rollback: 'any_failure',
      rollbackRequired: true,
      allowRemovals: true,
    });
    expect(definition).toMatchObject({
      name: 'exploited on tag:web, production, 10.0.0.0/8, os = debian',
      patches: [],
      criteria: { query: 'exploited', everything_newer: true },
      exclude_packages: ['postgresql-*'],
      pins: [{ package: 'nginx', version: '1:2.0=3' }],
      target: {
        tags: [],
        tags_all: ['web', 'production'],
        query: 'os = debian',
        ranges: ['10.0.0.0/8'],
        assets: [],
        exclude: ['web-9'],
        exclude_tags: ['frozen'],
        exclude_query: 'criticality = 5',
      },
      reboot: { mode: 'force' },
      rollback: { on: 'any_failure', required: true },
      allow_removals: true,
    });
    expect(definitionProblems(definition)).toEqual([]);
  });
  test.each<[string, DefinitionOptions]>([
    ['nothing is to be deployed', { target: ['tag:web'] }],
    ['nothing says where', { patch: ['debian:12/openssl@1'] }],
    ['--pin is "nginx"', { ...options, pin: ['nginx'] }],
    ['--reboot is "now"', { ...options, reboot: 'now' }],
    ['--everything-newer is given without', { ...options, everythingNewer: true }],
    ['--concurrency is "0"', { ...options, concurrency: '0' }],
  ])('%s', (message, wrong) => {
    expect(refusal(() => definitionOf(wrong)).message).toContain(message);
  });
});
