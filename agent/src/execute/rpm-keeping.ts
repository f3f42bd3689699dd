import { join } from 'node:path';
import { parseRpmFiles } from '../collect/rpm-files.ts';
import { AgentFailure } from '../failure.ts';
import { runCommand } from '../run-command.ts';
import type { OrderedChanges } from './executor.ts';
import { keyOf, type Keeping, type PackageId } from './keeping.ts';
import { classifyRpmFailure, failed } from './rpm-output.ts';
import { identifyRpm, rollBackCommand, rpmFilesBelow } from './rpm-packages.ts';

/** Keeping and putting back with rpm: rpm(8). The same for dnf, yum and zypper but for what each offers and holds. */

/** An epoch is not in the names of package files; here it is, so that no two packages have one name. */
export function rpmFileName(p: PackageId): string {
  return `${p.name}-${p.version.replaceAll(':', '%3a')}.${p.arch}.rpm`;
}

/** As repositories name it, nearly always. */
function usualFileName(p: PackageId): string {
  return `${p.name}-${p.version.replace(/^\d+:/u, '')}.${p.arch}.rpm`;
}

/**
 * A folder, then a command that loads into it: gives each package there the name of {@link rpmFileName} as well. Packages lie in
 * the folder itself or in \`cache\` below it, where zypper takes away what it has installed.
 */
export const loadAndName = `
dir=$1; shift
"$@"; code=$?
find "$dir/cache" -name '*.rpm' -exec ln -f {} "$dir" ';' 2>/dev/null
for file in "$dir"/*.rpm; do
  [ -e "$file" ] || continue
  rest=$(rpm -qp --nosignature --queryformat '%{VERSION}-%{RELEASE}.%{ARCH}.rpm' "$file" 2>/dev/null) || continue
  name=$(rpm -qp --nosignature --queryformat '%{NAME}' "$file" 2>/dev/null)
  epoch=$(rpm -qp --nosignature --queryformat '%|EPOCH?{%{EPOCH}}:{0}|' "$file" 2>/dev/null)
  [ "$epoch" = 0 ] && to="$dir/$name-$rest" || to="$dir/$name-$epoch%3a$rest"
  [ "$file" = "$to" ] || ln -f "$file" "$to"
done
exit $code
`;

export interface OfManager {
  readonly fetchedDir: string;
  readonly downloadsDir: string;
  readonly keptPackagesDir: string;
  /** Folders where the manager may have kept packages of earlier. */
  readonly cacheDirs: readonly string[];
  /** Of these exact versions, those that the repositories offer, by `name:arch`, with their bytes as far as that is told. */
  readonly offered: (packages: readonly PackageId[]) => Promise<ReadonlyMap<string, number>>;
  readonly held: () => readonly string[];
  readonly lock: (name: string) => readonly [string, ...string[]];
}

export function createRpmKeeping(of: OfManager): Keeping {
  return {
    fetchedDir: of.fetchedDir,
    fileName: rpmFileName,
    leftoverSuffixes: ['.rpmnew', '.rpmsave', '.rpmorig'],

    async offered(packages) {
      const found = packages.length === 0 ? new Map<string, number>() : await of.offered(packages);
      // The digests of the index are dnf's and zypper's own matter: both check what they fetch by them, and by its signature.
      return new Map([...found].map(([key, bytes]) => [key, { sha256: [], bytes }]));
    },

    cachedPaths: (p) => {
      const usual = `/${usualFileName(p)}`;
      return of.cacheDirs.flatMap(rpmFilesBelow).filter((path) => path.endsWith(usual));
    },

    stagedPath: (p) => join(of.downloadsDir, usualFileName(p)),
    identify: identifyRpm,

    async isBuildInstalled(p, path) {
      // The digests of header and payload, which rpm keeps of what it has installed.
      const format = ['--queryformat', String.raw`%{SHA1HEADER} %{SHA256HEADER} %{SIGMD5}\n`] as const;
      const name = `${p.name}-${p.version.replace(/^\d+:/u, '')}.${p.arch}`;
      const installed = await runCommand(['rpm', '-q', ...format, name], { timeoutSeconds: 60 });
      const file = await runCommand(['rpm', '-qp', '--nosignature', ...format, path], { timeoutSeconds: 60 });
      const said = file.ok ? file.stdout.trim() : '';
      return installed.ok && /[0-9a-f]{32}/u.test(said) && installed.stdout.trim().split('\n').includes(said);
    },

    async configurationFiles(packages) {
      const paths = new Set<string>();
      for (const path of (await configurationDigests(packages)).keys()) paths.add(path);
      const wanted = new Set(packages.map(keyOf));
      for (const file of rpmFilesBelow(of.downloadsDir)) {
        const p = await identifyRpm(file);
        if (p === null || !wanted.has(keyOf(p))) continue;
        const answer = await runCommand(['rpm', '-qp', '--nosignature', '--queryformat', filesFormat, file], {
          timeoutSeconds: 60,
        });
        for (const path of parseRpmFiles(answer.stdout).changeable) paths.add(path);
      }
      return [...paths].toSorted();
    },

    async pristine(packages, paths) {
      const answer = await runCommand(
        ['rpm', '-V', '--nodeps', '--noscripts', ...packages.map((p) => `${p.name}.${p.arch}`)],
        { timeoutSeconds: 120 },
      );
      const known = await configurationDigests(packages);
      const altered = parseVerify(answer.stdout);
      return new Set(paths.filter((path) => known.has(path) && !altered.has(path)));
    },

    held: () => Promise.resolve(of.held()),

    async hold(names) {
      for (const name of names) {
        const answer = await runCommand(of.lock(name), { timeoutSeconds: 60 });
        if (!answer.ok) {
          throw new AgentFailure(
            'mark_failed',
            `${name} could not be locked again: ${answer.message}`,
            `Run \`${of.lock(name).join(' ')}\` on the host.`,
          );
        }
      }
    },

    async tryRollBack(changes: OrderedChanges) {
      const { argv, env } = rollBackCommand('try', changes, (p) => join(of.keptPackagesDir, rpmFileName(p)));
      const answer = await runCommand(argv, { timeoutSeconds: 300, env });
      if (answer.ok || changes.added.length > 0) {
        // With packages that are to go first, rpm cannot try both at once.
        return { ok: true };
      }
      const { failure, line } = classifyRpmFailure(`${answer.stdout}\n${answer.stderr}`);
      return failed(failure, `The earlier versions cannot be put back: ${line}`);
    },
  };
}

const filesFormat = String.raw`[%{FILENAMES}\t%{FILEDIGESTS}\t%{FILEFLAGS}\n]`;

async function configurationDigests(
  packages: readonly Omit<PackageId, 'version'>[],
): Promise<ReadonlyMap<string, string>> {
  if (packages.length === 0) return new Map();
  const answer = await runCommand(
    ['rpm', '-q', '--queryformat', filesFormat, ...packages.map((p) => `${p.name}.${p.arch}`)],
    { timeoutSeconds: 60 },
  );
  // One that is not installed makes it exit with 1, after it has told of the others.
  const { sums, changeable } = parseRpmFiles(answer.stdout);
  return new Map([...changeable].map((path) => [path, sums.get(path) ?? '']));
}

/** Paths of which `rpm -V` says that the content is not the package's (`5`), or that they are missing. Pure. */
export function parseVerify(text: string): ReadonlySet<string> {
  return new Set(
    text.split('\n').flatMap((line) => {
      const [, marks, path] = /^(\S{8,9}|missing)\s+(?:[cdglr]\s+)?(\/.+?)(?: \(.*\))?$/u.exec(line) ?? [];
      return path !== undefined && (marks === 'missing' || marks?.[2] === '5' || marks?.[2] === '?')
        ? [path]
        : [];
    }),
  );
}
