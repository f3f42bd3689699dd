import type { QueryFields } from '@fixpoint/contract/search.ts';
import type { Column } from '@fixpoint/core/posture/select/column.ts';
import { columns, defaultColumns } from '@fixpoint/core/posture/select/columns.ts';
import {
  fieldsOf,
  relations,
  scopes,
  subjects,
  type Scope,
  type Subject,
} from '@fixpoint/core/query/fields.ts';
import { operatorsOf } from '@fixpoint/core/query/operand.ts';

/** What can be asked and shown, from the tables that everything else is made from. */
export function queryFields(subject: Subject | undefined): QueryFields {
  const asked: readonly Scope[] = subject === undefined ? scopes : [subject];
  return {
    fields: asked.flatMap((scope) =>
      fieldsOf(scope).map((field) => ({
        scope,
        name: field.name,
        type: field.type,
        label: field.label,
        description: field.description,
        examples: [...field.examples],
        operators: [...operatorsOf(field)],
        many: field.many === true,
        keyed: field.keyed === true,
        ordered: field.ordered === true,
        min: field.min ?? null,
        max: field.max ?? null,
        choices: field.choices === undefined ? null : [...field.choices],
      })),
    ),
    relations: relations
      .filter(({ from }) => asked.includes(from))
      .map(({ from, name, to, many, description }) => ({ from, name, to, many, description })),
    columns: subjects
      .filter((each) => asked.includes(each))
      .flatMap((each) =>
        columns[each].map((column) => ({
          subject: each,
          shown_by_default: defaultColumns[each].includes(column.name),
          column: columnView(column),
        })),
      ),
  };
}

/** A column without how it is read. */
export function columnView({
  name,
  title,
  type,
  description,
  decimals,
  choices,
}: Omit<Column<never>, 'of'>): QueryFields['columns'][number]['column'] {
  return {
    name,
    title,
    type,
    description,
    ...(decimals === undefined ? {} : { decimals }),
    ...(choices === undefined ? {} : { choices: [...choices] }),
  };
}
