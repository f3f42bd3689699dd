/** The table of fields for docs/query-language.md; a test compares the page with it. */
import { fieldsOf, relationsOf, scopes, type Field, type FieldType, type Scope } from './fields.ts';

const titles: Readonly<Record<Scope, string>> = {
  asset: 'Assets',
  finding: 'Findings',
  vulnerability: 'Vulnerabilities',
  patch: 'Patches',
  package: 'Packages (only through `package.` and `has package`)',
};

const typeTitles: Readonly<Partial<Record<FieldType, string>>> = {
  address: 'IP address',
  date: 'date or duration',
};

/** Markdown: one table of fields, and one of related things, for each subject. */
export function fieldTables(): string {
  return scopes.map(section).join('\n');
}

function section(scope: Scope): string {
  const lines = [`### ${titles[scope]}`, '', '| field | type | meaning | for example |', '|---|---|---|---|'];
  for (const field of fieldsOf(scope)) {
    const name = field.keyed === true ? `${field.name}.NAME` : field.name;
    const examples = field.examples.map((example) => `\`${example}\``).join(', ');
    lines.push(`| \`${name}\` | ${typeOf(field)} | ${field.description} | ${examples} |`);
  }
  lines.push('');
  const related = relationsOf(scope);
  if (related.length > 0) {
    lines.push('| related | how many | meaning |', '|---|---|---|');
    for (const { name, many, description } of related)
      lines.push(`| \`${name}\` | ${many ? 'any number' : 'at most one'} | ${description} |`);
    lines.push('');
  }
  return lines.join('\n');
}

function typeOf(field: Field): string {
  const many = field.many === true ? ', any number' : '';
  if (field.choices !== undefined) {
    const choices = field.choices.map((choice) => `\`${choice}\``);
    return `${choices.join(field.ordered === true ? ' < ' : ', ')}${many}`;
  }
  return `${typeTitles[field.type] ?? field.type}${many}`;
}
