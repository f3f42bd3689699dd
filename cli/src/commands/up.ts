import type { Command } from 'commander';
import { FeedStatus } from '@fixpoint/contract/feed.ts';
import { rmSync, writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { now, sleep, ticks } from '../clock.ts';
import { localServerFile, type Connection } from '../connection.ts';
import { dataFolder } from '../data-folder.ts';
import { exitCodes, type ExitCode } from '../exit-codes.ts';
import { fetchList } from '../list.ts';
import { note, print } from '../output/stream.ts';
import { styled } from '../output/terminal.ts';
import { duration, relative } from '../output/time.ts';
import type { Child } from '../run-command.ts';
import { awaitInventory, printFirstLook } from '../up/first-look.ts';
import { agentLog, agentObstacle, endOrphan, enrolHere, startAgent, stopAgent } from '../up/local-agent.ts';
import { startLocalServer, type LocalServer } from '../up/local-server.ts';
import { version } from '../version.ts';

interface UpOptions {
  readonly data?: string;
  readonly listen?: string;
  readonly agent: boolean;
}

export function register(noun: Command): void {
  noun
    .option(
      '--data <folder>',
      'database, keys, logs (also FIXPOINT_DATA; default: /var/lib/fixpoint or your data folder)',
    )
    .option('--listen <host:port>', 'where to answer (also FIXPOINT_LISTEN; default: 127.0.0.1:8420)')
    .option('--no-agent', 'do not make this machine an asset')
    .addHelpText(
      'after',
      '\nRuns until Ctrl-C. DATABASE_URL uses a PostgreSQL of your own instead of the embedded one.',
    )
    .action(async (options: UpOptions) => {
      process.exitCode = await up(options);
    });
}

async function up(options: UpOptions): Promise<ExitCode> {
  if (options.data !== undefined) process.env['FIXPOINT_DATA'] = resolve(options.data);
  if (options.listen !== undefined) process.env['FIXPOINT_LISTEN'] = options.listen;
  const data = dataFolder();
  process.env['FIXPOINT_DATA'] = data;
  const started = ticks();
  const stopping = listenForEnd();

  print(`Fixpoint ${version}. Data folder: ${data}`);
  print(
    'Starting the database and the server; the first time, knowledge is loaded too, which takes some seconds …',
  );
  const server = await startLocalServer(data);
  let agent: Child | null = null;
  try {
    const to: Connection = {
      server: server.url,
      credential: server.operatorToken,
      credentialFrom: server.operatorTokenFile,
    };
    writeFileSync(localServerFile(), `${server.url}\n`, { mode: 0o644 });
    print(`The server answers at ${styled('bold', server.url)} (${duration(ticks() - started)}).`);
    if (server.administrator !== null) printAdministrator(server.administrator);
    await printKnowledge(to);
    if (!stopping.signal.aborted) agent = await observeThisMachine(to, data, options.agent, stopping.signal);
    if (!stopping.signal.aborted) printNextSteps(server, agent !== null, ticks() - started);
    await stopping.asked;
  } finally {
    const since = ticks();
    print('\nStopping …');
    if (agent !== null) {
      await stopAgent(agent);
      print('The agent has stopped.');
    }
    await server.stop();
    rmSync(localServerFile(), { force: true });
    print(
      `The server and its database have stopped (${duration(ticks() - since)}). Everything is kept in ${data}.`,
    );
    stopping.end();
  }
  return exitCodes.ok;
}

/** The first signal asks to stop in order; one that comes seconds later, when that hangs, ends at once. */
function listenForEnd(): { readonly signal: AbortSignal; readonly asked: Promise<void>; end(): void } {
  const controller = new AbortController();
  let first = 0;
  const impatient = 3000;
  const asked = new Promise<void>((settle) => {
    controller.signal.addEventListener('abort', () => settle());
  });
  const onSignal = (): void => {
    if (!controller.signal.aborted) {
      first = ticks();
      controller.abort();
    } else if (ticks() - first > impatient) {
      note('note: stopped at once; the next start recovers');
      process.exit(exitCodes.interrupted);
    }
  };
  const names = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
  for (const name of names) process.on(name, onSignal);
  return {
    signal: controller.signal,
    asked,
    end: () => {
      for (const name of names) process.off(name, onSignal);
    },
  };
}

function printAdministrator({
  email,
  password,
}: {
  readonly email: string;
  readonly password: string;
}): void {
  print('');
  print(styled('bold', 'The first account. Its password is shown now and never again:'));
  print(`  e-mail address  ${email}`);
  print(`  password        ${password}`);
  print('');
}

/** What the server judges by, and how old that is. */
async function printKnowledge(to: Connection): Promise<void> {
  const { items } = await fetchList(to, '/api/v1/feeds', FeedStatus, {}, { all: true });
  const held = items.filter((feed) => feed.records > 0);
  const words = held.map(
    (feed) =>
      `${feed.id} ${String(feed.records)} (of ${relative(feed.published_at ?? feed.last_success_at)})`,
  );
  print(
    held.length > 0
      ? `Knowledge, in records: ${words.join(', ')}.`
      : 'There is no knowledge yet; fixpoint feed import adds some.',
  );
  for (const feed of items) {
    if (feed.last_error !== null) note(`warning: the feed ${feed.id} failed: ${feed.last_error}`);
  }
}

const inventoryTimeoutSeconds = 120;

/** Enrols this machine, starts its agent, and shows what it found. Null where there is no agent. */
async function observeThisMachine(
  to: Connection,
  data: string,
  wanted: boolean,
  signal: AbortSignal,
): Promise<Child | null> {
  const orphan = await endOrphan(data);
  if (orphan !== null)
    print(`Ended the agent (process ${String(orphan)}) that an earlier start left behind.`);
  if (!wanted) return null;
  const obstacle = agentObstacle();
  if (obstacle !== null) {
    note(`note: this machine is no asset: ${obstacle}. fixpoint enroll lets other hosts join.`);
    return null;
  }
  print('Enrolling this machine, assess-only: the agent reports and installs nothing …');
  const asset = await enrolHere(to, data);
  const since = now();
  const agent = await startAgent(data);
  try {
    const gone = agent.ended.then(() => 'ended' as const);
    const first = await Promise.race([
      awaitInventory(to, asset, since, inventoryTimeoutSeconds, signal),
      gone,
    ]);
    if (signal.aborted) return agent;
    if (first === true) await printFirstLook(to, asset);
    else {
      const how =
        first === 'ended'
          ? 'the agent has ended'
          : `no inventory came within ${String(inventoryTimeoutSeconds)} s`;
      note(`warning: nothing is known of this machine: ${how}. See ${agentLog(data)}.`);
    }
  } catch (error) {
    // Whoever calls does not have it yet, and would leave it running, and itself with it.
    await stopAgent(agent);
    throw error;
  }
  void keepTelling(agent, data, signal);
  return agent;
}

/** An agent that ends while we run is said; the server goes on. */
async function keepTelling(agent: Child, data: string, signal: AbortSignal): Promise<void> {
  const { exitCode, signal: by } = await agent.ended;
  if (signal.aborted) return;
  // A signal to the whole group reaches the agent a moment before it reaches us.
  await sleep(500, signal);
  if (!signal.aborted) {
    note(
      `warning: ${now().toISOString()} the agent ended (${by ?? `exit code ${String(exitCode)}`}); see ${agentLog(data)}`,
    );
  }
}

function printNextSteps(server: LocalServer, hasAgent: boolean, tookMs: number): void {
  const steps: readonly (readonly [command: string, what: string])[] = [
    ...(hasAgent ? ([['fixpoint finding list', 'everything that is vulnerable']] as const) : []),
    ['fixpoint enroll', 'let other hosts join'],
    ['fixpoint patch list', 'what can be deployed'],
    ['fixpoint job create --help', 'deploy a patch'],
    ['fixpoint audit list', 'what happened so far'],
  ];
  print(`\nReady in ${duration(tookMs)}: ${styled('bold', server.url)}. Next (in another terminal):`);
  for (const [command, what] of steps) print(`  ${command.padEnd(28)} ${what}`);
  print(styled('dim', '  (fixpoint is cli/bin/fixpoint in the project folder, or npm run fixpoint --)'));
  print('Ctrl-C stops.');
}
