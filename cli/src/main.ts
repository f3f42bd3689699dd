#!/usr/bin/env node
/**
 * `fixpoint <noun> <verb>`. `compare` and `scan` need no server and are used in loops and pipelines, so they are started
 * without loading anything else; every other noun loads only its own file.
 */
import { reportError } from './report-error.ts';

const argv = process.argv.slice(2);

try {
  process.exitCode = await run();
} catch (error) {
  process.exitCode = reportError(error, argv);
}

async function run(): Promise<number> {
  switch (argv[0]) {
    case 'compare':
      return (await import('./commands/compare.ts')).compare(argv.slice(1));
    case 'scan':
      return slowScan(argv.slice(1));
    default:
      return (await import('./program.ts')).runProgram(argv);
  }
}

/** The scan that can do everything; the next one may then be fast (see fast/). */
async function slowScan(rest: readonly string[]): Promise<number> {
  const { scan } = await import('./commands/scan.ts');
  const { knowledgeFolder } = await import('./knowledge/local.ts');
  const { readLists } = await import('./scan/apt-lists.ts');
  const { runTool } = await import('./run-command.ts');
  const folder = knowledgeFolder();
  const exitCode = await scan(rest, {
    folder,
    make: async (into) => (await import('./knowledge/make.ts')).makeKnowledge(into),
    readLists: (root, system, status, text) => readLists(root, system, status, text, runTool),
    sbomSubject: async (file, options) => (await import('./scan/sbom-subject.ts')).sbomSubject(file, options),
    sarifLog: async (subject, assessed) => (await import('./scan/sarif.ts')).sarifLog(subject, assessed),
    vexDocument: async (subject, at) => (await import('./scan/vex.ts')).vexDocument(subject, at),
  });
  (await import('./fast/prepare.ts')).prepareFast(folder);
  return exitCode;
}
