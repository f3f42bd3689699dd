import { stringify } from 'csv-stringify/sync';
import type { Plan } from '@fixpoint/contract/patch-job.ts';

const options = {
  // A cell that begins with = + - @, or a tab, is a formula to a spreadsheet, and hosts choose what they are called.
  escape_formulas: true,
  record_delimiter: '\r\n',
} as const;

const titles = ['Asset', 'Id', 'What', 'Package', 'Architecture', 'From', 'To', 'Reason', 'Message'];

/** RFC 4180 in UTF-8: a line for each change of an asset, and one for each asset that is left out. */
export function csvOfPlan(plan: Plan): string {
  const rows: string[][] = [titles];
  for (const task of plan.tasks) {
    const { hostname, asset_id: id } = task;
    for (const p of task.packages)
      rows.push([hostname, id, 'upgrade', p.name, p.arch, p.from, p.to, '', p.source]);
    for (const p of task.added ?? []) rows.push([hostname, id, 'add', p.name, p.arch, '', p.version, '', '']);
    for (const p of task.removed ?? [])
      rows.push([hostname, id, 'remove', p.name, p.arch, p.version, '', '', '']);
    for (const m of task.mitigations ?? [])
      rows.push([hostname, id, `${m.action} mitigation`, m.mitigation.id, '', '', '', '', m.title]);
  }
  for (const one of plan.excluded)
    rows.push([one.hostname, one.asset_id, 'nothing', '', '', '', '', one.reason, one.message]);
  return stringify(rows, options);
}
