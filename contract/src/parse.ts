import type { Static, TSchema } from 'typebox';
import * as Value from 'typebox/value';

/** Where a value does not have the shape it must have. */
export interface ShapeProblem {
  /** JSON pointer into the value; empty for the value itself. */
  readonly path: string;
  readonly message: string;
}

export type Parsed<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly problems: readonly ShapeProblem[] };

const problemsMaximum = 20;

/** Checks a value that came from outside (a file, the network) against its schema. Never throws. */
export function parseShape<S extends TSchema>(schema: S, value: unknown): Parsed<Static<S>> {
  if (Value.Check(schema, value)) return { ok: true, value };
  const problems = [...Value.Errors(schema, value)]
    .slice(0, problemsMaximum)
    .map((error) => ({ path: error.instancePath, message: error.message }));
  return { ok: false, problems };
}

/** As {@link parseShape}, from JSON text. Text that is no JSON is a problem of the value itself. */
export function parseJson<S extends TSchema>(schema: S, text: string): Parsed<Static<S>> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    return { ok: false, problems: [{ path: '', message: `is not JSON: ${String(error)}` }] };
  }
  return parseShape(schema, value);
}

/** One line for a person: the first problems, with where they are. */
export function describeProblems(problems: readonly ShapeProblem[]): string {
  return problems
    .slice(0, 3)
    .map((p) => `${p.path === '' ? 'the whole' : p.path} ${p.message}`)
    .join('; ');
}
