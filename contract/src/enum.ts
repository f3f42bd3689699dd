import { Type, type TUnsafe } from 'typebox';

/** A string that is one of these. (typebox infers the literals of an enum only for mutable tuples; ours are constants.) */
export function oneOf<const T extends string>(values: readonly T[]): TUnsafe<T> {
  return Type.Unsafe<T>(Type.Enum([...values]));
}
