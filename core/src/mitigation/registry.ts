import type { RegistryValue } from './config-text.ts';
import type { MitigationOrder, RegistryStep } from './mitigation.ts';

/**
 * Mitigations on Windows, as far as they are pure: typed changes of registry values, and the way back. What carries them out
 * is the agent for Windows, which is still to come; nothing here is text for a shell.
 */

export type RegistryOperation =
  | ({ readonly kind: 'set_registry_value' } & Pick<RegistryStep, 'hive' | 'path' | 'name'> & RegistryValue)
  | ({ readonly kind: 'delete_registry_value' } & Pick<RegistryStep, 'hive' | 'path' | 'name'>);

/** Names a value: `HKLM\PATH\NAME`. */
export function registryKey({ hive, path, name }: Pick<RegistryStep, 'hive' | 'path' | 'name'>): string {
  return `${hive}\\${path}\\${name}`;
}

export function registrySteps(order: MitigationOrder): RegistryStep[] {
  return order.steps.filter((step) => step.kind === 'registry_value');
}

/** What is still to be set, given the values as they are (by {@link registryKey}; null where there is none). */
export function planRegistryApply(
  order: MitigationOrder,
  now: Readonly<Record<string, RegistryValue | null>>,
): RegistryOperation[] {
  return registrySteps(order).flatMap((step): RegistryOperation[] => {
    const { hive, path, name, type, value } = step;
    const there = now[registryKey(step)] ?? null;
    if (there !== null && there.type === type && there.value === value) return [];
    return [{ kind: 'set_registry_value', hive, path, name, type, value }];
  });
}

/** The way back to the values before. One that somebody has set to something else since is left alone. */
export function planRegistryUndo(
  order: MitigationOrder,
  before: Readonly<Record<string, RegistryValue | null>>,
  now: Readonly<Record<string, RegistryValue | null>>,
): RegistryOperation[] {
  return registrySteps(order)
    .toReversed()
    .flatMap((step): RegistryOperation[] => {
      const { hive, path, name, type, value } = step;
      const there = now[registryKey(step)] ?? null;
      if (there === null || there.type !== type || there.value !== value) return [];
      const was = before[registryKey(step)] ?? null;
      if (was === null) return [{ kind: 'delete_registry_value', hive, path, name }];
      return was.type === type && was.value === value
        ? []
        : [{ kind: 'set_registry_value', hive, path, name, ...was }];
    });
}
