import type { Command } from 'commander';
import { PatchDenial } from '@fixpoint/contract/patch-denial.ts';
import { ask } from '../http-client.ts';
import {
  fetchList,
  forList,
  forServer,
  printList,
  serverOf,
  type ListOptions,
  type ServerOptions,
} from '../list.ts';
import { print, printJson } from '../output/stream.ts';
import type { Column } from '../output/table.ts';
import { relative } from '../output/time.ts';

const columns: readonly Column<PatchDenial>[] = [
  { title: 'DENIED', of: (d) => d.pattern },
  { title: 'REASON', of: (d) => d.reason, yields: 1, least: 16 },
  { title: 'SINCE', of: (d) => `${relative(d.created_at)} by ${d.created_by}`, yields: 2, least: 12 },
  {
    title: 'LIFTED',
    of: (d) => (d.lifted_at === null ? '' : `${relative(d.lifted_at)} by ${d.lifted_by ?? ''}`),
    yields: 3,
    least: 8,
  },
  { title: 'ID', of: (d) => d.id },
];

export function register(noun: Command): void {
  forServer(noun.command('add').description('let nothing deploy patches of a pattern'))
    .argument('<pattern>', "a patch id with * for any part: 'debian:12/openssl@3.0.22-*', '*/postgresql-*@*'")
    .requiredOption('--reason <text>', 'why; it is shown wherever the patch is left out')
    .action(async (pattern: string, options: ServerOptions & { reason: string }) => {
      const made = await ask(serverOf(options), '/api/v1/patch-denials', PatchDenial, {
        method: 'POST',
        json: { pattern, reason: options.reason },
      });
      if (options.json === true) printJson(made);
      else print(`Denied ${made.pattern} (${made.id}); fixpoint denial lift ${made.id} --reason … ends it.`);
    });

  forList(noun.command('list').description('denied patches, newest first'))
    .option('--all-ever', 'also those that were lifted')
    .action(async (options: ListOptions & { allEver?: boolean }) => {
      const query = options.allEver === true ? {} : { open: true };
      const list = await fetchList(serverOf(options), '/api/v1/patch-denials', PatchDenial, query, options);
      printList(list, columns, options, 'No patch is denied. fixpoint denial add PATTERN denies some.');
    });

  forServer(noun.command('lift').description('let patches be deployed again'))
    .argument('<id>')
    .requiredOption('--reason <text>', 'why, for the audit trail')
    .action(async (id: string, options: ServerOptions & { reason: string }) => {
      const lifted = await ask(
        serverOf(options),
        `/api/v1/patch-denials/${encodeURIComponent(id)}/lift`,
        PatchDenial,
        { method: 'POST', json: { reason: options.reason } },
      );
      if (options.json === true) printJson(lifted);
      else print(`Lifted: ${lifted.pattern} may be deployed again.`);
    });
}
