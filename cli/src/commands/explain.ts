import type { Command } from 'commander';
import { Explanation } from '@fixpoint/contract/explanation.ts';
import { ask } from '../http-client.ts';
import { forServer, serverOf, type ServerOptions } from '../list.ts';
import { compared } from '../output/comparison.ts';
import { print, printJson } from '../output/stream.ts';
import { facts } from '../output/table.ts';

/** `fixpoint explain CVE-2024-6387 --asset web-1` */
export function register(command: Command): void {
  forServer(command)
    .argument('<vulnerability>', 'such as CVE-2023-5363, or another name of it')
    .requiredOption('--asset <asset>', 'id, or hostname when unique')
    .action(async (vulnerability: string, options: ServerOptions & { asset: string }) => {
      const query = new URLSearchParams({ asset: options.asset, vulnerability });
      const told = await ask(serverOf(options), `/api/v1/explanation?${query.toString()}`, Explanation);
      if (options.json === true) printJson(told);
      else print(describe(told));
    });
}

const countsWords = {
  installed: 'installed',
  process: 'replaced, and a process still runs it',
  file: 'its file on disk is not the installed version’s',
  kernel: 'the running kernel, no longer installed',
  inert: 'a kernel that is installed and does not run',
} as const;

function describe(told: Explanation): string {
  const parts = [`${told.sentence}\n`];
  if (told.facts.length > 0) {
    parts.push(`What the sources say of ${told.vulnerability} in ${told.system}:\n${lines(told.facts)}`);
  }
  for (const one of told.software) {
    const { evidence } = one;
    parts.push(
      `${one.name} ${one.version} ${one.arch}: ${one.verdict.replaceAll('_', ' ')}\n${facts([
        ['counts as', countsWords[one.counts]],
        ['because', one.reason],
        ['rule', evidence.rule.replaceAll('_', ' ')],
        ['compared', compared(evidence)],
        ['said by', evidence.feed === null ? null : `${evidence.feed}, record ${evidence.record ?? '?'}`],
        ['advisory', evidence.advisory],
        ['channel', evidence.channel ?? null],
        ['note of the source', evidence.note],
        ['patch', one.patch?.id ?? one.missing_patch?.sentence ?? null],
        ['superseded by', one.patch?.superseded_by ?? null],
        ['also fixes', also(one.also_fixes)],
        ['from', one.patch?.repository ?? null],
        ['in the way', one.patch?.obstacle ?? null],
        ['needs', one.patch === null ? null : needs(one.patch.needs)],
        ['depends on', dependencies(one.patch?.needs.dependencies ?? [])],
      ])}`,
    );
  }
  if (told.changes.length > 0) parts.push(`What would change this:\n${lines(told.changes)}`);
  return parts.join('\n');
}

function needs(of: { reboot: string; restart: boolean }): string {
  if (of.reboot === 'required') return 'a reboot';
  if (of.reboot === 'advised') return 'restarts of nearly everything; a reboot is the simple way';
  return of.restart ? 'restarts of what uses it' : 'nothing beside installing';
}

function dependencies(list: readonly string[]): string | null {
  return list.length === 0 ? null : list.join(', ');
}

/** The newest few, and how many more. */
function also(fixes: readonly string[]): string | null {
  if (fixes.length === 0) return null;
  const newest = fixes.toReversed().slice(0, 5).join(', ');
  return fixes.length > 5 ? `${newest} and ${String(fixes.length - 5)} more` : newest;
}

function lines(list: readonly string[]): string {
  return `${list.map((line) => `  - ${line}`).join('\n')}\n`;
}
