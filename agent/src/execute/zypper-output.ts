import type { ExecutorStep, Judgement, OrderedChanges, Simulated } from './executor.ts';
import { classifyRpmFailure, differenceOfRpm, failed, failedScripts } from './rpm-output.ts';
import { stepTitles } from './step-titles.ts';

/** Pure readers of what zypper writes; held to recorded output of zypper 1.14. Exit codes: zypper(8). */

/** What became of a command although zypper does not end with 0. */
const informative: ReadonlySet<number> = new Set([
  102, // a reboot is needed
  103, // zypper itself was updated
  106, // some repository had to be skipped
]);
const scriptsFailed = 107;

const entities: Readonly<Record<string, string>> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" };

function attributesOf(text: string): ReadonlyMap<string, string> {
  return new Map(
    [...text.matchAll(/([\w-]+)="([^"]*)"/gu)].map(([, name, value]) => [
      name ?? '',
      (value ?? '').replaceAll(/&(amp|lt|gt|quot|apos);/gu, (_, entity: string) => entities[entity] ?? ''),
    ]),
  );
}

/**
 * Reads `zypper --xmlout install --dry-run`: `<install-summary download-size= space-usage-diff=>` with groups `to-upgrade`,
 * `to-install`, `to-remove`, `to-downgrade`, `to-reinstall`, `to-change-arch`, `to-change-vendor` of `<solvable type="package" name= edition= arch=
 * edition-old= arch-old=>`.
 */
export function parseZypperSummary(output: string): Simulated {
  const [, head = '', body = ''] =
    /<install-summary\b([^>]*)>([\s\S]*?)<\/install-summary>/u.exec(output) ?? [];
  const changed: Simulated['changed'][number][] = [];
  const removed: Simulated['removed'][number][] = [];
  for (const [, group = '', solvables = ''] of body.matchAll(/<(to-[\w-]+)>([\s\S]*?)<\/\1>/gu)) {
    for (const [, text = ''] of solvables.matchAll(/<solvable\b([^>]*)>/gu)) {
      const one = attributesOf(text);
      const name = one.get('name');
      const arch = one.get('arch') ?? null;
      const edition = withoutEpochZero(one.get('edition'));
      // Patches, patterns and products stand for packages that are listed as well.
      if (one.get('type') !== 'package' || name === undefined || edition === null) continue;
      if (group === 'to-remove') removed.push({ name, arch, version: edition });
      else changed.push({ name, arch, from: withoutEpochZero(one.get('edition-old')), to: edition });
    }
  }
  const summary = attributesOf(head);
  const bytes = (key: string): number | null => {
    const text = summary.get(key);
    return text === undefined || !/^-?\d+$/u.test(text) ? null : Number(text);
  };
  return { changed, removed, downloadBytes: bytes('download-size'), diskBytes: bytes('space-usage-diff') };
}

function withoutEpochZero(edition: string | undefined): string | null {
  return edition === undefined || edition === '' ? null : edition.replace(/^0:/u, '');
}

/** `name.arch=version`: that package and no other that provides its name. */
export function capabilityOf(p: {
  readonly name: string;
  readonly arch: string;
  readonly version: string;
}): string {
  return `${p.name}.${p.arch}=${p.version}`;
}

/** Reads the end of one command of zypper. */
export function judgeZypper(
  step: ExecutorStep,
  exitCode: number,
  output: string,
  changes: OrderedChanges,
): Judgement {
  const title = stepTitles[step];
  const changesPackages = step === 'install' || step === 'roll_back';
  const scripts = changesPackages ? failedScripts(output) : null;
  if (changesPackages && (exitCode === 0 || informative.has(exitCode) || exitCode === scriptsFailed)) {
    if (exitCode !== scriptsFailed && scripts === null) return { ok: true };
    return failed(
      'maintainer_script_failed',
      `The packages are installed, but scripts of them failed: ${scripts ?? 'see the output'}`,
    );
  }
  // While skipping a repository is not the end of it, what is there decides.
  if (exitCode !== 0 && !(exitCode === 106 && step !== 'refresh')) {
    const { failure, line } = classifyRpmFailure(output);
    const licence = /license|licence/iu.test(output) && /agree/iu.test(output);
    return licence && failure === 'package_manager_broken'
      ? failed(
          'plan_differs',
          `${title} failed: a package asks for its licence to be agreed to, which is for a person to do.`,
        )
      : failed(exitCode === 7 ? 'lock_held' : failure, `${title} failed: ${line}`);
  }
  if (step === 'keep') {
    const missing = /Argument resolves to no package: (\S+?)(?:<|$)/mu.exec(output)?.[1];
    return missing === undefined
      ? { ok: true }
      : failed('version_not_available', `No repository of this host offers ${missing}.`);
  }
  if (step !== 'simulate') return { ok: true };
  if (!/<install-summary\b/u.test(output)) {
    return failed('package_manager_broken', `${title} failed: zypper printed no summary.`);
  }
  const difference = differenceOfRpm(parseZypperSummary(output), changes);
  return difference === null ? { ok: true } : failed('plan_differs', `Beyond the order, ${difference}.`);
}

/** Reads `zypper --xmlout search -s`: `<solvable status= name= kind="package" edition= arch= repository=>`; `NAME:ARCH:EDITION`. */
export function parseZypperOffered(text: string): ReadonlySet<string> {
  return new Set(
    [...text.matchAll(/<solvable\b([^>]*)\/?>/gu)].flatMap(([, attributes = '']) => {
      const one = attributesOf(attributes);
      const edition = withoutEpochZero(one.get('edition'));
      // What is installed and no repository has is told as of this one.
      const isOffered = one.get('repository') !== '(System Packages)';
      return isOffered && edition !== null && one.get('kind') === 'package'
        ? [`${one.get('name') ?? ''}:${one.get('arch') ?? ''}:${edition}`]
        : [];
    }),
  );
}

/** Names in /var/lib/zypp/AutoInstalled: a line each, after `#` a comment. */
export function parseAutoInstalled(text: string): string[] {
  return text.split('\n').flatMap((line) => (line === '' || line.startsWith('#') ? [] : [line.trim()]));
}
