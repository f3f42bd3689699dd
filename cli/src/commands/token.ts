import type { Command } from 'commander';
import { permissions, Token, TokenCreated } from '@fixpoint/contract/access.ts';
import { ask, tell } from '../http-client.ts';
import { fetchItems, forServer, printList, serverOf, wholeNumber, type ServerOptions } from '../list.ts';
import { note, print, printJson } from '../output/stream.ts';
import type { Column } from '../output/table.ts';
import { relative } from '../output/time.ts';

const columns: readonly Column<Token>[] = [
  { title: 'NAME', of: (t) => t.name },
  { title: 'KIND', of: (t) => t.kind },
  {
    title: 'STATE',
    of: (t) =>
      t.revoked_at === null ? `ends ${relative(t.expires_at)}` : `revoked ${relative(t.revoked_at)}`,
  },
  {
    title: 'USES LEFT',
    of: (t) => (t.uses_left === null ? '-' : String(t.uses_left)),
    align: 'right',
    yields: 3,
    least: 9,
  },
  {
    title: 'LAST USED',
    of: (t) => (t.last_used_at === null ? 'never' : relative(t.last_used_at)),
    yields: 2,
    least: 10,
  },
  {
    title: 'MAY',
    of: (t) => t.permissions.join(', ') || `enrol${t.tags.length > 0 ? ` into ${t.tags.join(', ')}` : ''}`,
    yields: 5,
    least: 10,
  },
  { title: 'CREATED BY', of: (t) => t.created_by, yields: 4, least: 10 },
  { title: 'ID', of: (t) => t.id },
];

export function register(noun: Command): void {
  forServer(
    noun.command('list').description('tokens of tools and for enrolling; never their secrets'),
  ).action(async (options: ServerOptions) => {
    printList(await fetchTokens(options), columns, options, 'No token.');
  });
  forServer(noun.command('create').description('a token for a tool; its secret is shown once'))
    .argument('<name>', 'what uses it')
    .requiredOption('--permission <list>', `what it may do, separated by commas: ${permissions.join(', ')}`)
    .option('--days <n>', 'until it expires', '90')
    .action(async (name: string, options: ServerOptions & { permission: string; days: string }) => {
      const created = await ask(serverOf(options), '/api/v1/tokens', TokenCreated, {
        method: 'POST',
        json: {
          name,
          permissions: options.permission.split(',').map((permission) => permission.trim()),
          expires_in_days: wholeNumber(options.days, '--days'),
        },
      });
      if (options.json === true) printJson(created);
      else {
        note(`note: this is shown once and never again. It ends ${relative(created.token.expires_at)}.`);
        print(created.secret);
      }
    });
  forServer(noun.command('revoke').description('a token, at once'), false)
    .argument('<id>')
    .action(async (id: string, options: ServerOptions) => {
      await tell(serverOf(options), `/api/v1/tokens/${encodeURIComponent(id)}`, { method: 'DELETE' });
      print(`Revoked the token ${id}.`);
    });
}

async function fetchTokens(options: ServerOptions): Promise<{ items: Token[]; total: number }> {
  return fetchItems(serverOf(options), '/api/v1/tokens', Token);
}
