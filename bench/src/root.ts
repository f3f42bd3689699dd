import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { outputOf } from './run-command.ts';

export interface BuiltRoot {
  readonly folder: string;
  readonly status: string;
  readonly packages: number;
  /** Binary package → its source package. */
  readonly sourceOf: ReadonlyMap<string, string>;
  readonly from: string;
}

/**
 * A Debian 12 root with so many packages, their names, versions and stanzas real: those installed on this machine, source
 * packages of the extract first so that there is something to find, then what its apt lists offer.
 */
export function buildRoot(folder: string, wanted: number, known: (source: string) => boolean): BuiltRoot {
  const chosen = new Map<string, string>();
  const sourceOf = new Map<string, string>();
  const take = (stanzas: readonly string[], when: (source: string) => boolean): void => {
    for (const stanza of stanzas) {
      if (chosen.size >= wanted) return;
      const name = field(stanza, 'Package');
      const source = /^\S+/u.exec(field(stanza, 'Source') ?? name ?? '')?.[0];
      if (name === undefined || source === undefined || chosen.has(name) || !when(source)) continue;
      chosen.set(name, stanza);
      sourceOf.set(name, source);
    }
  };
  const statusFile = '/var/lib/dpkg/status';
  const installed = existsSync(statusFile)
    ? readFileSync(statusFile, 'utf8')
        .split('\n\n')
        .filter((stanza) => field(stanza, 'Status') === 'install ok installed')
    : [];
  take(installed, known);
  take(installed, () => true);
  const fromMachine = chosen.size;
  if (chosen.size < wanted) {
    const offered = (outputOf('apt-cache', ['dumpavail']) ?? '')
      .split('\n\n')
      .map((stanza) => stanza.replace(/^(Package: .*)$/mu, '$1\nStatus: install ok installed'));
    take(offered, known);
    take(offered, () => true);
  }
  if (chosen.size === 0)
    throw new Error('this machine has neither dpkg packages nor apt lists to build a root from');
  mkdirSync(join(folder, 'var/lib/dpkg'), { recursive: true });
  mkdirSync(join(folder, 'etc'), { recursive: true });
  const status = join(folder, 'var/lib/dpkg/status');
  writeFileSync(status, [...chosen.values()].map((stanza) => `${stanza.trim()}\n\n`).join(''));
  writeFileSync(
    join(folder, 'etc/os-release'),
    'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nVERSION_ID="12"\nVERSION_CODENAME=bookworm\nID=debian\n',
  );
  const from = `${String(fromMachine)} as installed here, ${String(chosen.size - fromMachine)} from apt lists`;
  return { folder, status, packages: chosen.size, sourceOf, from };
}

function field(stanza: string, name: string): string | undefined {
  return new RegExp(`^${name}: (.*)$`, 'mu').exec(stanza)?.[1];
}
