import { Type, type Static } from 'typebox';
import {
  mitigationActions,
  mitigationEffects,
  settingDialects,
  type Mitigation as CoreMitigation,
  type MitigationOrder as CoreMitigationOrder,
} from '@fixpoint/core/mitigation/mitigation.ts';
import { oneOf } from './enum.ts';
import { ListQuery } from './list.ts';

/**
 * Mitigations as they cross the wire and as the catalogue holds them. The schemas bound the shape; what may stand in a
 * field is `core/src/mitigation/grammar.ts`, which server and agent both apply after parsing.
 */

const closed = { additionalProperties: false } as const;
const id = Type.String({ pattern: '^[a-z0-9][a-z0-9-]{1,62}$' });
const word = Type.String({ minLength: 1, maxLength: 256, pattern: '^[^\\n\\r\\u0000]*$' });
const value = Type.String({ maxLength: 512, pattern: '^[^\\n\\r\\u0000]*$' });
const sentence = Type.String({ minLength: 1, maxLength: 2_000 });

export const MitigationStep = Type.Union([
  Type.Object({ kind: Type.Literal('sysctl'), key: word, value }, closed),
  Type.Object({ kind: Type.Literal('kernel_module_blacklist'), module: word }, closed),
  Type.Object(
    {
      kind: Type.Literal('service_setting'),
      unit: word,
      dialect: oneOf(settingDialects),
      file: word,
      section: Type.Union([word, Type.Null()]),
      key: word,
      value,
    },
    closed,
  ),
  Type.Object(
    {
      kind: Type.Literal('registry_value'),
      hive: Type.Literal('HKLM'),
      path: word,
      name: word,
      type: oneOf(['REG_DWORD', 'REG_SZ'] as const),
      value,
    },
    closed,
  ),
]);

const ordered = {
  id,
  steps: Type.Array(MitigationStep, { minItems: 1, maxItems: 20 }),
  restart_units: Type.Array(Type.Object({ unit: word, how: oneOf(['reload', 'restart'] as const) }, closed), {
    maxItems: 10,
  }),
};

/** What a host is told of a mitigation. */
export const MitigationOrder = Type.Object(ordered, closed);
export type MitigationOrder = Static<typeof MitigationOrder>;

/** One mitigation of an order: what to do, and with what. */
export const OrderedMitigation = Type.Object(
  { action: oneOf(mitigationActions), mitigation: MitigationOrder },
  closed,
);
export type OrderedMitigation = Static<typeof OrderedMitigation>;

export const MitigatedVulnerability = Type.Object(
  {
    vulnerability: Type.String({ maxLength: 64 }),
    effect: oneOf(mitigationEffects),
    condition: sentence,
  },
  closed,
);

/** A mitigation of the catalogue, as in server/src/mitigation/catalogue/*.json. */
export const Mitigation = Type.Object(
  {
    ...ordered,
    title: Type.String({ minLength: 1, maxLength: 200 }),
    description: sentence,
    mitigates: Type.Array(MitigatedVulnerability, { minItems: 1, maxItems: 100 }),
    applies_to: Type.Array(
      Type.Object(
        {
          ecosystem: word,
          releases: Type.Array(word, { maxItems: 50 }),
          packages: Type.Array(word, { minItems: 1, maxItems: 50 }),
        },
        closed,
      ),
      { minItems: 1, maxItems: 20 },
    ),
    side_effects: sentence,
    reboot: Type.Boolean(),
    sources: Type.Array(Type.String({ maxLength: 500 }), { minItems: 1, maxItems: 20 }),
    reviewed_by: Type.String({ minLength: 1, maxLength: 100 }),
    reviewed_on: Type.String({ format: 'date' }),
  },
  closed,
);
export type Mitigation = Static<typeof Mitigation>;

/** GET /api/v1/mitigations?vulnerability= → List(MitigationView); GET /api/v1/mitigations/:id → MitigationView */
export const MitigationQuery = Type.Object(
  { ...ListQuery, vulnerability: Type.Optional(Type.String({ maxLength: 64 })) },
  closed,
);
export const MitigationView = Type.Object(
  {
    ...Mitigation.properties,
    /** As it is named in a patch job: `mitigation:ID`. */
    patch_id: Type.String(),
    /** SHA-256 (hex) of what a host is asked to do: the edition. */
    digest: Type.String(),
    /** Assets on which this edition is applied. */
    assets: Type.Integer({ minimum: 0 }),
  },
  closed,
);
export type MitigationView = Static<typeof MitigationView>;

/** The schemas and core's shapes are one: this fails to compile when they drift apart. */
type Same<A, B> = [A] extends [B] ? ([B] extends [A] ? true : never) : never;
type Loose<T> = T extends readonly (infer E)[]
  ? Loose<E>[]
  : T extends object
    ? { -readonly [K in keyof T]: Loose<T[K]> }
    : T;
export const schemasAgree: [
  Same<Mitigation, Loose<CoreMitigation>>,
  Same<MitigationOrder, Loose<CoreMitigationOrder>>,
] = [true, true];
