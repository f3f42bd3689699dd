import { describe, expect, test } from 'vitest';
import type { InstalledPackage } from '../inventory/inventory.ts';
import { verifyRollback, type RollbackInput } from './verify-rollback.ts';

const installed = (name: string, version: string): InstalledPackage => ({
  name,
  arch: 'amd64',
  version,
  source: name,
  source_version: version,
});
const input = (over: Partial<RollbackInput> = {}): RollbackInput => ({
  packages: [{ name: 'libssl3', arch: 'amd64', from: '1', to: '2' }],
  added: [{ name: 'libnew', arch: 'amd64', version: '1' }],
  removed: [{ name: 'libold', arch: 'amd64', version: '7' }],
  installed: [installed('libssl3', '1'), installed('libold', '7'), installed('bash', '5')],
  unjudged: null,
  ...over,
});

describe('a rollback', () => {
  test('is done when every package is as before, the added gone and the removed back', () => {
    expect(verifyRollback(input())).toMatchObject({
      outcome: 'rolled_back',
      evidence: { restored: 3, not_restored: [] },
    });
  });

  test('has failed when one is not, and says which', () => {
    const { outcome, evidence } = verifyRollback(
      input({ installed: [installed('libssl3', '2'), installed('libnew', '1')] }),
    );
    expect(outcome).toBe('rollback_failed');
    expect(evidence.not_restored).toEqual([
      { name: 'libssl3', arch: 'amd64', expected: '1', installed: ['2'] },
      { name: 'libnew', arch: 'amd64', expected: null, installed: ['1'] },
      { name: 'libold', arch: 'amd64', expected: '7', installed: [] },
    ]);
    expect(evidence.sentence).toBe(
      'Not as before: libssl3 is at 2 instead of 1; libnew is still there (at 1); libold is not installed instead of 7.',
    );
  });

  test('of a package that is there in several versions at once: the earlier is there and the later gone', () => {
    const both = [installed('libssl3', '1'), installed('libssl3', '2'), installed('libold', '7')];
    expect(verifyRollback(input({ installed: both })).outcome).toBe('rollback_failed');
    const others = [installed('libssl3', '0'), installed('libssl3', '1'), installed('libold', '7')];
    expect(verifyRollback(input({ installed: others })).outcome).toBe('rolled_back');
  });

  test('is undetermined while the host cannot be read', () => {
    expect(verifyRollback(input({ unjudged: 'The agent cannot read the host.' }))).toMatchObject({
      outcome: 'undetermined',
      evidence: { sentence: 'The agent cannot read the host.' },
    });
  });
});
