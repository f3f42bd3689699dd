import type { ReportTemplate } from '@fixpoint/contract/report.ts';
import { defaultColumns, defaultSort } from '@fixpoint/core/posture/select/columns.ts';
import { explain } from '@fixpoint/core/query/explain.ts';
import type { Subject } from '@fixpoint/core/query/fields.ts';
import { parse } from '@fixpoint/core/query/parse.ts';

/** What many want to know of their fleet. Each is a report in all but its owner, and is saved by creating one of the same parts. */

interface Template {
  readonly id: string;
  readonly name: string;
  readonly description: string;
  readonly subject: Subject;
  readonly query: string;
  /** Besides what is usual for the subject. */
  readonly columns?: readonly string[];
  readonly sort?: ReportTemplate['sort'];
}

// What nobody could judge is not left out: it may be there.
const notDealtWith = 'status in (open, restart_pending, reboot_pending, undetermined)';

const templates: readonly Template[] = [
  {
    id: 'exploited-now',
    name: 'Exploited now',
    description:
      'Findings whose vulnerability is attacked somewhere, by KEV or SSVC, and that nothing has been done about.',
    subject: 'finding',
    query: `exploited and ${notDealtWith}`,
    columns:
      'vulnerability asset.hostname package package.version fixed_version status risk exploited_since ransomware first_seen due'.split(
        ' ',
      ),
  },
  {
    id: 'public-exploit-fix-available',
    name: 'Public exploit and fix available',
    description:
      'Anybody can fetch code for the attack, and the vendor has published the fix: what to patch next.',
    subject: 'finding',
    query: 'exploit >= public and fix_available and status = open',
    columns:
      'vulnerability asset.hostname package package.version fixed_version patch risk exploit epss first_seen due'.split(
        ' ',
      ),
  },
  {
    id: 'critical-assets-at-risk',
    name: 'Critical assets with risk over 600',
    description: 'Assets that much depends on (criticality 4 and 5) with a risk over 600 of 1000.',
    subject: 'asset',
    query: 'criticality >= 4 and risk > 600',
  },
  {
    id: 'overdue',
    name: 'Overdue',
    description: 'Findings that the SLA wanted fixed by now. Empty where no SLA rule fits.',
    subject: 'finding',
    query: `due < 0d and ${notDealtWith}`,
    sort: [
      { by: 'due', descending: false },
      { by: 'risk', descending: true },
    ],
  },
  {
    id: 'waits-for-reboot',
    name: 'Fix waits for a reboot',
    description: 'The fix is on the disk, but what is vulnerable still runs: only a reboot ends it.',
    subject: 'finding',
    query: 'status = reboot_pending',
    columns:
      'asset.hostname vulnerability package package.version fixed_version risk exploited first_seen due asset.booted'.split(
        ' ',
      ),
  },
  {
    id: 'no-fix-will-come',
    name: 'No longer fixed by the vendor',
    description:
      'The vendor will not fix it, or the release is at its end: to be mitigated, replaced, upgraded or accepted.',
    subject: 'finding',
    query: `fix_state in (will_not_fix, end_of_life) and ${notDealtWith}`,
    columns:
      'vulnerability asset.hostname asset.os_release package package.version fix_state status risk severity exploited first_seen'.split(
        ' ',
      ),
  },
];

/** All templates, in the order to offer them. */
export function reportTemplates(): ReportTemplate[] {
  return templates.map(({ columns, sort, ...template }) => {
    const read = parse(template.query, template.subject);
    if (!read.ok) throw new Error(`the template ${template.id} cannot be read: ${read.message}`);
    return {
      ...template,
      explanation: explain(read.query),
      columns: [...(columns ?? defaultColumns[template.subject])],
      sort: (sort ?? defaultSort[template.subject]).map((each) => ({ ...each })),
    };
  });
}
