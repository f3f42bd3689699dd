import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { readConffiles, parseMd5sums, readMd5sums } from '../collect/dpkg-files.ts';
import { readDpkgStatus } from '../collect/dpkg.ts';
import { AgentFailure } from '../failure.ts';
import { runCommand } from '../run-command.ts';
import { readTextIfThere } from '../state-dir.ts';
import { classifyFailure, differenceFromOrder, parseOffered, parseSimulation } from './apt-output.ts';
import type { OrderedChanges } from './executor.ts';
import { keyOf, type Keeping, type OfferedFile, type PackageId } from './keeping.ts';

/** Keeping and putting back with apt and dpkg: dpkg(1) "Configuration file", ucf(1), apt-cache(8), apt-mark(8). */

const packagesInOneCommand = 500;
const aptArchives = '/var/cache/apt/archives';
const ucfDir = '/var/lib/ucf';

/** As apt names the file of a package: the colon of an epoch is written %3a. */
export function debFileName(p: PackageId): string {
  return `${p.name}_${p.version.replaceAll(':', '%3a')}_${p.arch}.deb`;
}

/** What a rollback may change, said as an order: each package to what it was, what came newly goes, what went comes. */
export function turnedRound({ packages, added, removed }: OrderedChanges): OrderedChanges {
  return { packages: packages.map((p) => ({ ...p, to: p.from })), added: removed, removed: added };
}

/**
 * @param apt the beginning of every command of apt-get
 * @param fetchedDir where the command `keep` downloads to
 * @param downloadsDir where the packages lie that are to be installed
 * @param rollBack the arguments of apt-get that put back
 */
export function createAptKeeping(
  apt: readonly [string, ...string[]],
  fetchedDir: string,
  downloadsDir: string,
  rollBack: (changes: OrderedChanges) => readonly string[],
): Keeping {
  return {
    fetchedDir,
    fileName: debFileName,
    leftoverSuffixes: ['.dpkg-dist', '.dpkg-new', '.dpkg-old', '.dpkg-tmp', '.ucf-dist', '.ucf-old'],

    async offered(packages) {
      const offered = new Map<string, OfferedFile>();
      for (let at = 0; at < packages.length; at += packagesInOneCommand) {
        const some = packages.slice(at, at + packagesInOneCommand);
        // What is unknown is left out of the answer.
        const answer = await runCommand(
          ['apt-cache', 'show', ...some.map((p) => `${keyOf(p)}=${p.version}`)],
          {
            timeoutSeconds: 120,
          },
        );
        const wanted = new Map(some.map((p) => [keyOf(p), p.version]));
        for (const [key, { version, ...file }] of parseOffered(answer.stdout)) {
          if (wanted.get(key) === version) offered.set(key, file);
        }
      }
      return offered;
    },

    stagedPath: (p) => join(downloadsDir, debFileName(p)),

    cachedPaths: (p) => [join(aptArchives, debFileName(p))],

    async identify(path) {
      const answer = await runCommand(
        ['dpkg-deb', '--show', '--showformat=${Package}\n${Architecture}\n${Version}\n', path],
        { timeoutSeconds: 60 },
      );
      const [name, arch, version] = answer.ok ? answer.stdout.split('\n') : [];
      return name === undefined || arch === undefined || version === undefined
        ? null
        : { name, arch, version };
    },

    async isBuildInstalled(p, path) {
      const sums = await runCommand(['dpkg-deb', '--info', path, 'md5sums'], { timeoutSeconds: 60 });
      const shipped = sums.ok ? parseMd5sums(sums.stdout) : new Map<string, string>();
      const installed = readMd5sums(p);
      return (
        shipped.size > 0 &&
        shipped.size === installed.size &&
        [...shipped].every(([file, sum]) => installed.get(file) === sum)
      );
    },

    async configurationFiles(packages) {
      const paths = new Set<string>();
      for (const p of packages) for (const path of readConffiles(p)) paths.add(path);
      for (const path of (await recordedConffiles(packages)).keys()) paths.add(path);
      const names = new Set(packages.map((p) => p.name));
      for (const [name, path] of parseUcfRegistry(readTextIfThere(join(ucfDir, 'registry')) ?? '')) {
        if (names.has(name)) paths.add(path);
      }
      for (const file of downloaded(downloadsDir, packages)) {
        const answer = await runCommand(['dpkg-deb', '--info', file, 'conffiles'], { timeoutSeconds: 60 });
        // One without configuration files has no such list.
        for (const line of answer.ok ? answer.stdout.split('\n') : []) {
          if (line.startsWith('/')) paths.add(line.trim());
        }
      }
      return [...paths].toSorted();
    },

    async pristine(packages, paths) {
      const sums = new Map([
        ...(await recordedConffiles(packages)),
        ...parseMd5sums(readTextIfThere(join(ucfDir, 'hashfile')) ?? ''),
      ]);
      return new Set(paths.filter((path) => existsSync(path) && md5(path) === sums.get(path)));
    },

    held: () => Promise.resolve(readDpkgStatus('/').held),

    async hold(names) {
      if (names.length === 0) return;
      const answer = await runCommand(['apt-mark', 'hold', ...names], { timeoutSeconds: 60 });
      if (!answer.ok) {
        throw new AgentFailure(
          'mark_failed',
          `packages could not be put on hold again: ${answer.message}`,
          `Run \`apt-mark hold ${names.join(' ')}\` on the host.`,
        );
      }
    },

    async tryRollBack(changes) {
      const answer = await runCommand([...apt, '-s', ...rollBack(changes)], { timeoutSeconds: 300 });
      const output = `${answer.stdout}\n${answer.stderr}`;
      if (!answer.ok) {
        // Nothing can be tried while a package waits to be unpacked anew; putting it back is what it waits for.
        if (/needs to be reinstalled|dpkg was interrupted/u.test(output)) return { ok: true };
        const { failure, line } = classifyFailure(output);
        return { ok: false, failure, message: `The earlier versions cannot be put back: ${line}` };
      }
      const difference = differenceFromOrder(parseSimulation(answer.stdout), turnedRound(changes));
      return difference === null
        ? { ok: true }
        : { ok: false, failure: 'plan_differs', message: `To put the earlier versions back, ${difference}.` };
    },
  };
}

/** Files of packages of these names in the folder of downloads. */
function downloaded(dir: string, packages: readonly Omit<PackageId, 'version'>[]): string[] {
  if (!existsSync(dir)) return [];
  return readdirSync(dir)
    .filter((file) => packages.some((p) => file.startsWith(`${p.name}_`) && file.endsWith(`_${p.arch}.deb`)))
    .map((file) => join(dir, file));
}

/** Path → MD5 of what the package brought, as dpkg remembers; obsolete ones too. */
async function recordedConffiles(
  packages: readonly Omit<PackageId, 'version'>[],
): Promise<Map<string, string>> {
  if (packages.length === 0) return new Map();
  const answer = await runCommand(
    [
      'dpkg-query',
      '--show',
      '--showformat=${Conffiles}\n',
      ...packages.map((p) => (p.arch === 'all' ? p.name : keyOf(p))),
    ],
    { timeoutSeconds: 60 },
  );
  // One that is not installed makes it exit with 1, after it has told of the others.
  return parseRecordedConffiles(answer.stdout);
}

/** ` /etc/x.conf DIGEST`, with `obsolete` after it or not. A file that is only expected is `newconffile`, without a digest. */
export function parseRecordedConffiles(text: string): Map<string, string> {
  return new Map(
    text.split('\n').flatMap((line): [string, string][] => {
      const [, path, sum] = /^ (\/.+?) ([0-9a-f]{32})(?: [a-z-]+)*$/u.exec(line) ?? [];
      return path === undefined || sum === undefined ? [] : [[path, sum]];
    }),
  );
}

/** /var/lib/ucf/registry: `PACKAGE \t PATH`, with blanks around the tab. */
export function parseUcfRegistry(text: string): [name: string, path: string][] {
  return text.split('\n').flatMap((line): [string, string][] => {
    const [, name, path] = /^(\S+)\s+(\/.*\S)\s*$/u.exec(line) ?? [];
    return name === undefined || path === undefined ? [] : [[name, path]];
  });
}

function md5(path: string): string {
  return createHash('md5').update(readFileSync(path)).digest('hex');
}
