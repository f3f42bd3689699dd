import type { Command } from 'commander';
import { Person, roles } from '@fixpoint/contract/access.ts';
import { ask } from '../http-client.ts';
import { fetchItems, forServer, printList, serverOf, type ServerOptions } from '../list.ts';
import { print, printJson } from '../output/stream.ts';
import type { Column } from '../output/table.ts';
import { relative } from '../output/time.ts';
import { readSecret } from '../prompt.ts';

const columns: readonly Column<Person>[] = [
  { title: 'E-MAIL', of: (p) => p.email },
  { title: 'NAME', of: (p) => p.name, yields: 1, least: 8 },
  { title: 'ROLE', of: (p) => p.role },
  { title: 'CREATED', of: (p) => relative(p.created_at), yields: 2, least: 10 },
];

export function register(noun: Command): void {
  forServer(noun.command('list').description('people with their roles')).action(
    async (options: ServerOptions) => {
      printList(await fetchItems(serverOf(options), '/api/v1/people', Person), columns, options, 'Nobody.');
    },
  );
  forServer(
    noun.command('create').description('an account; its password is asked for, or read from standard input'),
  )
    .argument('<email>')
    .requiredOption('--name <text>', 'as people call them')
    .requiredOption('--role <role>', roles.join(', '))
    .action(async (email: string, options: ServerOptions & { name: string; role: string }) => {
      const to = serverOf(options);
      const password = await readSecret(`Password for ${email} (at least 12 characters): `);
      const person = await ask(to, '/api/v1/people', Person, {
        method: 'POST',
        json: { email, name: options.name, role: options.role, password },
      });
      if (options.json === true) printJson(person);
      else print(`Created ${person.email} as ${person.role}.`);
    });
}
