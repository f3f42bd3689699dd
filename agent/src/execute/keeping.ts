import type { Judgement, OrderedChanges } from './executor.ts';

/**
 * What keeping the present packages and putting them back needs of a package manager, beside its commands `keep` and
 * `roll_back`. One file a manager (`apt-keeping.ts`); the steps are in `task/keep.ts` and `task/rollback.ts`.
 */

export interface PackageId {
  readonly name: string;
  readonly arch: string;
  readonly version: string;
}

/** A package file as the signed index of a repository names it. */
export interface OfferedFile {
  /**
   * Hex; several when repositories offer different builds under one version; none where the package manager alone compares what
   * it fetches with its index.
   */
  readonly sha256: readonly string[];
  readonly bytes: number;
}

export interface Keeping {
  /** Of these exact versions, those that the repositories of this host offer, by `name:arch`. No network. */
  offered(packages: readonly PackageId[]): Promise<ReadonlyMap<string, OfferedFile>>;
  /** Under which name the file of a package is kept. */
  fileName(p: PackageId): string;
  /** Where the command `keep` puts what it fetches. */
  readonly fetchedDir: string;
  /** Where a package lies that was downloaded to be installed by this task; it need not be there. Absent: not to be found. */
  stagedPath?(p: PackageId): string;
  /** Places of this host where the file of a package may lie already. */
  cachedPaths(p: PackageId): readonly string[];
  /** What a package file says it is; null when it is none that can be read. */
  identify(path: string): Promise<PackageId | null>;
  /** Whether a file's own list of digests is that of the installed package: the same build, whoever delivered it. */
  isBuildInstalled(p: PackageId, path: string): Promise<boolean>;
  /** Absolute paths of configuration files of packages: as they are installed, and of those that were downloaded. */
  configurationFiles(packages: readonly Omit<PackageId, 'version'>[]): Promise<readonly string[]>;
  /** Of these paths, those that are just as the packages brought them: nobody has changed them. */
  pristine(
    packages: readonly Omit<PackageId, 'version'>[],
    paths: readonly string[],
  ): Promise<ReadonlySet<string>>;
  /** What the package manager leaves beside a configuration file: `.dpkg-dist`. */
  readonly leftoverSuffixes: readonly string[];
  /** Packages that must not be changed, by the owner's mark. */
  held(): Promise<readonly string[]>;
  hold(names: readonly string[]): Promise<void>;
  /** Tries `roll_back` without changing anything: not ok when more would be changed, or when it cannot be done. */
  tryRollBack(changes: OrderedChanges): Promise<Judgement>;
}

export function keyOf(p: Omit<PackageId, 'version'>): string {
  return `${p.name}:${p.arch}`;
}
