/** Roots that tests scan, written on the spot, and the real program that scans them. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { runTool } from '../run-command.ts';
import type { Assessment } from './assess.ts';

const program = join(import.meta.dirname, '../../bin/fixpoint');

export interface Run {
  readonly stdout: string;
  readonly stderr: string;
  readonly status: number | null;
}

export interface ScanFixture {
  /** Everything is below it. */
  readonly folder: string;
  /** Runs `fixpoint` with a cache of its own. */
  run(args: readonly string[], environment?: Record<string, string>): Run;
  /** What `scan --json` answers; throws when it does not end with 0. */
  scanJson(args: readonly string[]): ScanDocument;
  /** A new root with these files, by their paths from inside. */
  root(files: Readonly<Record<string, string>>): string;
  remove(): void;
}

export interface ScanDocument extends Assessment {
  readonly packages: number;
  readonly summary: Readonly<Record<string, number>>;
}

export function createScanFixture(): ScanFixture {
  const folder = mkdtempSync(join(tmpdir(), 'fixpoint-scan-test-'));
  const cache = join(folder, 'cache');
  let count = 0;
  const run: ScanFixture['run'] = (args, environment = {}) => {
    const { stdout, stderr, exitCode } = runTool(program, args, 60, {
      XDG_CACHE_HOME: cache,
      FIXPOINT_KNOWLEDGE: '',
      COLUMNS: '',
      ...environment,
    });
    return { stdout, stderr, status: exitCode };
  };
  return {
    folder,
    run,
    scanJson(args) {
      const { stdout, stderr, status } = run(['scan', '--json', ...args]);
      if (status !== 0) throw new Error(`scan ended with ${String(status)}: ${stderr}`);
      const document: ScanDocument = JSON.parse(stdout);
      return document;
    },
    root(files) {
      const root = join(folder, `root-${String(count++)}`);
      for (const [path, text] of Object.entries(files)) {
        mkdirSync(dirname(join(root, path)), { recursive: true });
        writeFileSync(join(root, path), text);
      }
      return root;
    },
    remove: () => rmSync(folder, { recursive: true, force: true }),
  };
}

/** A stanza of dpkg's status. */
export function dpkgStanza(
  name: string,
  version: string,
  fields: Readonly<Record<string, string>> = {},
): string {
  const all = {
    Package: name,
    Status: 'install ok installed',
    Architecture: 'amd64',
    Version: version,
    ...fields,
  };
  return `${Object.entries(all)
    .map(([field, value]) => `${field}: ${value}\n`)
    .join('')}\n`;
}
