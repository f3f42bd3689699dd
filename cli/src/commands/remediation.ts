import type { Command } from 'commander';
import { BurnDown, Remediation, type RemediationEstimate } from '@fixpoint/contract/remediation.ts';
import { ask } from '../http-client.ts';
import { forServer, serverOf, type ServerOptions } from '../list.ts';
import { barChart, stepChart } from '../output/chart.ts';
import { note, print, printJson } from '../output/stream.ts';
import { facts, table, type Column } from '../output/table.ts';

interface Scope {
  readonly tag?: string;
  readonly query?: string;
  readonly severity?: string;
}

const forScope = (command: Command): Command =>
  forServer(command)
    .option('--tag <tag>', 'only on assets that are in this tag today')
    .option('--query <query>', 'only findings that it selects, such as "package.name = openssl"')
    .option('--severity <severity>', 'critical, high, medium, low, none or unknown');

export function register(noun: Command): void {
  forScope(
    noun
      .command('time')
      .description('how long findings take to be remediated, with open ones counted for as long as they are'),
  )
    .option('--since <time>', 'only findings opened since, such as 2026-01-01T00:00:00Z')
    .option('--until <time>', 'as it was known then')
    .option('--tags <list>', 'of each of these tags by itself too, separated by commas')
    .action(
      async (
        options: ServerOptions & Scope & { since?: string; until?: string; tags?: string },
      ): Promise<void> => {
        const { tag, query, severity, since, until, tags } = options;
        const told = await ask(serverOf(options), '/api/v1/remediation', Remediation, {
          query: {
            tag,
            query,
            severity,
            since: instant(since),
            until: instant(until),
            tags,
            by: tags === undefined ? undefined : 'tag',
          },
        });
        if (options.json === true) {
          printJson(told);
          return;
        }
        print(describe(told));
        for (const text of told.reading.notes) note(`note: ${text}`);
      },
    );
  forScope(noun.command('burn-down').description('open findings day by day'))
    .option('--from <day>', 'first day, such as 2026-03-01; else 30 days')
    .option('--to <day>', 'last day; else today')
    .option('--time-zone <name>', 'whose days, such as Europe/Berlin; else those of this machine')
    .action(
      async (
        options: ServerOptions & Scope & { from?: string; to?: string; timeZone?: string },
      ): Promise<void> => {
        const { tag, query, severity, from, to } = options;
        const zone = options.timeZone ?? new Intl.DateTimeFormat().resolvedOptions().timeZone;
        const down = await ask(serverOf(options), '/api/v1/remediation/burn-down', BurnDown, {
          query: { tag, query, severity, from, to, time_zone: zone },
        });
        if (options.json === true) {
          printJson(down);
          return;
        }
        print(describeBurnDown(down));
        for (const text of down.reading.notes) note(`note: ${text}`);
      },
    );
}

/** A day is its beginning in UTC. */
function instant(text: string | undefined): string | undefined {
  return text !== undefined && /^\d{4}-\d{2}-\d{2}$/u.test(text) ? `${text}T00:00:00Z` : text;
}

const days = (value: number): string => (value < 10 ? value.toFixed(1) : value.toFixed(0));

interface Row {
  readonly name: string;
  readonly estimate: RemediationEstimate;
}

function medianWords({ median }: RemediationEstimate): string {
  if (median.kind === 'no_findings') return '-';
  if (median.kind === 'reached') return days(median.days ?? 0);
  return `more than ${days(median.at_least_days ?? 0)}`;
}

const columns = (title: string): readonly Column<Row>[] => [
  { title, of: ({ name }) => name },
  { title: 'MEDIAN DAYS', of: ({ estimate }) => medianWords(estimate), align: 'right' },
  {
    title: 'OF CLOSED ALONE',
    of: ({ estimate: { closed_only: closed } }) => (closed === null ? '-' : days(closed.median_days)),
    align: 'right',
    yields: 1,
    least: 8,
  },
  { title: 'REMEDIATED', of: ({ estimate }) => String(estimate.counts.remediated), align: 'right' },
  { title: 'OPEN', of: ({ estimate }) => String(estimate.counts.open), align: 'right' },
  {
    title: 'ENDED OTHERWISE',
    of: ({ estimate }) => String(estimate.counts.closed_otherwise),
    align: 'right',
    yields: 2,
    least: 8,
  },
];

export function describe({ all, by_severity: bands, by_tag: tags }: Remediation): string {
  const { restricted_mean: mean, counts } = all;
  const rows = bands.map(({ severity, estimate }) => ({ name: severity, estimate }));
  const chart = stepChart(
    all.curve.map(({ days: age, share }) => ({ at: age, share })),
    mean?.horizon_days ?? 0,
  );
  return [
    `${all.sentence}\n`,
    facts([
      [
        'mean',
        mean === null
          ? null
          : `${days(mean.days)} days open within the first ${days(mean.horizon_days)} (± ${days(mean.standard_error)})`,
      ],
      [
        'findings',
        `${String(counts.remediated)} remediated, ${String(counts.open)} open, ${String(counts.closed_otherwise)} ended otherwise`,
      ],
      ['left out', counts.refused === 0 ? null : `${String(counts.refused)} with times that cannot be`],
    ]),
    chart === '' ? '' : `share still open, by age in days\n${chart}`,
    table(columns('SEVERITY'), rows),
    tags === null
      ? ''
      : table(
          columns('TAG'),
          tags.map(({ tag, estimate }) => ({ name: tag, estimate })),
        ),
  ]
    .filter((part) => part !== '')
    .join('\n');
}

export function describeBurnDown({ days: list, open_before: before, time_zone: zone }: BurnDown): string {
  const last = list.at(-1);
  if (last === undefined) return 'No day of that period has begun.\n';
  const sum = (of: (day: (typeof list)[number]) => number): number =>
    list.reduce((total, day) => total + of(day), 0);
  const chart = barChart(
    list.map((day) => ({
      label: day.over ? day.day : `${day.day} so far`,
      value: day.open,
      words: [
        day.opened > 0 ? `+${String(day.opened)} opened` : '',
        day.reopened > 0 ? `+${String(day.reopened)} reopened` : '',
        day.remediated > 0 ? `-${String(day.remediated)} remediated` : '',
        day.closed_otherwise > 0 ? `-${String(day.closed_otherwise)} ended otherwise` : '',
      ]
        .filter((text) => text !== '')
        .join(' '),
    })),
  );
  return `${String(before)} open before, ${String(last.open)} now or at the end: ${String(sum((day) => day.opened))} opened, ${String(sum((day) => day.reopened))} reopened, ${String(sum((day) => day.remediated))} remediated, ${String(sum((day) => day.closed_otherwise))} ended otherwise. Days of ${zone}.\n\n${chart}`;
}
