import { runCommand } from '../run-command.ts';
import type { Simulated } from './executor.ts';

/** How much a simulated installation would load and take on disk: `apt-get -s` says neither. */

export interface Sizes {
  readonly downloadBytes: number;
  readonly diskBytes: number;
}

interface PackageSize {
  readonly name: string;
  readonly version: string;
  readonly downloadBytes: number;
  readonly installedBytes: number;
}

/** Reads `apt-cache show`: `Size` is in bytes, `Installed-Size` in KiB (deb-control(5)). */
export function parsePackageSizes(text: string): PackageSize[] {
  return text.split(/\n\n+/u).flatMap((stanza) => {
    const field = (name: string): string | undefined =>
      new RegExp(`^${name}: *(.*)$`, 'mu').exec(stanza)?.[1]?.trim();
    const name = field('Package');
    const version = field('Version');
    if (name === undefined || version === undefined) return [];
    return [
      {
        name,
        version,
        downloadBytes: Number(field('Size') ?? '0') || 0,
        installedBytes: (Number(field('Installed-Size') ?? '0') || 0) * 1024,
      },
    ];
  });
}

/** From apt's lists and dpkg's database; what neither knows counts as nothing. */
export async function sizesOf(simulated: Simulated): Promise<Sizes> {
  const wanted = simulated.changed.map((p) => `${p.name}=${p.to}`);
  const leaving = [
    ...simulated.changed.flatMap((p) => (p.from === null ? [] : [p.name])),
    ...simulated.removed.map((p) => p.name),
  ];
  let downloadBytes = 0;
  let diskBytes = 0;
  if (wanted.length > 0) {
    const shown = await runCommand(['apt-cache', 'show', ...wanted], { timeoutSeconds: 60 });
    const seen = new Set<string>();
    for (const p of parsePackageSizes(shown.stdout)) {
      // The same version can stand in several repositories.
      const key = `${p.name} ${p.version}`;
      if (seen.has(key) || !simulated.changed.some((c) => baseName(c.name) === p.name && c.to === p.version))
        continue;
      seen.add(key);
      downloadBytes += p.downloadBytes;
      diskBytes += p.installedBytes;
    }
  }
  if (leaving.length > 0) {
    const installed = await runCommand(
      ['dpkg-query', '--show', '--showformat=${Installed-Size}\\n', '--', ...leaving],
      { timeoutSeconds: 60 },
    );
    for (const line of installed.stdout.split('\n')) diskBytes -= (Number(line) || 0) * 1024;
  }
  return { downloadBytes, diskBytes };
}

function baseName(name: string): string {
  return name.split(':')[0] ?? name;
}
