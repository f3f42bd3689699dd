#!/usr/bin/env node
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import type { AgentMode } from '@fixpoint/contract/agent.ts';
import { runAgent } from './check-in.ts';
import { systemClock } from './clock.ts';
import { choosePackageSource } from './collect/choose-source.ts';
import { enroll } from './enroll.ts';
import { createExecutor } from './execute/choose.ts';
import type { Executor } from './execute/executor.ts';
import { thisRebootHost } from './reboot-host.ts';
import { answerReboot } from './reboot-talk.ts';
import { readOwnUnit } from './execute/units.ts';
import { AgentFailure, messageOf } from './failure.ts';
import { openTouchedPackages } from './file-residue.ts';
import { createHttpClient } from './http-client.ts';
import { heldTo } from './collect/held-to.ts';
import { createInventoryCollector } from './inventory.ts';
import { createInventoryReporter, openAcknowledgedPackages } from './inventory-report.ts';
import { createLog } from './log.ts';
import type { Manager } from './package-tools.ts';
import { describePolicyFile } from './policy-command.ts';
import { systemRandom } from './random.ts';
import { openRefusals } from './refusals.ts';
import { installService } from './systemd-unit.ts';
import { createSession } from './session.ts';
import { defaultStateDir, loadIdentity, lockStateDir, prepareStateDir, readEnrolment } from './state-dir.ts';
import { createStopAt } from './stop-at.ts';
import { keptDirOf } from './task/kept.ts';
import { openTaskList, readTasks } from './task/task.ts';
import { version } from './version.ts';

const help = `fixpoint-agent ${version}: reports the inventory of this host, and installs what a trusted server orders

  fixpoint-agent enroll --server URL --token TOKEN [--mode assess|manage] [--state DIR] [--install-unit]
      Makes this host known to a server. In mode assess (the default) it reports and installs nothing.
      --install-unit also sets up and starts the systemd service.
  fixpoint-agent run [--state DIR]
      Checks in until it is told to end (SIGTERM).
  fixpoint-agent inventory
      Prints what it would report, as JSON; needs no server.
  fixpoint-agent status [--state DIR] [--json]
      Prints where this host is enrolled and which tasks it has.
  fixpoint-agent policy [--json] [FILE]
      Says in words what the policy file of this host comes to (or FILE, before it is put in its place).
  fixpoint-agent reboot now|later
      Answers the announcement of a reboot: do it at once, or put it off as long as the job allows.
  fixpoint-agent --version | --help

--state is where the agent keeps its key, its journal and its memory; ${defaultStateDir} unless given.

Exit codes: 0 done · 1 unexpected error · 2 wrong usage · 3 refused (token, server key, enrolled elsewhere) ·
            4 server not reachable · 5 not enrolled · 6 another agent runs on the same folder ·
            7 the package database of this host cannot be read · 8 no reboot waits for an answer ·
            9 the policy file cannot be read, and forbids everything
`;

const exitCodes: Readonly<Record<string, number>> = {
  usage: 2,
  reboot_not_asked: 8,
  policy_invalid: 9,
  server_url_invalid: 2,
  token_malformed: 2,
  enrolment_refused: 3,
  server_key_mismatch: 3,
  enrolled_elsewhere: 3,
  server_unreachable: 4,
  server_failed: 4,
  answer_invalid: 4,
  not_enrolled: 5,
  already_running: 6,
  dpkg_status_missing: 7,
  dpkg_status_empty: 7,
  dpkg_status_truncated: 7,
  dpkg_status_corrupt: 7,
  rpm_database_empty: 7,
  rpm_database_unreadable: 7,
  apk_database_empty: 7,
  apk_database_corrupt: 7,
  package_manager_unknown: 7,
};

const usage = (message: string): AgentFailure =>
  new AgentFailure('usage', message, 'See fixpoint-agent --help.');

async function main(argv: readonly string[]): Promise<number> {
  const [command, ...rest] = argv;
  switch (command) {
    case '--version':
    case 'version':
      print(`${version}\n`);
      return 0;
    case undefined:
    case '--help':
    case '-h':
    case 'help':
      print(help);
      return command === undefined ? 2 : 0;
    case 'enroll':
      return enrollCommand(rest);
    case 'run':
      return runCommandLine(rest);
    case 'inventory':
      return inventoryCommand(rest);
    case 'status':
      return statusCommand(rest);
    case 'policy':
      return policyCommand(rest);
    case 'reboot':
      return rebootCommand(rest);
    default:
      throw usage(`there is no command ${JSON.stringify(command)}`);
  }
}

const options = {
  server: { type: 'string' },
  token: { type: 'string' },
  mode: { type: 'string' },
  state: { type: 'string' },
  'install-unit': { type: 'boolean' },
  json: { type: 'boolean' },
} as const;

function read(argv: readonly string[], allowed: readonly (keyof typeof options)[]) {
  try {
    const { values } = parseArgs({ args: [...argv], options, strict: true, allowPositionals: false });
    const other = Object.keys(values).find((name) => !allowed.some((a) => a === name));
    if (other !== undefined) throw usage(`--${other} does not belong to this command`);
    return values;
  } catch (error) {
    throw error instanceof AgentFailure ? error : usage(messageOf(error));
  }
}

async function enrollCommand(argv: readonly string[]): Promise<number> {
  const values = read(argv, ['server', 'token', 'mode', 'state', 'install-unit']);
  if (values.server === undefined || values.token === undefined)
    throw usage('enroll needs --server and --token');
  const stateDir = values.state ?? defaultStateDir;
  const { enrolment, already } = await enroll(
    { server: values.server, token: values.token, mode: readMode(values.mode), stateDir },
    version,
    systemClock,
  );
  print(
    `${already ? 'already enrolled' : 'enrolled'} at ${enrolment.server_url} as asset ${enrolment.asset_id}, mode ${enrolment.mode}\n`,
  );
  if (values['install-unit'] === true) {
    if (!isOneFile()) throw usage('--install-unit needs the agent as one file; see agent/build.ts');
    await installService(process.execPath, stateDir);
    print('the service fixpoint-agent is set up and runs\n');
  }
  return 0;
}

function readMode(text: string | undefined): AgentMode {
  if (text === undefined || text === 'assess') return 'assess';
  if (text === 'manage') return text;
  throw usage('--mode is assess or manage');
}

/** Compiled, the program is this file; run by an interpreter, it is the interpreter. */
function isOneFile(): boolean {
  return !/(?:^|\/)(?:node|bun)$/u.test(process.execPath);
}

async function runCommandLine(argv: readonly string[]): Promise<number> {
  const stateDir = read(argv, ['state']).state ?? defaultStateDir;
  const enrolment = readEnrolment(stateDir);
  if (enrolment === null) {
    throw new AgentFailure(
      'not_enrolled',
      `this host is not enrolled (${stateDir})`,
      'Run fixpoint-agent enroll first.',
    );
  }
  prepareStateDir(stateDir);
  const unlock = lockStateDir(stateDir);
  const log = createLog(systemClock, print);
  const stopping = new AbortController();
  const stop = (): void => {
    stopping.abort();
  };
  process.on('SIGTERM', stop);
  process.on('SIGINT', stop);
  const client = createHttpClient(enrolment.server_url, version);
  try {
    const identity = loadIdentity(stateDir);
    const session = createSession(client, identity, enrolment.asset_id, systemClock);
    const touched = openTouchedPackages(stateDir);
    const ownUnit = readOwnUnit();
    const source = choosePackageSource();
    log('info', 'agent starts', {
      version,
      asset_id: enrolment.asset_id,
      server: enrolment.server_url,
      mode: enrolment.mode,
    });
    await runAgent({
      enrolment,
      version,
      clock: systemClock,
      random: systemRandom,
      log,
      session,
      source,
      executorAt: (dir, name) => executorAt(source.manager, dir, name),
      collector: createInventoryCollector(stateDir, touched, systemClock, source),
      reporter: createInventoryReporter(session, openAcknowledgedPackages(stateDir)),
      tasks: openTaskList(stateDir, systemClock),
      refusals: openRefusals(stateDir),
      taskParts: {
        stopAt: createStopAt(process.env['FIXPOINT_AGENT_STOP_AT'], stateDir),
        touched,
        stateDir,
        ownUnit,
        machine: thisRebootHost,
        createExecutor: (task) =>
          executorAt(
            source.manager,
            task.dir,
            `${task.order.task_id}.${String(task.order.generation)}`,
            keptDirOf(stateDir, task.order),
          ),
      },
      signal: stopping.signal,
      restartAgent() {
        // systemd sets this for what it starts, and starts it again.
        if (process.env['INVOCATION_ID'] !== undefined && ownUnit !== null) stop();
      },
    });
    log('info', 'agent ends');
  } finally {
    client.close();
    unlock();
  }
  // A task that is under way waits for its package manager, which goes on without this process.
  process.exit(0);
}

/** @param dir root's alone; @param name of the folder of downloads; @param kept where packages are kept to be put back */
function executorAt(manager: Manager, dir: string, name: string, kept = dir): Executor {
  return createExecutor(manager, {
    taskDir: dir,
    downloadsDir: join(packageCache, name),
    keptPackagesDir: join(kept, 'packages'),
  });
}

/** apt fetches as a user of its own, who must be able to reach it. */
const packageCache = '/var/cache/fixpoint-agent';

async function inventoryCommand(argv: readonly string[]): Promise<number> {
  read(argv, []);
  const collector = createInventoryCollector(
    null,
    { list: () => [], add: () => undefined },
    systemClock,
    choosePackageSource(),
  );
  const { inventory, digests } = await collector.collect();
  print(`${JSON.stringify({ digests, ...inventory }, null, 2)}\n`);
  return 0;
}

/** For people on the host, when a reboot has been announced to them. */
function rebootCommand(argv: readonly string[]): number {
  const [answer, ...more] = argv;
  if ((answer !== 'now' && answer !== 'later') || more.length > 0) {
    throw usage('say `fixpoint-agent reboot now` or `fixpoint-agent reboot later`');
  }
  if (answerReboot(answer, String(process.pid)) === 'not_asked') {
    throw new AgentFailure(
      'reboot_not_asked',
      'no reboot of this host waits for an answer',
      'Answer when one has been announced.',
    );
  }
  print(answer === 'now' ? 'the host will reboot\n' : 'the reboot is put off, if it still may be\n');
  return 0;
}

async function statusCommand(argv: readonly string[]): Promise<number> {
  const values = read(argv, ['state', 'json']);
  const stateDir = values.state ?? defaultStateDir;
  const enrolment = readEnrolment(stateDir);
  if (enrolment === null) {
    throw new AgentFailure(
      'not_enrolled',
      `this host is not enrolled (${stateDir})`,
      'Run fixpoint-agent enroll first.',
    );
  }
  const tasks = readTasks(stateDir);
  if (values.json === true) {
    print(`${JSON.stringify({ ...enrolment, version, tasks }, null, 2)}\n`);
    return 0;
  }
  print(
    `asset   ${enrolment.asset_id}\nserver  ${enrolment.server_url} (key ${enrolment.server_key.key_id})\nmode    ${enrolment.mode}\n`,
  );
  if (enrolment.mode === 'manage') print(await managerLine());
  for (const task of tasks) {
    print(
      `task    ${task.task_id} generation ${String(task.generation)}: ${task.ended ? 'ended, ' : ''}${String(task.state)}\n`,
    );
  }
  return 0;
}

/** With which package manager orders are carried out here, and when nobody has tried that. */
async function managerLine(): Promise<string> {
  const { manager, takesOrders } = choosePackageSource();
  if (!takesOrders) return `orders  none: ${manager} is only read\n`;
  const held =
    (await heldTo(manager)) === 'real' ? '' : ' (held to recorded outputs only, never tried on a real one)';
  return `orders  by ${manager}${held}\n`;
}

function policyCommand(argv: readonly string[]): number {
  const path = argv.find((word) => !word.startsWith('-'));
  const values = read(
    argv.filter((word) => word !== path),
    ['json'],
  );
  print(describePolicyFile(path ?? null, values.json === true, systemClock.now()));
  return 0;
}

function print(text: string): void {
  process.stdout.write(text);
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  const failure =
    error instanceof AgentFailure
      ? error
      : new AgentFailure(
          'unexpected',
          error instanceof Error ? (error.stack ?? error.message) : String(error),
          'Please report this as a bug.',
        );
  process.stderr.write(
    `fixpoint-agent: ${failure.message}\n  code: ${failure.code}\n  what to do: ${failure.whatToDo}\n`,
  );
  process.exitCode = exitCodes[failure.code] ?? 1;
}
