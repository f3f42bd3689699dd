import type { Command } from 'commander';
import { TokenCreated } from '@fixpoint/contract/access.ts';
import { exitCodes } from '../exit-codes.ts';
import { Failure } from '../failure.ts';
import { ask } from '../http-client.ts';
import { forServer, serverOf, wholeNumber, type ServerOptions } from '../list.ts';
import { note, print, printJson } from '../output/stream.ts';
import { relative } from '../output/time.ts';
import { runNode } from '../run-command.ts';
import { agentObstacle, agentProgram } from '../up/local-agent.ts';

interface EnrollOptions extends ServerOptions {
  readonly name: string;
  readonly mode: string;
  readonly uses: string;
  readonly minutes: string;
  readonly tag: string[];
  readonly here?: boolean;
  readonly state?: string;
}

export function register(noun: Command): void {
  forServer(noun)
    .option('--name <text>', 'what the token is for', 'fixpoint enroll')
    .option(
      '--mode <mode>',
      'assess: the agent only reports; manage: it installs what signed orders say',
      'assess',
    )
    .option('--uses <n>', 'hosts that may join with it', '1')
    .option('--minutes <n>', 'until it expires', '60')
    .option(
      '--tag <tag>',
      'a tag that they get; may be repeated',
      (tag: string, before: string[]) => [...before, tag],
      [],
    )
    .option('--here', 'enrol this machine now instead of printing the command')
    .option('--state <folder>', "with --here: the agent's own folder (default: the agent's)")
    .action(enroll);
}

async function enroll(options: EnrollOptions): Promise<void> {
  if (options.mode !== 'assess' && options.mode !== 'manage') {
    throw new Failure(
      exitCodes.usage,
      'usage',
      `--mode is ${JSON.stringify(options.mode)}`,
      'Give assess or manage.',
    );
  }
  const to = serverOf(options);
  const obstacle = options.here === true ? agentObstacle() : null;
  if (obstacle !== null) {
    throw new Failure(
      exitCodes.inputUnusable,
      'agent_cannot_run',
      `this machine cannot be enrolled: ${obstacle}`,
      'Enrol a Debian host.',
    );
  }
  const created = await ask(to, '/api/v1/enrolment-tokens', TokenCreated, {
    method: 'POST',
    json: {
      name: options.name,
      uses: options.here === true ? 1 : wholeNumber(options.uses, '--uses'),
      expires_in_minutes: wholeNumber(options.minutes, '--minutes'),
      tags: options.tag,
    },
  });
  const state = options.state === undefined ? [] : ['--state', options.state];
  const command = [
    'enroll',
    '--server',
    to.server,
    '--token',
    created.secret,
    '--mode',
    options.mode,
    ...state,
  ];
  if (options.here === true) {
    const { exitCode, output } = await runNode(agentProgram, command, 60);
    if (exitCode !== 0) {
      throw new Failure(
        exitCodes.refused,
        'enrolment_failed',
        `the agent could not enrol: ${output.trim()}`,
        'See the message of the agent.',
      );
    }
    print(output.trim());
    return;
  }
  if (options.json === true) {
    printJson(created);
    return;
  }
  const hosts = options.uses === '1' ? 'one host' : `${options.uses} hosts`;
  print(
    `For ${hosts}, until ${relative(created.token.expires_at).replace('in ', '')} from now. On the host, as root:\n`,
  );
  print(`  fixpoint-agent ${command.join(' ')} --install-unit\n`);
  print(
    'fixpoint-agent is one file; agent/build.ts in the project folder makes it, copy it to the host first.',
  );
  if (/\/\/(127\.|localhost|\[::1\])/u.test(to.server)) {
    note(
      `note: ${to.server} is this machine only. Start the server with --listen and an address that hosts reach, and enrol with that.`,
    );
  }
  note('note: the token is shown now and never again.');
}
