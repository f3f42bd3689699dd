import { Type, type Static } from 'typebox';

/** Patches that nothing deploys until somebody lifts it. */

const closed = { additionalProperties: false } as const;
const time = Type.String({ format: 'date-time' });
const reason = Type.String({ minLength: 1, maxLength: 500 });

/** POST /api/v1/patch-denials → PatchDenial */
export const PatchDenialRequest = Type.Object(
  {
    /** A patch id in which `*` may stand for any part or piece of one: `debian:12/postgresql-*@*`. */
    pattern: Type.String({ minLength: 5, maxLength: 500 }),
    reason,
  },
  closed,
);
export type PatchDenialRequest = Static<typeof PatchDenialRequest>;

/** GET /api/v1/patch-denials?open=true → List(PatchDenial), newest first. */
export const PatchDenial = Type.Object(
  {
    id: Type.String({ format: 'uuid' }),
    pattern: Type.String(),
    reason: Type.String(),
    created_by: Type.String(),
    created_at: time,
    lifted_by: Type.Union([Type.String(), Type.Null()]),
    lifted_at: Type.Union([time, Type.Null()]),
  },
  closed,
);
export type PatchDenial = Static<typeof PatchDenial>;

/** POST /api/v1/patch-denials/:id/lift → PatchDenial */
export const LiftDenialRequest = Type.Object({ reason }, closed);
