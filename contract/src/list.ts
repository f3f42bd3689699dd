import { Type, type TSchema } from 'typebox';

/** Every list of the API: a page, the total, and where to go on. */
export const List = <T extends TSchema>(item: T) =>
  Type.Object(
    {
      items: Type.Array(item),
      total: Type.Integer({ minimum: 0 }),
      /** Pass as `?after=`; null at the end. */
      next: Type.Union([Type.String(), Type.Null()]),
    },
    { additionalProperties: false },
  );

export const ListQuery = {
  limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 10_000, default: 100 })),
  after: Type.Optional(Type.String({ maxLength: 512 })),
};
