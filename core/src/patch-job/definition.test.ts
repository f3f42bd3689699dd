import { describe, expect, test } from 'vitest';
import { definitionProblems, splitPatches, type PatchJobDefinition } from './definition.ts';

const definition: PatchJobDefinition = {
  name: 'openssl',
  trigger: 'manual',
  patches: ['debian:12/openssl@3.0.22-1~deb12u2'],
  target: { tags: ['web'], assets: [], exclude: [] },
  units: 'restart',
  install_timeout_seconds: 600,
  expire_after_seconds: 3600,
  concurrency: 10,
};

describe('problems of a definition', () => {
  test('none', () => {
    expect(definitionProblems(definition)).toEqual([]);
  });
  test('all of them at once', () => {
    const problems = definitionProblems({
      ...definition,
      name: '  ',
      patches: ['debian:12/openssl@1', 'debian:12/openssl@2', 'openssl', 'openssl'],
      target: { tags: [], assets: [], exclude: ['a', 'a'] },
    });
    expect(problems.map((p) => p.path)).toEqual([
      '/name',
      '/target',
      '/target/exclude',
      '/patches',
      '/patches/1',
      '/patches/2',
      '/patches/3',
    ]);
  });
  test('an asset that is both in and out', () => {
    const target = { tags: [], assets: ['web-1'], exclude: ['web-1'] };
    expect(definitionProblems({ ...definition, target })).toHaveLength(1);
  });
});

describe('mitigations among the patches', () => {
  test('are told apart, and are ids of their own', () => {
    const patches = ['mitigation:sshd-login-grace-time', 'debian:12/openssl@1'];
    expect(splitPatches(patches)).toEqual({
      mitigations: ['sshd-login-grace-time'],
      packages: ['debian:12/openssl@1'],
    });
    expect(definitionProblems({ ...definition, patches })).toEqual([]);
    expect(definitionProblems({ ...definition, patches: ['mitigation:Not An Id'] })).toHaveLength(1);
  });
  test('only they can be undone', () => {
    const undo = { ...definition, undo_mitigations: true };
    expect(definitionProblems({ ...undo, patches: ['mitigation:sshd-login-grace-time'] })).toEqual([]);
    expect(definitionProblems(undo).map((p) => p.path)).toEqual(['/undo_mitigations']);
  });
});
