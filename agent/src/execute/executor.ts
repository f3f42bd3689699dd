import type { AddedPackage, OrderedPackage, RemovedPackage } from '@fixpoint/contract/order.ts';
import type { TaskFailure } from '@fixpoint/core/task/states.ts';
import type { Manager } from '../package-tools.ts';
import type { Keeping } from './keeping.ts';

/** What the agent asks of a package manager. One file a manager (`apt.ts`, `dnf.ts`); the steps of a task are in `task/`. */

/**
 * `keep` fetches the packages of the versions that are there now, so that `roll_back` can put them back; `configure` and
 * `complete` repair what an interrupted installation left.
 */
export const executorSteps = [
  'refresh',
  'simulate',
  'download',
  'keep',
  'install',
  'configure',
  'complete',
  'roll_back',
] as const;
export type ExecutorStep = (typeof executorSteps)[number];

export interface ExecutorCommand {
  readonly argv: readonly [string, ...string[]];
  readonly env: Readonly<Record<string, string>>;
}

/** What is to be changed, and nothing beyond it. */
export interface OrderedChanges {
  /** Installed now, each to exactly one version; of a rollback: each back to `from`. */
  readonly packages: readonly OrderedPackage[];
  /** Not installed now; of a rollback: to be taken away again. */
  readonly added: readonly AddedPackage[];
  /** To be taken away; of a rollback: to be installed again. */
  readonly removed: readonly RemovedPackage[];
}

export type Judgement =
  | { readonly ok: true }
  | { readonly ok: false; readonly failure: TaskFailure; readonly message: string };

/** Through which the packages come, with the credentials that it asks for. */
export interface DistributionPoint {
  readonly url: string;
  readonly user: string;
  readonly password: string;
  /** Of one near the host; absent: the server's own. */
  readonly name?: string;
  /** True: not through it, but on the host's own way to its repositories. */
  readonly direct?: boolean;
}

/** What a package that was downloaded says of its own files. */
export interface ShippedFiles {
  readonly name: string;
  readonly arch: string;
  /** Path → digest (hex): MD5 of dpkg, SHA-256 of rpm. */
  readonly sums: ReadonlyMap<string, string>;
}

/** An installed package and its files, as the package manager's database has them. */
export interface InstalledFiles {
  readonly name: string;
  readonly arch: string;
  readonly version: string;
  readonly source: string;
  readonly source_version: string;
  readonly files: readonly string[];
  /** Path → digest (hex): MD5 of dpkg, SHA-256 (older packages: MD5) of rpm, SHA-1 of apk. */
  readonly sums: ReadonlyMap<string, string>;
}

/** What the database of the package manager says now. Keys are `name:arch`. */
export interface PackageState {
  readonly versions: ReadonlyMap<string, string>;
  /** Begun and not finished: unpacked and not configured, or a transaction that broke off. */
  readonly unfinished: ReadonlySet<string>;
}

/** What a simulated transaction would do, as the package manager says itself. */
export interface Simulated {
  /** `arch` is null where the output does not say it. `from` is null for what would be newly installed. */
  readonly changed: readonly {
    readonly name: string;
    readonly arch: string | null;
    readonly from: string | null;
    readonly to: string;
  }[];
  readonly removed: readonly {
    readonly name: string;
    readonly arch: string | null;
    readonly version: string | null;
  }[];
  /** Null where the output does not say it. */
  readonly downloadBytes: number | null;
  /** More (or less) that is taken on disk afterwards. */
  readonly diskBytes: number | null;
}

export interface Executor {
  readonly manager: Manager;
  /** Writes the configuration of the next command; called before each, since credentials expire. */
  prepare(distributionPoint: DistributionPoint, bandwidthBytesPerSecond: number | null): void;
  command(step: ExecutorStep, changes: OrderedChanges): ExecutorCommand;
  /** Reads a command's end: did it do what was asked, and if not, why. */
  judge(step: ExecutorStep, exitCode: number, output: string, changes: OrderedChanges): Judgement;
  /** Reads the output of a `simulate` that exited with success. */
  simulated(output: string): Simulated;
  /** Where the output of a simulation does not say it: what it would load, and take on disk. */
  sizes?(simulated: Simulated): Promise<{ readonly downloadBytes: number; readonly diskBytes: number }>;
  /** Throws AgentFailure when the database cannot be read whole. */
  state(): Promise<PackageState>;
  /** Bytes of the packages in the download folder. */
  downloadedBytes(): number;
  shippedFiles(packages: readonly OrderedPackage[]): Promise<ShippedFiles[]>;
  /** Of these packages, those that are installed. */
  installedFiles(packages: readonly OrderedPackage[]): Promise<InstalledFiles[]>;
  /** Packages that are there because others need them: a mark that an installation by name takes away. */
  readAutomatic(packages: readonly OrderedPackage[]): Promise<string[]>;
  markAutomatic(names: readonly string[]): Promise<void>;
  /** How such a mark names a package; absent: by its name alone. */
  markName?(p: { readonly name: string; readonly arch: string }): string;
  /** Absent: this manager can keep nothing, so nothing can be put back. */
  readonly keeping?: Keeping;
  /** Takes away secrets and downloads (what is kept stays); called when a task has ended. */
  cleanUp(): void;
}
