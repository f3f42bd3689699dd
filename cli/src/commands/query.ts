import type { Command } from 'commander';
import {
  QueryCheck,
  QueryCompletions,
  QueryFields,
  type QueryField,
  type SearchColumn,
} from '@fixpoint/contract/search.ts';
import { subjects, type Subject } from '@fixpoint/core/query/fields.ts';
import { exitCodes } from '../exit-codes.ts';
import { Failure } from '../failure.ts';
import { ask } from '../http-client.ts';
import { forServer, serverOf, wholeNumber, type ServerOptions } from '../list.ts';
import { pointAt } from '../output/place.ts';
import { print, printJson } from '../output/stream.ts';
import { facts, table, type Column } from '../output/table.ts';

const fieldColumns: readonly Column<QueryField>[] = [
  { title: 'FIELD', of: (f) => `${f.name}${f.keyed ? '.NAME' : ''}` },
  { title: 'TYPE', of: typeOf, yields: 2, least: 8 },
  { title: 'MEANING', of: (f) => f.description, yields: 1, least: 20 },
  { title: 'FOR EXAMPLE', of: (f) => f.examples[0] ?? '', yields: 3, least: 12 },
];

function typeOf({ type, choices, ordered, many }: QueryField): string {
  const of = choices === null ? type : choices.join(ordered ? ' < ' : ', ');
  return many ? `${of} (any number)` : of;
}

const shownColumns: readonly Column<{ shown_by_default: boolean; column: SearchColumn }>[] = [
  { title: 'COLUMN', of: ({ column }) => column.name },
  { title: 'SHOWN', of: ({ shown_by_default: shown }) => (shown ? 'yes' : '') },
  { title: 'MEANING', of: ({ column }) => column.description, yields: 1, least: 20 },
];

export function register(noun: Command): void {
  forServer(noun.command('fields').description('what can be asked, shown and sorted by'))
    .argument('[subject]', subjects.join(', '))
    .option('--columns', 'what can be shown, instead of what can be asked')
    .action(async (subject: string | undefined, options: ServerOptions & { columns?: boolean }) => {
      const query = subject === undefined ? {} : { subject: subjectNamed(subject) };
      const all = await ask(serverOf(options), '/api/v1/query/fields', QueryFields, { query });
      if (options.json === true) return printJson(all);
      const sections =
        options.columns === true
          ? [...Map.groupBy(all.columns, (one) => one.subject)].map(
              ([name, list]) => `${heading(name)}${table(shownColumns, list)}`,
            )
          : [...Map.groupBy(all.fields, (field) => field.scope)].map(([name, list]) => {
              const related = all.relations.filter(({ from }) => from === name);
              const words = related.map(({ name: to, description }) => [to, description] as const);
              return `${heading(name)}${table(fieldColumns, list)}${words.length === 0 ? '' : `\nrelated, as ${related[0]?.name ?? ''}.FIELD or has ${related[0]?.name ?? ''} (…):\n${facts(words)}`}`;
            });
      print(sections.join('\n'));
    });

  forServer(noun.command('explain').description('what a query means, or what is wrong with it'))
    .argument('<subject>', subjects.join(', '))
    .argument('<query...>')
    .action(async (subject: string, words: string[], options: ServerOptions) => {
      const text = words.join(' ');
      const checked = await ask(serverOf(options), '/api/v1/query/check', QueryCheck, {
        method: 'POST',
        json: { subject: subjectNamed(subject), text },
      });
      if (options.json === true) printJson(checked);
      if (!checked.ok) {
        const { code, message, what_to_do: whatToDo, at, length, expected, suggestions } = checked;
        const problem = { path: '/text', message, at, length, expected, suggestions, text };
        throw new Failure(exitCodes.checkFailed, code, message, whatToDo, [problem]);
      }
      if (options.json === true) return;
      print(`${checked.words}\n\n${checked.printed}`);
      for (const one of checked.notes) print(`\nnote: ${one.message}\n${pointAt(text, one)}`);
    });

  forServer(noun.command('complete').description('what could be typed next in a query'))
    .argument('<subject>', subjects.join(', '))
    .argument('<query>')
    .option('--at <n>', 'where the cursor is, in characters; without it at the end')
    .action(async (subject: string, text: string, options: ServerOptions & { at?: string }) => {
      const at =
        options.at === undefined ? {} : { at: options.at === '0' ? 0 : wholeNumber(options.at, '--at') };
      const completed = await ask(serverOf(options), '/api/v1/query/complete', QueryCompletions, {
        method: 'POST',
        json: { subject: subjectNamed(subject), text, ...at },
      });
      if (options.json === true) printJson(completed);
      else if (completed.items.length === 0) print('Nothing fits there.');
      else print(facts(completed.items.map((item) => [item.text, item.detail])));
    });
}

const heading = (name: string): string => `${name}\n`;

/** `assets` is as good as `asset`. */
function subjectNamed(text: string): Subject {
  const plural: Readonly<Record<string, Subject>> = {
    assets: 'asset',
    findings: 'finding',
    vulnerabilities: 'vulnerability',
    patches: 'patch',
  };
  const subject = subjects.find((each) => each === text) ?? plural[text];
  if (subject !== undefined) return subject;
  throw new Failure(
    exitCodes.usage,
    'usage',
    `${JSON.stringify(text)} is nothing that can be searched`,
    `Name one of: ${subjects.join(', ')}.`,
  );
}
