import { Type } from 'typebox';
import { oneOf } from './enum.ts';

/** Parts of a job that stand in orders too. What they mean: core/patch-job/definition.ts */

const closed = { additionalProperties: false } as const;
const actionName = Type.String({ pattern: '^[a-z0-9][a-z0-9_-]{0,62}$' });
const probeTimeout = Type.Integer({ minimum: 1, maximum: 300 });

export const JobAction = Type.Object(
  {
    name: actionName,
    timeout_seconds: Type.Integer({ minimum: 1, maximum: 86_400 }),
    on_failure: oneOf(['fail', 'continue'] as const),
  },
  closed,
);

export const HealthProbe = Type.Union([
  Type.Object(
    { kind: Type.Literal('unit_active'), unit: Type.String({ minLength: 1, maxLength: 256 }) },
    closed,
  ),
  Type.Object(
    {
      kind: Type.Literal('tcp'),
      host: Type.String({ minLength: 1, maxLength: 255 }),
      port: Type.Integer({ minimum: 1, maximum: 65_535 }),
      timeout_seconds: probeTimeout,
    },
    closed,
  ),
  Type.Object(
    {
      kind: Type.Literal('http'),
      url: Type.String({ pattern: '^https?://', maxLength: 1_000 }),
      status: Type.Optional(Type.Integer({ minimum: 100, maximum: 599 })),
      timeout_seconds: probeTimeout,
    },
    closed,
  ),
  Type.Object({ kind: Type.Literal('command'), name: actionName, timeout_seconds: probeTimeout }, closed),
]);

export const HealthRule = Type.Object(
  {
    probes: Type.Array(HealthProbe, { maxItems: 50 }),
    failed_units: Type.Optional(Type.Boolean()),
    settle_seconds: Type.Optional(Type.Integer({ minimum: 0, maximum: 3_600 })),
  },
  closed,
);
