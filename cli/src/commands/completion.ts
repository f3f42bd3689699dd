import type { Command } from 'commander';
import { QueryCompletions } from '@fixpoint/contract/search.ts';
import { askedFor, candidates, readLine, type LineEnd } from '../completion.ts';
import { connection } from '../connection.ts';
import { ask } from '../http-client.ts';
import { print } from '../output/stream.ts';

/** Seconds that somebody waits at a key. */
const patienceSeconds = 3;

const bash = `# fixpoint completion bash >> ~/.bashrc, or into a file of /etc/bash_completion.d
_fixpoint() {
  mapfile -t COMPREPLY < <("\${COMP_WORDS[0]}" completion answer "$COMP_LINE" "$COMP_POINT" 2>/dev/null)
  compopt -o nospace
}
complete -F _fixpoint fixpoint
`;

export function register(noun: Command): void {
  noun
    .command('bash')
    .description('a script for bash: source <(fixpoint completion bash)')
    .action(() => print(bash));
  noun
    .command('answer', { hidden: true })
    .argument('<line>')
    .argument('<point>')
    .action(async (line: string, point: string) => {
      const end = readLine(line.slice(0, Number(point)));
      const found = await answers(noun, end);
      if (found.length > 0) print(found.join('\n'));
    });
}

async function answers(noun: Command, end: LineEnd): Promise<string[]> {
  const asked = askedFor(end.words);
  if (asked === null || end.current.startsWith('-')) return ofCommand(noun, end);
  const text = [...asked.before, end.current].join(' ');
  const to = connection({});
  const completed = await ask(to, '/api/v1/query/complete', QueryCompletions, {
    method: 'POST',
    json: { subject: asked.subject, text },
    timeoutSeconds: patienceSeconds,
  });
  return candidates(end, text, completed);
}

/** Nouns, verbs and options. Verbs are known of the noun that is being typed: program.ts loads that one beside this. */
function ofCommand(noun: Command, { words, current }: LineEnd): string[] {
  let command = noun.parent;
  for (const word of words.slice(1)) {
    const next = command?.commands.find((each) => each.name() === word);
    if (next !== undefined) command = next;
  }
  if (command === null) return [];
  const names = current.startsWith('-')
    ? command.options.flatMap(({ long }) => long ?? [])
    : command
        .createHelp()
        .visibleCommands(command)
        .map((each) => each.name());
  return names.filter((name) => name.startsWith(current)).map((name) => `${name} `);
}
