import type { Plan } from '@fixpoint/contract/patch-job.ts';
import { table, type Column } from './output/table.ts';
import { harmless, styled } from './output/terminal.ts';

const plural = (n: number, one: string): string => `${String(n)} ${one}${n === 1 ? '' : 's'}`;

type Planned = Plan['tasks'][number];
type Excluded = Plan['excluded'][number];

/** Of an asset with more changes, or of units that run what is replaced, the table tells the number, and the list below it all of them. */
const namedInTable = 2;
const assetsNamed = 10;

function changesOf(t: Planned): string[] {
  return [
    ...t.packages.map((p) => `${p.name} ${p.from} → ${p.to}`),
    ...(t.added ?? []).map((p) => `new: ${p.name} ${p.version}`),
    ...(t.removed ?? []).map((p) => `removed: ${p.name} ${p.version}`),
    ...(t.mitigations ?? []).map((m) => `${m.action} ${m.mitigation.id}`),
  ];
}

/** The changes that the table only counts, in full: assets that get the same stand together. */
function changesText(tasks: readonly Planned[]): string {
  const groups = new Map<string, string[]>();
  for (const task of tasks) {
    const changes = changesOf(task);
    const restarts = task.prediction?.restarts ?? [];
    if (changes.length <= namedInTable && restarts.length <= namedInTable) continue;
    const lines = [...changes, ...restarts.map((unit) => `used by ${unit}`)]
      .map((line) => `  ${harmless(line)}\n`)
      .join('');
    groups.set(lines, [...(groups.get(lines) ?? []), task.hostname]);
  }
  return [...groups]
    .map(([lines, hosts]) => {
      const rest = hosts.length - assetsNamed;
      const names = hosts.slice(0, assetsNamed).map(harmless).join(', ');
      return `\nOn ${names}${rest > 0 ? ` and ${String(rest)} more` : ''}:\n${lines}`;
    })
    .join('');
}

const planned: readonly Column<Planned>[] = [
  { title: 'ASSET', of: (t) => t.hostname },
  {
    title: 'GETS',
    of: (t) => {
      const changes = changesOf(t);
      return changes.length > namedInTable ? plural(changes.length, 'change') : changes.join(', ');
    },
    yields: 1,
    least: 30,
  },
  {
    title: 'CLOSES',
    of: (t) => plural(t.fixes.length, 'vulnerability').replace('vulnerabilitys', 'vulnerabilities'),
  },
  {
    title: 'DOWNLOAD',
    of: (t) => `${(t.download_bytes / 1e6).toFixed(1)} MB`,
    align: 'right',
    yields: 2,
    least: 8,
  },
  { title: 'ENTAILS', of: entails, yields: 3, least: 12 },
];

/** What else the asset itself says that it comes to; `not asked` when nobody has asked it. */
function entails({ prediction }: Planned): string {
  if (prediction === undefined) return 'not asked';
  const { restarts, reboot, disk_bytes: disk, rollback } = prediction;
  const parts = [
    ...(reboot ? ['reboot'] : []),
    ...(restarts.length > namedInTable
      ? [`used by ${String(restarts.length)} units`]
      : restarts.length > 0
        ? [`used by ${restarts.join(', ')}`]
        : []),
    ...(Math.abs(disk) >= 1e5 ? [`${(disk / 1e6).toFixed(1)} MB more on disk`] : []),
    ...(rollback.possible ? [] : ['no rollback']),
  ];
  return parts.length === 0 ? 'nothing else' : parts.join('; ');
}

const excluded: readonly Column<Excluded>[] = [
  { title: 'ASSET', of: (e) => e.hostname },
  { title: 'GETS NOTHING', of: (e) => e.reason.replaceAll('_', ' ') },
  { title: 'WHY', of: (e) => e.message, yields: 1, least: 20 },
];

function gets(packages: number, mitigations: number): string {
  const parts = packages > 0 || mitigations === 0 ? [plural(packages, 'package')] : [];
  if (mitigations > 0) parts.push(`${plural(mitigations, 'change')} of configuration`);
  return parts.join(' and ');
}

/** What each asset will get, who gets nothing and why, and what else one should know. */
export function planText(plan: Plan): string {
  const fixes = new Set(plan.tasks.flatMap((task) => task.fixes));
  const mitigations = plan.tasks.flatMap((task) => task.mitigations ?? []);
  const blocked = new Set(mitigations.flatMap((one) => (one.action === 'apply' ? one.blocks : [])));
  const packages = plan.tasks.reduce((sum, task) => sum + task.packages.length, 0);
  const verdict =
    plan.tasks.length === 0
      ? 'Nothing would be done on any asset.'
      : `${plural(plan.tasks.length, 'asset')} would get ${gets(packages, mitigations.length)}, against ${fixes.size === 1 ? '1 vulnerability' : `${String(fixes.size)} vulnerabilities`}; ${plural(plan.excluded.length, 'asset')} of the target get${plan.excluded.length === 1 ? 's' : ''} nothing.`;
  let text = `${styled('bold', verdict)}\n`;
  if (blocked.size > 0) {
    text += `Mitigations would keep ${[...blocked].sort().join(', ')} from being used; the software stays as it is.\n`;
  }
  for (const warning of plan.warnings) text += `${styled('yellow', 'warning:')} ${harmless(warning)}\n`;
  if (plan.tasks.length > 0) text += `\n${table(planned, plan.tasks)}${changesText(plan.tasks)}`;
  if (plan.excluded.length > 0) text += `\n${table(excluded, plan.excluded)}`;
  return `${text}\nplan ${plan.digest}\n`;
}
