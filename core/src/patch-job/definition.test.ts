import { describe, expect, test } from 'vitest';
import { splitPatches, type PatchJobDefinition } from './definition.ts';
import { definitionProblems } from './problems.ts';

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

describe('when it starts and when it may be done', () => {
  const paths = (changes: Partial<PatchJobDefinition>, now: number | null = null) =>
    definitionProblems({ ...definition, ...changes }, now).map((p) => p.path);
  const schedule = { zone: 'UTC', starts: { kind: 'once', local: '2026-03-01T00:00' } } as const;
  test('a schedule goes with its trigger, and has a run left', () => {
    expect(paths({ trigger: 'schedule' })).toEqual(['/schedule']);
    expect(paths({ schedule })).toEqual(['/schedule']);
    expect(paths({ trigger: 'schedule', schedule })).toEqual([]);
    expect(paths({ trigger: 'schedule', schedule }, Date.parse('2026-03-02'))).toEqual(['/schedule/starts']);
  });
  test('windows and calendars', () => {
    const window = { zone: 'asset', opens: { kind: 'daily', at: '22:00' }, duration_minutes: 60 } as const;
    expect(paths({ windows: [window], calendars: ['freeze'], missed_window: 'next_chance' })).toEqual([]);
    expect(paths({ windows: [{ ...window, zone: 'Europe' }], calendars: ['freeze', 'freeze'] })).toEqual([
      '/windows/0/zone',
      '/calendars',
    ]);
    expect(paths({ missed_window: 'next_chance' })).toEqual(['/missed_window']);
  });
});

describe('every other part', () => {
  const target = (changes: Partial<PatchJobDefinition['target']>): Partial<PatchJobDefinition> => ({
    target: { tags: ['web'], assets: [], exclude: [], ...changes },
  });
  test.each<[string, Partial<PatchJobDefinition>, string[]]>([
    ['neither patches nor criteria', { patches: [] }, ['/patches']],
    ['criteria alone', { patches: [], criteria: { query: 'exploited' } }, []],
    ['blank criteria', { criteria: { query: ' ' } }, ['/criteria/query']],
    [
      'undo with criteria',
      {
        patches: ['mitigation:sshd-login-grace-time'],
        undo_mitigations: true,
        criteria: { query: 'exploited' },
      },
      ['/criteria'],
    ],
    [
      'a lone star',
      { exclude_packages: ['*', 'a b', 'lib*'] },
      ['/exclude_packages/0', '/exclude_packages/1'],
    ],
    ['excluded twice', { exclude_packages: ['a', 'a'] }, ['/exclude_packages']],
    [
      'pins',
      {
        exclude_packages: ['curl'],
        pins: [
          { package: 'lib*', version: '1' },
          { package: 'nginx', version: '1 2' },
          { package: 'curl', version: '1' },
          { package: 'curl', version: '2' },
        ],
      },
      ['/pins', '/pins/0/package', '/pins/1/version', '/pins/2', '/pins/3'],
    ],
    ['all tags are a target', target({ tags: [], tags_all: ['a'] }), []],
    ['a query is a target', target({ tags: [], query: 'hostname = *' }), []],
    ['a blank query', target({ query: ' ', exclude_query: '' }), ['/target/query', '/target/exclude_query']],
    [
      'ranges',
      target({ ranges: ['10.0.0.0/8', '10.0.0.300', '10.0.0.9-10.0.0.1'] }),
      ['/target/ranges/1', '/target/ranges/2'],
    ],
    ['in and out', target({ exclude_tags: ['web'] }), ['/target/exclude_tags']],
    [
      'deferrals without a prompt',
      { reboot: { mode: 'force', deferrals_maximum: 1 } },
      ['/reboot/deferrals_maximum'],
    ],
    [
      'a tag limited twice',
      {
        reboot: {
          mode: 'force',
          limits: [
            { tag: 'a', at_once: 1 },
            { tag: 'a', at_once: 2 },
          ],
        },
      },
      ['/reboot/limits'],
    ],
    ['rollback off, and required', { rollback: { on: 'off', required: true } }, ['/rollback/required']],
    ['health that nobody checks', { rollback: { on: 'health_failure' } }, ['/rollback/on']],
    [
      'no URL',
      { health: { probes: [{ kind: 'http', url: 'http://', timeout_seconds: 1 }] } },
      ['/health/probes/0/url'],
    ],
  ])('%s', (_, changes, paths) => {
    expect(definitionProblems({ ...definition, ...changes }).map((p) => p.path)).toEqual(paths);
  });
});
