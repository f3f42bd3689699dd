import { compareText } from '@fixpoint/core/knowledge/compare-text.ts';
import type { HostFacts } from '@fixpoint/core/inventory/inventory.ts';
import { runCommand } from '../run-command.ts';

export type Unit = HostFacts['units'][number];

/** Parses `systemctl list-units --type=service --all --output=json`; null when it is no such list. */
export function parseUnits(text: string): Unit[] | null {
  let rows: unknown;
  try {
    rows = JSON.parse(text);
  } catch {
    return null;
  }
  if (!Array.isArray(rows)) return null;
  const units: Unit[] = [];
  for (const row of rows as unknown[]) {
    if (typeof row !== 'object' || row === null || !('unit' in row) || !('active' in row)) return null;
    const load = 'load' in row ? row.load : '';
    // Units that others only mention are not there.
    if (typeof row.unit !== 'string' || load === 'not-found') continue;
    const { active } = row;
    units.push({
      name: row.unit,
      state: active === 'active' || active === 'inactive' || active === 'failed' ? active : 'other',
    });
  }
  return units.sort((a, b) => compareText(a.name, b.name));
}

/** Services of systemd; none where systemd does not run, as in a plain container. */
export async function collectUnits(): Promise<Unit[]> {
  const answer = await runCommand(
    ['systemctl', 'list-units', '--type=service', '--all', '--no-pager', '--output=json'],
    { timeoutSeconds: 20 },
  );
  if (!answer.ok) return [];
  return (parseUnits(answer.stdout) ?? []).slice(0, 5_000);
}
