import { createHash } from 'node:crypto';
import { createReadStream, statSync, type Stats } from 'node:fs';
import { join } from 'node:path';
import { Type, type Static } from '@fixpoint/contract/schema.ts';
import type { InstalledPackage, Residue } from '@fixpoint/core/inventory/inventory.ts';
import type { Diversion } from './collect/dpkg-files.ts';
import { withoutUsr } from './collect/maps.ts';
import type { PackageFiles } from './collect/package-source.ts';
import { readStateFile, writeFileAtomically } from './state-dir.ts';

/**
 * Files of packages that tasks installed which are not what the package ships: an installer may exit with 0 and leave, or
 * put back, the vulnerable file. Looked at again with every inventory, until the file is right.
 */

const Sums = Type.Record(Type.String(), Type.String());

export const TouchedPackage = Type.Object(
  {
    name: Type.String(),
    arch: Type.String(),
    source: Type.String(),
    /** The version that a task replaced, and its source's; null where that was not known. */
    from: Type.String(),
    from_source_version: Type.Union([Type.String(), Type.Null()]),
    to: Type.String(),
    /** Paths that the earlier version owned. */
    files_before: Type.Array(Type.String()),
    /** Path → digest as the earlier version said: MD5 of dpkg, SHA-256 (older packages: MD5) of rpm, SHA-1 of apk. */
    sums_before: Sums,
    /** Path → digest as the package that was installed says in itself, whatever its scripts did to dpkg's copy. */
    sums_shipped: Sums,
  },
  { additionalProperties: false },
);
export type TouchedPackage = Static<typeof TouchedPackage>;
const Touched = Type.Object(
  { format: Type.Literal(1), packages: Type.Array(TouchedPackage) },
  { additionalProperties: false },
);

export interface TouchedPackages {
  list(): readonly TouchedPackage[];
  /** Remembers them durably, in place of what was remembered of the same packages. Called before dpkg changes anything. */
  add(packages: readonly TouchedPackage[]): void;
}

/** The memory of what tasks touched, in the agent's state folder. */
export function openTouchedPackages(stateDir: string): TouchedPackages {
  const path = join(stateDir, 'touched-packages.json');
  let packages: readonly TouchedPackage[] = readStateFile(path, Touched)?.packages ?? [];
  return {
    list: () => packages,
    add(more) {
      const kept = new Map(packages.map((p) => [`${p.name}:${p.arch}`, p]));
      for (const p of more) {
        const earlier = kept.get(`${p.name}:${p.arch}`);
        // The same task again after a crash: what is on disk now may no longer be the earlier version.
        if (earlier?.from === p.from && earlier.to === p.to) continue;
        kept.set(`${p.name}:${p.arch}`, p);
      }
      packages = [...kept.values()];
      writeFileAtomically(path, JSON.stringify({ format: 1, packages }));
    },
  };
}

/** Digests of files, read again only when the file has changed. */
export interface FileDigests {
  /** null when there is no file, or no regular one. */
  digest(path: string, algorithm: DigestAlgorithm): Promise<string | null>;
}

export type DigestAlgorithm = 'md5' | 'sha1' | 'sha256';

/** Package managers do not mix algorithms of one length. */
export function algorithmOf(digest: string): DigestAlgorithm {
  if (digest.length === 64) return 'sha256';
  return digest.length === 40 ? 'sha1' : 'md5';
}

export function createFileDigests(): FileDigests {
  const known = new Map<string, { readonly stamp: string; readonly digest: string }>();
  return {
    async digest(path, algorithm) {
      const stats = statOf(path);
      if (stats === null || !stats.isFile()) return null;
      const stamp = `${String(stats.ino)} ${String(stats.size)} ${String(stats.mtimeMs)} ${String(stats.ctimeMs)}`;
      const key = `${algorithm} ${path}`;
      const earlier = known.get(key);
      if (earlier?.stamp === stamp) return earlier.digest;
      const digest = await digestFile(path, algorithm);
      if (digest !== null) known.set(key, { stamp, digest });
      return digest;
    },
  };
}

/** Follows symbolic links: what is reached by the name is what runs. */
function statOf(path: string): Stats | null {
  try {
    return statSync(path);
  } catch {
    return null;
  }
}

function digestFile(path: string, algorithm: DigestAlgorithm): Promise<string | null> {
  return new Promise((resolve) => {
    const hash = createHash(algorithm);
    createReadStream(path)
      .on('data', (chunk) => hash.update(chunk))
      .on('end', () => {
        resolve(hash.digest('hex'));
      })
      .on('error', () => {
        resolve(null);
      });
  });
}

/** Folders whose files are code: one that is missing there leaves the package broken. Others may be excluded by dpkg. */
const codeFolders = /^\/(?:bin|sbin|lib\d*|libexec|libx32)\//u;

/** How one file stands; pure. */
export function judgeFile(file: {
  readonly path: string;
  /** What the installed version says: by the database, by the package itself. Undefined where one says nothing. */
  readonly expected: readonly (string | undefined)[];
  readonly before: string | undefined;
  /** null when there is no regular file. */
  readonly actual: string | null;
  readonly diversion: Diversion | undefined;
  readonly isConffile: boolean;
}): 'digest_differs' | 'diverted' | 'missing' | null {
  if (file.isConffile) return null;
  const expected = file.expected.filter((sum) => sum !== undefined);
  if (file.diversion !== undefined) {
    // A diversion of another package is its way to put its own file there; the earlier version's file is another matter.
    if (file.actual === null) return null;
    if (file.actual === file.before && !expected.includes(file.actual)) return 'diverted';
    return file.diversion.by === null && !expected.includes(file.actual) ? 'diverted' : null;
  }
  if (expected.length === 0) {
    // Shipped by the earlier version only, and still there as that version had it.
    return file.actual !== null && file.actual === file.before ? 'digest_differs' : null;
  }
  if (file.actual === null) return codeFolders.test(withoutUsr(file.path)) ? 'missing' : null;
  return expected.every((sum) => sum === file.actual) ? null : 'digest_differs';
}

/** Looks at every file of every touched package that is still installed. */
export async function collectFileResidue(
  packages: readonly InstalledPackage[],
  touched: readonly TouchedPackage[],
  digests: FileDigests,
  packageFiles: Pick<PackageFiles, 'ownersOf' | 'shippedBy' | 'diversions'>,
): Promise<Residue[]> {
  const installed = new Map(packages.map((p) => [`${p.name}:${p.arch}`, p]));
  const watched = touched.flatMap((t) => {
    const p = installed.get(`${t.name}:${t.arch}`);
    // While the earlier version is (still, or again) the installed one, it is no residue but plainly installed.
    return p === undefined || p.version === t.from ? [] : [{ t, p }];
  });
  if (watched.length === 0) return [];
  const diversions = await packageFiles.diversions();
  const residue: Residue[] = [];
  for (const { t, p } of watched) {
    const { sums: byDatabase, changeable } = await packageFiles.shippedBy(p);
    const byPackage = new Map(p.version === t.to ? Object.entries(t.sums_shipped) : []);
    const before = new Map(Object.entries(t.sums_before));
    const leftOver = [...before.keys()].filter((path) => !byDatabase.has(path) && !byPackage.has(path));
    const ownerOf = await packageFiles.ownersOf(leftOver);
    for (const path of new Set([...byDatabase.keys(), ...byPackage.keys(), ...before.keys()])) {
      const expected = [byDatabase.get(path), byPackage.get(path)];
      const algorithm = algorithmOf(expected.find((sum) => sum !== undefined) ?? before.get(path) ?? '');
      // Of the earlier version's files, one that some package owns now (this one without a digest, or another) is right.
      if ((ownerOf.get(path) ?? null) !== null) continue;
      const alteration = judgeFile({
        path,
        expected,
        before: before.get(path),
        actual: await digests.digest(path, algorithm),
        diversion: diversions.get(path),
        isConffile: changeable.has(path),
      });
      if (alteration === null) continue;
      residue.push({
        kind: 'file',
        name: t.name,
        arch: t.arch,
        version: t.from,
        source: t.source,
        source_version: t.from_source_version,
        path: path.slice(0, 4096),
        process: null,
        alteration,
      });
      if (residue.length >= residueMaximum) return residue;
    }
  }
  return residue;
}

const residueMaximum = 10_000;
