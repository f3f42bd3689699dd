import type { OrderedPackage } from '@fixpoint/contract/agent.ts';
import type { TaskFailure } from '@fixpoint/core/task/states.ts';

/** What the agent asks of a package manager. One folder-less file a manager (`apt.ts`); the steps of a task are elsewhere. */

/** `configure` and `complete` repair what an interrupted installation left. */
export type ExecutorStep = 'refresh' | 'simulate' | 'download' | 'install' | 'configure' | 'complete';

export interface ExecutorCommand {
  readonly argv: readonly [string, ...string[]];
  readonly env: Readonly<Record<string, string>>;
}

export type Judgement =
  | { readonly ok: true }
  | { readonly ok: false; readonly failure: TaskFailure; readonly message: string };

/** Through which the packages come, with the credentials that it asks for. */
export interface DistributionPoint {
  readonly url: string;
  readonly user: string;
  readonly password: string;
}

/** What a package that was downloaded says of its own files. */
export interface ShippedFiles {
  readonly name: string;
  readonly arch: string;
  /** Path → MD5 (hex). */
  readonly sums: ReadonlyMap<string, string>;
}

export interface Executor {
  /** Writes the configuration of the next command; called before each, since credentials expire. */
  prepare(distributionPoint: DistributionPoint): void;
  command(step: ExecutorStep, packages: readonly OrderedPackage[]): ExecutorCommand;
  /** Reads a command's end: did it do what was asked, and if not, why. */
  judge(step: ExecutorStep, exitCode: number, output: string, packages: readonly OrderedPackage[]): Judgement;
  /** Bytes of the packages in the download folder. */
  downloadedBytes(): number;
  shippedFiles(packages: readonly OrderedPackage[]): Promise<ShippedFiles[]>;
  /** Packages that are there because others need them: a mark that an installation by name takes away. */
  readAutomatic(packages: readonly OrderedPackage[]): Promise<string[]>;
  markAutomatic(names: readonly string[]): Promise<void>;
  /** Takes away secrets and downloads; called when a task has ended. */
  cleanUp(): void;
}
