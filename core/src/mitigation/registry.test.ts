import { expect, test } from 'vitest';
import type { MitigationOrder } from './mitigation.ts';
import { planRegistryApply, planRegistryUndo, registryKey } from './registry.ts';

const value = {
  hive: 'HKLM',
  path: 'SYSTEM\\CurrentControlSet\\Services\\LanmanServer\\Parameters',
  name: 'SMB1',
} as const;
const order: MitigationOrder = {
  id: 'windows-smb1',
  steps: [{ kind: 'registry_value', ...value, type: 'REG_DWORD', value: '0' }],
  restart_units: [],
};
const key = registryKey(value);
const off = { type: 'REG_DWORD', value: '0' };
const on = { type: 'REG_DWORD', value: '1' };

test('set where it is not, and only there', () => {
  const set = [{ kind: 'set_registry_value', ...value, ...off }];
  expect(planRegistryApply(order, {})).toEqual(set);
  expect(planRegistryApply(order, { [key]: on })).toEqual(set);
  expect(planRegistryApply(order, { [key]: { type: 'REG_SZ', value: '0' } })).toEqual(set);
  expect(planRegistryApply(order, { [key]: off })).toEqual([]);
});

test('back to what was there; what has moved on since is left alone', () => {
  expect(planRegistryUndo(order, { [key]: null }, { [key]: off })).toEqual([
    { kind: 'delete_registry_value', ...value },
  ]);
  expect(planRegistryUndo(order, { [key]: on }, { [key]: off })).toEqual([
    { kind: 'set_registry_value', ...value, ...on },
  ]);
  expect(planRegistryUndo(order, { [key]: off }, { [key]: off })).toEqual([]);
  expect(planRegistryUndo(order, { [key]: on }, { [key]: on })).toEqual([]);
  expect(planRegistryUndo(order, { [key]: on }, {})).toEqual([]);
});
