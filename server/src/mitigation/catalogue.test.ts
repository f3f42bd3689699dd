import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { isEcosystem } from '@fixpoint/core/knowledge/ecosystem.ts';
import { catalogue, readCatalogue } from './catalogue.ts';

const entries = [...catalogue().values()];

test('every mitigation passes schema and grammar, and there is something for each kind of step', () => {
  expect(entries.length).toBeGreaterThanOrEqual(15);
  const kinds = new Set(entries.flatMap(({ mitigation }) => mitigation.steps.map((step) => step.kind)));
  expect([...kinds].sort()).toEqual([
    'kernel_module_blacklist',
    'registry_value',
    'service_setting',
    'sysctl',
  ]);
});

describe.each(entries.map(({ mitigation }) => mitigation))('$id', (mitigation) => {
  test('is for vendors that we match by, and names where it is from', () => {
    for (const scope of mitigation.applies_to) expect(isEcosystem(scope.ecosystem)).toBe(true);
    const hosts = mitigation.sources.map((url) => new URL(url).host);
    const vendors =
      /(?:^|\.)(?:redhat\.com|ubuntu\.com|debian\.org|nist\.gov|microsoft\.com|samba\.org|qualys\.com|cert\.org|openwall\.com|terrapin-attack\.com|zerodayinitiative\.com|github\.com)$/u;
    for (const host of hosts) expect(host).toMatch(vendors);
    expect(new Set(mitigation.sources).size).toBe(mitigation.sources.length);
  });
});

describe('what does not pass keeps the server from starting', () => {
  let folder = '';
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'catalogue-'));
  });
  afterAll(() => {
    rmSync(folder, { recursive: true });
  });
  const dccp = catalogue().get('module-dccp')?.mitigation;
  test.each<[string, unknown, string, RegExp]>([
    ['text', 'not json', 'x.json', /no mitigation/u],
    [
      'a command',
      { ...dccp, steps: [{ kind: 'shell', command: 'true' }] },
      'module-dccp.json',
      /no mitigation/u,
    ],
    ['a field more', { ...dccp, run: 'true' }, 'module-dccp.json', /no mitigation/u],
    [
      'a forbidden parameter',
      { ...dccp, steps: [{ kind: 'sysctl', key: 'kernel.core_pattern', value: '1' }] },
      'module-dccp.json',
      /may not be used/u,
    ],
    ['another name', dccp, 'module-other.json', /holds the mitigation/u],
  ])('%s', (_, content, name, message) => {
    writeFileSync(join(folder, name), typeof content === 'string' ? content : JSON.stringify(content));
    expect(() => readCatalogue(folder)).toThrow(message);
    rmSync(join(folder, name));
  });
});
