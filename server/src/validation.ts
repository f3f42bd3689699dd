import type { FastifySchemaCompiler, FastifySchemaValidationError, FastifySerializerCompiler } from 'fastify';
import type { TSchema } from 'typebox';
import { Compile } from 'typebox/compile';
import { Format } from 'typebox/format';
import { Settings } from 'typebox/system';
import { Value } from 'typebox/value';

/** All problems of a request are told, up to this many: a body of a megabyte can be wrong in a million places. */
const reportedProblems = 50;
Settings.Set({ maxErrors: reportedProblems });

/** RFC 3339 has leap seconds (`23:59:60`), which a Date cannot be: such a time must not get as far as a database. */
Format.Set('date-time', (text) => Format.IsDateTime(text) && !Number.isNaN(Date.parse(text)));

/**
 * Checks requests. Text in the address is converted to the type it should have (`?limit=10`); a body must be right as it
 * is. What is not in the schema is a problem, not dropped.
 */
export const validate: FastifySchemaCompiler<TSchema> = ({ schema, httpPart }) => {
  const compiled = Compile(schema);
  return (input: unknown) => {
    const value =
      httpPart === 'body' ? input : Value.Default(schema, Value.Convert(schema, Object.assign({}, input)));
    if (compiled.Check(value)) return { value };
    const problems: FastifySchemaValidationError[] = compiled.Errors(value).map((problem) => ({
      keyword: problem.keyword,
      instancePath: problem.instancePath,
      schemaPath: problem.schemaPath,
      params: { ...problem.params },
      message: problem.message,
    }));
    // The list is the error: api-error.ts shows it.
    return {
      error: Object.assign(new Error('validation'), { validation: problems, validationContext: httpPart }),
    };
  };
};

/** Answers are written as they are. A schema-driven writer would silently drop what its schema does not know. */
export const serializeJson: FastifySerializerCompiler<unknown> = () => (value) => JSON.stringify(value);

/** For tests: an answer that is not what its schema says is an error. */
export const serializeChecked: FastifySerializerCompiler<TSchema> = ({ schema, method, url }) => {
  const compiled = Compile(schema);
  return (value) => {
    const text = JSON.stringify(value);
    const sent: unknown = JSON.parse(text);
    if (!compiled.Check(sent)) {
      throw new Error(
        `the answer of ${method} ${url} is not what its schema says: ${JSON.stringify(compiled.Errors(sent))}`,
      );
    }
    return text;
  };
};

/**
 * Finds text that no database column can hold: the NUL character, or half of a surrogate pair. JSON can say both as
 * escapes; the path to the first one is returned.
 */
export function findUnstorableText(value: unknown, path = ''): string | null {
  if (typeof value === 'string') return value.includes('\0') || !value.isWellFormed() ? path || '/' : null;
  if (typeof value !== 'object' || value === null) return null;
  for (const [key, inner] of Object.entries(value)) {
    if (findUnstorableText(key) !== null) return `${path}/`;
    const found = findUnstorableText(inner, `${path}/${key}`);
    if (found !== null) return found;
  }
  return null;
}
