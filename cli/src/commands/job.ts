import type { Command } from 'commander';
import { Deployment, PatchJob, Plan, type PatchJobDefinition } from '@fixpoint/contract/patch-job.ts';
import type { Connection } from '../connection.ts';
import { exitCodes } from '../exit-codes.ts';
import { Failure } from '../failure.ts';
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
import { facts, type Column } from '../output/table.ts';
import { absolute, relative } from '../output/time.ts';
import { definitionOf, type DefinitionOptions } from '../job-definition.ts';
import { definitionFacts } from '../job-text.ts';
import { registerRuns } from '../job-runs.ts';
import { planText } from '../plan-text.ts';
import { watchDeployment } from '../watch.ts';

const columns: readonly Column<PatchJob>[] = [
  { title: 'NAME', of: (j) => j.definition.name, yields: 1, least: 16 },
  { title: 'STARTED', of: (j) => (j.definition.trigger === 'schedule' ? 'schedule' : 'by hand'), yields: 5 },
  { title: 'PATCHES', of: (j) => patchWords(j.definition), yields: 2, least: 20 },
  { title: 'TARGET', of: (j) => targetWords(j.definition), yields: 3, least: 12 },
  { title: 'DEPLOYMENTS', of: (j) => String(j.deployments), align: 'right', yields: 4, least: 11 },
  { title: 'CREATED', of: (j) => `${relative(j.created_at)} by ${j.created_by}`, yields: 4, least: 14 },
  { title: 'ID', of: (j) => j.id },
];

function targetWords({ target }: PatchJobDefinition): string {
  const { query, exclude_query: excludeQuery } = target;
  const named = [
    ...target.tags.map((tag) => `tag:${tag}`),
    ...(target.ranges ?? []),
    ...(query === undefined ? [] : [`(${query})`]),
    ...target.assets,
  ];
  const all = (target.tags_all ?? []).map((tag) => `tag:${tag}`).join(' and ');
  const without = [
    ...target.exclude,
    ...(target.exclude_tags ?? []).map((tag) => `tag:${tag}`),
    ...(excludeQuery === undefined ? [] : [`(${excludeQuery})`]),
  ];
  const words = named.length === 0 ? all : `${named.join(', ')}${all === '' ? '' : `, in ${all}`}`;
  return words + (without.length > 0 ? ` without ${without.join(', ')}` : '');
}

/** What a job deploys, in a line. */
function patchWords({ patches, criteria }: PatchJobDefinition): string {
  const newer = criteria?.everything_newer === true ? ', and everything newer' : '';
  return [...patches, ...(criteria === undefined ? [] : [`(${criteria.query})${newer}`])].join(', ');
}

interface CreateOptions extends ServerOptions, DefinitionOptions {
  readonly preview?: boolean;
  readonly start?: boolean;
  readonly watch?: boolean;
  readonly reason?: string;
}

const collect = (value: string, before: string[] = []): string[] => [
  ...before,
  ...value.split(',').map((v) => v.trim()),
];

export function register(noun: Command): void {
  forServer(noun.command('create').description('say what is to be deployed where'))
    .option('--file <file>', 'all of it as JSON (docs/patch-jobs.md); - is the standard input')
    .option('--patch <patch>', 'such as debian:12/openssl@3.0.17-1~deb12u3; may be repeated', collect)
    .option('--mitigation <id>', 'such as sshd-login-grace-time; may be repeated', collect)
    .option('--undo', 'take the mitigations back instead of applying them')
    .option('--criteria <query>', "every patch that closes a vulnerability of the query: 'exploited'")
    .option('--everything-newer', 'with --criteria: whatever else the repositories of an asset offer, too')
    .option('--exclude-package <name>', 'or pattern: never touched; may be repeated', collect)
    .option(
      '--pin <package=version>',
      'taken to exactly this version or left alone; may be repeated',
      collect,
    )
    .option('--target <target>', 'tag:NAME, or an asset by id or hostname; may be repeated', collect)
    .option('--all-tags <tag>', 'only assets that are in all of these; may be repeated', collect)
    .option('--target-query <query>', "assets of the query: 'os = debian and attribute.role = web'")
    .option('--range <addresses>', '10.0.0.0/8, 10.0.0.1-10.0.0.9, 2001:db8::/32; may be repeated', collect)
    .option(
      '--exclude <target>',
      'tag:NAME or an asset of the target that gets nothing; may be repeated',
      collect,
    )
    .option('--exclude-query <query>', 'assets of the query get nothing')
    .option('--name <text>', 'default: made from the patches')
    .option('--leave-units', 'do not restart units that still run replaced files')
    .option('--reboot <mode>', 'suppress (default), force or prompt; the rest of the rule by --file')
    .option(
      '--rollback <when>',
      'off (default), by_hand, verification_failure, health_failure or any_failure',
    )
    .option('--rollback-required', 'leave assets out on which a rollback would not be possible')
    .option('--allow-removals', 'also where packages are removed by it')
    .option('--install-timeout <seconds>', 'for the package manager on each asset (default: 1800)')
    .option(
      '--expire-after <seconds>',
      'how long an asset may stay away before its task expires (default: 86400)',
    )
    .option('--concurrency <n>', 'assets at once (default: 100)')
    .option('--preview', 'then show what each asset would get, and start nothing')
    .option('--start', 'then start it, exactly as planned now')
    .option('--watch', 'with --start: stay until it has ended')
    .option('--reason <text>', 'with --start: why, for the audit trail')
    .action(create);

  forList(noun.command('list').description('patch jobs, newest first')).action(
    async (options: ListOptions) => {
      const list = await fetchList(serverOf(options), '/api/v1/jobs', PatchJob, {}, options);
      printList(list, columns, options, 'No patch job. fixpoint job create makes one.');
    },
  );

  forServer(
    noun.command('show').description('one patch job').argument('<job>', 'id, or name when unique'),
  ).action(async (reference: string, options: ServerOptions) => {
    const job = await jobOf(serverOf(options), reference);
    if (options.json === true) printJson(job);
    else print(describe(job));
  });

  forServer(
    noun.command('preview').description('what each asset would get if it started now; nothing is stored'),
  )
    .argument('<job>', 'id, or name when unique')
    .action(async (reference: string, options: ServerOptions) => {
      const to = serverOf(options);
      const plan = await preview(to, await jobOf(to, reference));
      if (options.json === true) printJson(plan);
      else print(planText(plan));
    });

  registerRuns(noun, jobOf);

  forServer(noun.command('archive').description('start the job no more, by hand or by schedule; runs go on'))
    .argument('<job>', 'id, or name when unique')
    .action(async (reference: string, options: ServerOptions) => {
      const to = serverOf(options);
      const { id } = await jobOf(to, reference);
      const job = await ask(to, `/api/v1/jobs/${id}/archive`, PatchJob, { method: 'POST', json: {} });
      if (options.json === true) printJson(job);
      else print(`Archived the patch job "${job.definition.name}" (${id}); it is started no more.`);
    });

  forServer(noun.command('start').description('a deployment of the job'))
    .argument('<job>', 'id, or name when unique')
    .option(
      '--plan <plan>',
      'exactly this plan by its id (fixpoint plan make), or refuse when it is no longer the one of this digest',
    )
    .option('--reason <text>', 'why, for the audit trail')
    .option('--watch', 'stay until it has ended')
    .action(
      async (
        reference: string,
        options: ServerOptions & { plan?: string; reason?: string; watch?: boolean },
      ) => {
        const to = serverOf(options);
        await start(to, await jobOf(to, reference), options.plan, options);
      },
    );
}

async function create(options: CreateOptions): Promise<void> {
  if (options.watch === true && options.start !== true) {
    throw new Failure(exitCodes.usage, 'usage', '--watch is given without --start', 'Give both, or neither.');
  }
  if (options.preview === true && options.start === true) {
    throw new Failure(
      exitCodes.usage,
      'usage',
      '--preview and --start are both given',
      'Preview first, then start the job.',
    );
  }
  const definition = definitionOf(options);
  const to = serverOf(options);
  const job = await ask(to, '/api/v1/jobs', PatchJob, { method: 'POST', json: definition });
  if (options.preview === true) {
    const plan = await preview(to, job);
    if (options.json === true) printJson({ job, plan });
    else {
      print(`Created the patch job "${job.definition.name}" (${job.id}); nothing is started.\n`);
      print(planText(plan));
      print(`fixpoint job start ${job.id} --plan ${plan.digest}   starts exactly this`);
    }
  } else if (options.start === true) {
    const plan = await preview(to, job);
    if (options.json !== true) {
      print(`Created the patch job "${job.definition.name}" (${job.id}).\n`);
      print(planText(plan));
    }
    await start(to, job, plan.digest, options);
  } else if (options.json === true) {
    printJson(job);
  } else {
    print(`Created the patch job "${job.definition.name}" (${job.id}).`);
    print(`fixpoint job preview ${job.id}   shows what each asset would get`);
    print(`fixpoint plan make ${job.id} --wait   asks each asset what would really happen there`);
  }
}

function preview(to: Connection, job: PatchJob): Promise<Plan> {
  return ask(to, `/api/v1/jobs/${job.id}/preview`, Plan, { method: 'POST', json: {} });
}

async function start(
  to: Connection,
  job: PatchJob,
  plan: string | undefined,
  options: { readonly json?: boolean; readonly reason?: string; readonly watch?: boolean },
): Promise<void> {
  const deployment = await ask(to, `/api/v1/jobs/${job.id}/start`, Deployment, {
    method: 'POST',
    json: {
      ...(plan === undefined ? {} : uuid.test(plan) ? { plan_id: plan } : { plan_digest: plan }),
      ...(options.reason === undefined ? {} : { reason: options.reason }),
    },
  });
  if (options.watch === true) {
    process.exitCode = await watchDeployment(to, deployment.id, options.json === true);
  } else if (options.json === true) {
    printJson(deployment);
  } else {
    print(`Started the deployment ${deployment.id}.`);
    print(`fixpoint deployment watch ${deployment.id}   follows it`);
  }
}

const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/iu;

/** A job by id, or by its name when only one has it. */
export async function jobOf(to: Connection, reference: string): Promise<PatchJob> {
  if (uuid.test(reference)) return ask(to, `/api/v1/jobs/${reference}`, PatchJob);
  const { items } = await fetchList(to, '/api/v1/jobs', PatchJob, {}, { all: true });
  const named = items.filter((job) => job.definition.name === reference);
  const [job] = named;
  if (job !== undefined && named.length === 1) return job;
  throw new Failure(
    exitCodes.refused,
    job === undefined ? 'job_not_found' : 'job_ambiguous',
    job === undefined
      ? `there is no patch job ${JSON.stringify(reference)}`
      : `${String(named.length)} patch jobs are called ${JSON.stringify(reference)}`,
    job === undefined
      ? 'fixpoint job list shows them.'
      : `Name it by its id: ${named.map(({ id }) => id).join(', ')}.`,
  );
}

function describe(job: PatchJob): string {
  const { definition: d } = job;
  return `${d.name}: ${d.undo_mitigations === true ? 'undo ' : ''}${patchWords(d)} on ${targetWords(d)}.\n\n${facts(
    [
      ['id', job.id],
      ...definitionFacts(d),
      ['created', `${absolute(job.created_at) ?? ''} by ${job.created_by}`],
      ['deployments', String(job.deployments)],
    ],
  )}`;
}
