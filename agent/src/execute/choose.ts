import { createApkExecutor } from './apk.ts';
import { createAptExecutor } from './apt.ts';
import type { Manager } from '../package-tools.ts';
import { createDnfExecutor } from './dnf.ts';
import type { Executor } from './executor.ts';
import { createPacmanExecutor } from './pacman.ts';
import { createWindowsExecutor } from './windows.ts';
import { createZypperExecutor } from './zypper.ts';

/** Which executor carries out orders on this host: that of the package manager which the inventory is read from. */

export interface ExecutorPlaces {
  /** Root's alone: holds configuration with credentials. */
  readonly taskDir: string;
  readonly downloadsDir: string;
  /** Where the packages lie that can be put back; see task/kept.ts. */
  readonly keptPackagesDir: string;
}

export function createExecutor(manager: Manager, places: ExecutorPlaces): Executor {
  const { taskDir, downloadsDir, keptPackagesDir } = places;
  switch (manager) {
    case 'apt':
      return createAptExecutor(taskDir, downloadsDir, keptPackagesDir);
    case 'dnf':
    case 'yum':
      return createDnfExecutor(manager, downloadsDir, keptPackagesDir);
    case 'zypper':
      return createZypperExecutor(taskDir, downloadsDir, keptPackagesDir);
    case 'apk':
      return createApkExecutor(downloadsDir);
    case 'pacman':
      return createPacmanExecutor(downloadsDir);
    case 'windows':
      return createWindowsExecutor(downloadsDir);
  }
}
