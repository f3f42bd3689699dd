import type { Plan } from '@fixpoint/contract/patch-job.ts';
import { table, type Column } from './output/table.ts';
import { harmless, styled } from './output/terminal.ts';

const plural = (n: number, one: string): string => `${String(n)} ${one}${n === 1 ? '' : 's'}`;

type Planned = Plan['tasks'][number];
type Excluded = Plan['excluded'][number];

const planned: readonly Column<Planned>[] = [
  { title: 'ASSET', of: (t) => t.hostname },
  {
    title: 'GETS',
    of: (t) =>
      [
        ...t.packages.map((p) => `${p.name} ${p.from} → ${p.to}`),
        ...(t.added ?? []).map((p) => `new: ${p.name} ${p.version}`),
        ...(t.removed ?? []).map((p) => `removed: ${p.name} ${p.version}`),
        ...(t.mitigations ?? []).map((m) => `${m.action} ${m.mitigation.id}`),
      ].join(', '),
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
    ...(restarts.length > 0 ? [`restarts ${restarts.join(', ')}`] : []),
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
  if (plan.tasks.length > 0) text += `\n${table(planned, plan.tasks)}`;
  if (plan.excluded.length > 0) text += `\n${table(excluded, plan.excluded)}`;
  return `${text}\nplan ${plan.digest}\n`;
}
