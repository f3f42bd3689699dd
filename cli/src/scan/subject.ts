import { existsSync } from 'node:fs';
import { release } from 'node:os';
import { parseOsRelease, type OsRelease } from '@fixpoint/core/inventory/os-release.ts';
import { exitCodes } from '../exit-codes.ts';
import { Failure } from '../failure.ts';
import { localKnowledge, type KnowledgeSourceOptions } from '../knowledge/local.ts';
import type { Knowledge } from '../knowledge/read.ts';
import type { ReadLists } from './apt-lists.ts';
import type { ScanUndetermined } from './assess.ts';
import type { RunningKernel, ScanPackage } from './judge.ts';
import { readPackages } from './packages.ts';
import { checkRoot, osReleaseOf } from './root.ts';

/** What is scanned: a root folder, or the components of an SBOM, which may be of several systems. */
export interface ScanSubject {
  readonly source: RootSource | SbomSource;
  readonly parts: readonly ScanPart[];
  /** Components that could not be placed, and those of a system that nothing is known of. */
  readonly unplaced: readonly UnplacedPackage[];
}

export interface RootSource {
  readonly kind: 'root';
  readonly root: string;
  /** The package database, from inside: `/var/lib/dpkg/status`. */
  readonly database: string;
}

export interface SbomSource {
  readonly kind: 'sbom';
  readonly file: string;
  /** `CycloneDX 1.5` */
  readonly format: string;
  readonly serialNumber: string | null;
  readonly notPackages: number;
}

/** Packages of one system, with what is known of it. */
export interface ScanPart {
  readonly os: OsRelease;
  readonly packages: readonly ScanPackage[];
  readonly knowledge: Knowledge;
  readonly kernel: RunningKernel;
}

export interface UnplacedPackage {
  readonly undetermined: ScanUndetermined;
  readonly name: string;
  readonly version: string;
  readonly ref: string | null;
}

/** @throws Failure when the root cannot be judged */
export async function rootSubject(
  root: string,
  options: KnowledgeSourceOptions,
  readLists: ReadLists,
): Promise<ScanSubject> {
  checkRoot(root);
  const os = readOsRelease(root);
  const installed = await readPackages(root, os, readLists);
  const knowledge = await localKnowledge(os, options);
  if (installed === null) throw new Error('knowledge of a system whose packages cannot be read');
  const { packages, database } = installed;
  return {
    source: { kind: 'root', root, database },
    parts: [{ os, packages, knowledge, kernel: runningKernel(root) }],
    unplaced: [],
  };
}

function readOsRelease(root: string): OsRelease {
  const text = osReleaseOf(root);
  if (text !== null) return parseOsRelease(text);
  throw new Failure(
    exitCodes.inputUnusable,
    'os_release_missing',
    `${root} has neither etc/os-release nor usr/lib/os-release, so its release is not known`,
    'Give --root the folder that holds the etc and usr folders of the system to scan.',
  );
}

/** Marks of the common container runtimes; see container_detect in systemd's virt.c for the same list. */
const containerMarks = ['/run/systemd/container', '/.dockerenv', '/run/.containerenv'];

function runningKernel(root: string): RunningKernel {
  if (root !== '/') return { kind: 'unknown' };
  if (containerMarks.some((mark) => existsSync(mark))) return { kind: 'container' };
  return { kind: 'running', release: release() };
}
