import type { HostFacts } from '@fixpoint/core/inventory/inventory.ts';
import { managerTraits, type Manager } from '../package-tools.ts';
import { runCommand } from '../run-command.ts';
import { stampOf } from './stamp.ts';

/** On what the executor of this host's package manager was tried: dnf is dnf 4 or dnf 5, which have one name. */

type Held = NonNullable<HostFacts['package_manager']>['held'];

/** Reads `dnf --version`: `4.14.0`, or `dnf5 version 5.2.6.2`; null when it says neither. Pure. */
export function majorOfDnf(text: string): number | null {
  const major = /^(?:dnf5 version )?(\d+)\.\d/u.exec(text.trimStart())?.[1];
  return major === undefined ? null : Number(major);
}

let known: { readonly stamp: string; readonly held: Held } | null = null;

/** Only dnf 4 was tried; a dnf that cannot be asked is not taken for it. */
export async function heldTo(manager: Manager): Promise<Held> {
  if (manager !== 'dnf') return managerTraits[manager].held;
  const stamp = stampOf('/usr/bin/dnf');
  if (known?.stamp === stamp) return known.held;
  const answer = await runCommand(['dnf', '--version'], { timeoutSeconds: 20 });
  const major = answer.ok ? majorOfDnf(answer.stdout) : null;
  if (major === null) return 'recorded';
  known = { stamp, held: major === 4 ? managerTraits.dnf.held : 'recorded' };
  return known.held;
}
