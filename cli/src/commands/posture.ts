import type { Command } from 'commander';
import { PostureSummary, PostureView, severities } from '@fixpoint/contract/posture.ts';
import { ask } from '../http-client.ts';
import { forServer, serverOf, type ServerOptions } from '../list.ts';
import { note, print, printJson } from '../output/stream.ts';
import { facts, table, type Column } from '../output/table.ts';
import { absolute } from '../output/time.ts';

interface PostureOptions extends ServerOptions {
  readonly tag?: string;
  readonly query?: string;
  readonly state?: boolean;
}

export function register(noun: Command): void {
  forServer(noun)
    .option('--tag <tag>', 'only assets of this tag')
    .option('--query <query>', 'only assets that this query finds')
    .option('--state', 'only how far the server has the fleet in memory')
    .action(async (options: PostureOptions) => {
      const to = serverOf(options);
      if (options.state === true) {
        const state = await ask(to, '/api/v1/posture', PostureView);
        if (options.json === true) printJson(state);
        else print(stateText(state));
        return;
      }
      const { tag, query } = options;
      const summary = await ask(to, '/api/v1/posture/summary', PostureSummary, { query: { tag, query } });
      if (options.json === true) printJson(summary);
      else print(summaryText(summary));
      if (!summary.settled) note('note: risks are being worked out anew; some are as they were before');
    });
}

const whole = (n: number): string => n.toFixed(0);

function stateText(state: PostureView): string {
  const lag = state.lag_seconds === null ? '' : `, ${state.lag_seconds.toFixed(1)} s ago`;
  return facts([
    ['as of', state.as_of === null ? 'not loaded yet' : `${absolute(state.as_of) ?? ''}${lag}`],
    ['assets', whole(state.assets)],
    ['software', whole(state.software)],
    ['vulnerabilities', whole(state.vulnerabilities)],
    ['in packages', whole(state.pairs)],
    ['risks', state.settled ? 'settled' : 'being worked out anew'],
  ]);
}

type Severity = PostureSummary['findings']['by_severity'][number];

const severityColumns: readonly Column<Severity>[] = [
  { title: 'SEVERITY', of: ({ severity }) => severity },
  { title: 'ALL', of: ({ total }) => whole(total), align: 'right' },
  ...(['open', 'restart_pending', 'reboot_pending', 'mitigated', 'accepted', 'undetermined'] as const).map(
    (status): Column<Severity> => ({
      title: status.replace('_', ' ').toUpperCase(),
      of: ({ by_status: list }) => whole(list.find((one) => one.status === status)?.findings ?? 0),
      align: 'right',
    }),
  ),
];

const vulnerabilityColumns: readonly Column<PostureSummary['top_vulnerabilities'][number]>[] = [
  { title: 'VULNERABILITY', of: ({ id }) => id, style: ({ exploited }) => (exploited ? 'red' : undefined) },
  { title: 'SCORE', of: ({ score }) => score.toFixed(1), align: 'right' },
  { title: 'ASSETS', of: ({ assets }) => whole(assets), align: 'right' },
  { title: 'EXPLOITED', of: ({ exploited }) => (exploited ? 'yes' : '') },
  { title: 'TITLE', of: ({ title }) => title ?? '-', yields: 1, least: 20 },
];

const patchColumns: readonly Column<PostureSummary['top_patches'][number]>[] = [
  { title: 'PATCH', of: ({ id }) => id },
  { title: 'CLOSES', of: ({ findings }) => whole(findings), align: 'right' },
  { title: 'ASSETS', of: ({ assets }) => whole(assets), align: 'right' },
  { title: 'RISK REMOVED', of: ({ risk_removed: removed }) => whole(removed), align: 'right' },
];

function summaryText(summary: PostureSummary): string {
  const { risk, findings } = summary;
  const bands = risk.bands.map(({ from, assets }, at) => {
    const next = risk.bands[at + 1];
    const name = next === undefined ? `${whole(from)} and more` : `${whole(from)} to ${whole(next.from)}`;
    return [`  risk ${name}`, `${whole(assets)} assets`] as const;
  });
  const severity = findings.by_severity
    .filter(({ total }) => total > 0)
    .toSorted((a, b) => severities.indexOf(b.severity) - severities.indexOf(a.severity));
  const parts = [
    `${summary.words}\n\n`,
    facts([
      ['assets', `${whole(summary.assets)}, ${whole(summary.assets_with_open_findings)} with open findings`],
      [
        'findings',
        `${whole(findings.total)}, ${whole(findings.exploited)} open ones of what is attacked now`,
      ],
      [
        'risk',
        `sum ${whole(risk.sum)}; half of the assets up to ${whole(risk.p50)}, nine of ten up to ${whole(risk.p90)}, the most ${whole(risk.most)}`,
      ],
      ...bands,
      ['as of', absolute(summary.as_of)],
    ]),
  ];
  const add = (title: string, text: string): void => {
    if (text !== '') parts.push(`\n${title}\n`, text);
  };
  add('Findings', table(severityColumns, severity));
  add('Vulnerabilities that matter most', table(vulnerabilityColumns, summary.top_vulnerabilities));
  add('Patches that remove most', table(patchColumns, summary.top_patches));
  return parts.join('');
}
