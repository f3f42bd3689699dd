import { Type, type Static } from 'typebox';

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
        problems: Type.Optional(
          Type.Array(
            Type.Object({ path: Type.String(), message: Type.String() }, { additionalProperties: false }),
          ),
        ),
      },
      { additionalProperties: false },
    ),
  },
  { additionalProperties: false },
);
export type ApiError = Static<typeof ApiError>;
