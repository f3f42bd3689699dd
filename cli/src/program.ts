import { Command, CommanderError } from 'commander';
import { exitCodes } from './exit-codes.ts';
import { note, writeAll } from './output/stream.ts';
import { version } from './version.ts';

/** What each file of commands/ exports: adds its verbs to the noun. Actions end by returning or by throwing a Failure. */
export type Register = (noun: Command) => void;

interface Noun {
  readonly summary: string;
  readonly load: (() => Promise<{ readonly register: Register }>) | null;
}

/** Every noun with its own file, loaded only when it is used. `compare` and `scan` are started by main.ts. */
const nouns: Readonly<Record<string, Noun>> = {
  up: {
    summary: 'run the product: database, server, and this machine as an asset',
    load: () => import('./commands/up.ts'),
  },
  scan: {
    summary: 'find the vulnerabilities of this machine or a root folder, without a server',
    load: null,
  },
  compare: { summary: 'compare two versions in the order of a package manager', load: null },
  enroll: {
    summary: 'let hosts join: print the command that enrols one',
    load: () => import('./commands/enroll.ts'),
  },
  login: { summary: 'sign in at a server', load: () => import('./commands/login.ts') },
  logout: { summary: 'end the session and forget it', load: () => import('./commands/logout.ts') },
  asset: { summary: 'hosts with an agent', load: () => import('./commands/asset.ts') },
  search: {
    summary: 'assets, findings, vulnerabilities and patches by a query',
    load: () => import('./commands/search.ts'),
  },
  query: {
    summary: 'what can be asked, and what a query means',
    load: () => import('./commands/query.ts'),
  },
  posture: {
    summary: 'how the fleet stands: findings, risk, and what removes most of it',
    load: () => import('./commands/posture.ts'),
  },
  tag: { summary: 'named sets of assets', load: () => import('./commands/tag.ts') },
  report: {
    summary: 'saved queries, shared, counted over time and exported',
    load: () => import('./commands/report.ts'),
  },
  finding: { summary: 'vulnerabilities on assets', load: () => import('./commands/finding.ts') },
  explain: {
    summary: 'why an asset has a vulnerability, or has not, and what would change it',
    load: () => import('./commands/explain.ts'),
  },
  patch: { summary: 'what can be deployed', load: () => import('./commands/patch.ts') },
  remediation: {
    summary: 'how long findings take to be remediated, and how many are open',
    load: () => import('./commands/remediation.ts'),
  },
  mitigation: {
    summary: 'what helps where there is no patch',
    load: () => import('./commands/mitigation.ts'),
  },
  job: { summary: 'what is wanted to be deployed, and where', load: () => import('./commands/job.ts') },
  plan: {
    summary: 'what a job would really do, asked of its assets',
    load: () => import('./commands/plan.ts'),
  },
  denial: { summary: 'patches that nothing deploys', load: () => import('./commands/denial.ts') },
  calendar: {
    summary: 'times in which nothing is done, whatever the windows of a job say',
    load: () => import('./commands/calendar.ts'),
  },
  deployment: { summary: 'runs of patch jobs', load: () => import('./commands/deployment.ts') },
  task: { summary: "one asset's part of a deployment", load: () => import('./commands/task.ts') },
  criticality: {
    summary: 'how much depends on assets, by rules',
    load: () => import('./commands/criticality.ts'),
  },
  sla: { summary: 'by when findings are due, by rules', load: () => import('./commands/sla.ts') },
  acceptance: {
    summary: 'risk that is accepted for a time',
    load: () => import('./commands/acceptance.ts'),
  },
  audit: { summary: 'who did what, when and why', load: () => import('./commands/audit.ts') },
  alert: { summary: 'what needs a person', load: () => import('./commands/alert.ts') },
  feed: { summary: 'sources of knowledge', load: () => import('./commands/feed.ts') },
  knowledge: {
    summary: 'knowledge files for scans without a server, made from feeds',
    load: () => import('./commands/knowledge.ts'),
  },
  distribution: {
    summary: 'where packages come from: what is kept, and points near the hosts',
    load: () => import('./commands/distribution.ts'),
  },
  'distribution-point': {
    summary: 'run a distribution point near the hosts, on this machine',
    load: () => import('./commands/distribution-point.ts'),
  },
  token: { summary: 'credentials for tools', load: () => import('./commands/token.ts') },
  person: { summary: 'accounts of people', load: () => import('./commands/person.ts') },
  completion: {
    summary: 'completion for the shell, of queries too',
    load: () => import('./commands/completion.ts'),
  },
};

/** Everything but `compare` and `scan`. */
export async function runProgram(argv: readonly string[]): Promise<number> {
  const program = new Command('fixpoint')
    .description('Detect, correlate, prioritise, deploy, verify: vulnerabilities to verified fixes.')
    .version(version, '-V, --version', 'print the version')
    .helpOption('-h, --help', 'show help')
    .showSuggestionAfterError()
    .configureOutput({
      writeOut: (text) => void writeAll(1, text),
      writeErr: (text) => void writeAll(2, text),
      outputError: (text) => note(`error: ${text.replace(/^error: /u, '').trim()} (usage)`),
    })
    .exitOverride();
  const wanted = argv.find((argument) => !argument.startsWith('-'));
  for (const [name, noun] of Object.entries(nouns)) {
    const command = program.command(name).description(noun.summary).exitOverride();
    const shown = argv[0] === 'help' && argv[1] === name;
    // Completion of a line needs to know the verbs of the noun that stands on it.
    const typed = wanted === 'completion' && argv[2]?.trimStart().split(/\s+/u)[1] === name;
    if ((name === wanted || shown || typed) && noun.load !== null) {
      (await noun.load()).register(command);
    }
  }
  try {
    await program.parseAsync([...argv], { from: 'user' });
    return process.exitCode === undefined ? exitCodes.ok : Number(process.exitCode);
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    if (error.exitCode === 0) return exitCodes.ok;
    // Help was shown because no verb was given.
    if (error.code === 'commander.help') return exitCodes.usage;
    note(`what to do: see fixpoint ${commandWords(program, argv)}--help`);
    return exitCodes.usage;
  }
}

/** The noun and the verb that were typed, as far as there are such, each followed by a space. */
function commandWords(program: Command, argv: readonly string[]): string {
  const words = argv.filter((argument) => !argument.startsWith('-'));
  const noun = program.commands.find((command) => command.name() === words[0]);
  const verb = noun?.commands.find((command) => command.name() === words[1]);
  return [noun, verb].flatMap((command) => (command === undefined ? [] : [`${command.name()} `])).join('');
}
