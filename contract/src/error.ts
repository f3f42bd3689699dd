import { Type, type Static } from 'typebox';

/** A place of the input that is wrong. */
export const Problem = Type.Object(
  {
    /** `/rings/0/name` in a body, `querystring/limit` in an address. */
    path: Type.String(),
    message: Type.String(),
    /** In a text with a grammar (a query): where, in UTF-16 units of that text. */
    at: Type.Optional(Type.Integer({ minimum: 0 })),
    length: Type.Optional(Type.Integer({ minimum: 0 })),
    /** What could stand there. */
    expected: Type.Optional(Type.Array(Type.String())),
    /** What may have been meant, the nearest first. */
    suggestions: Type.Optional(Type.Array(Type.String())),
  },
  { additionalProperties: false },
);
export type Problem = Static<typeof Problem>;

/** Every refusal of the API has this body, whatever the status. */
export const ApiError = Type.Object(
  {
    error: Type.Object(
      {
        /** snake_case, stable; programs decide by it. */
        code: Type.String(),
        /** What happened, for a person. */
        message: Type.String(),
        what_to_do: Type.String(),
        /** Every place of the input that is wrong, when the input is. */
        problems: Type.Optional(Type.Array(Problem)),
      },
      { additionalProperties: false },
    ),
  },
  { additionalProperties: false },
);
export type ApiError = Static<typeof ApiError>;
