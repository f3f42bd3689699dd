import { Type, type Static } from 'typebox';
import { HealthRule, JobAction } from './job-parts.ts';
import { OrderedMitigation } from './mitigation.ts';
import { oneOf } from './enum.ts';
import { OpenInterval } from './window.ts';

/** What a server tells a host to do, as signed text. What a host obeys: agent/src/trust.ts */

const closed = { additionalProperties: false } as const;
const uuid = Type.String({ format: 'uuid' });
const time = Type.String({ format: 'date-time', maxLength: 40 });
/** base64url without padding of a 64-byte Ed25519 signature. */
const signature = Type.String({ pattern: '^[A-Za-z0-9_-]{86}$' });
const name = Type.String({ minLength: 1, maxLength: 256 });
const version = Type.String({ minLength: 1, maxLength: 512 });

/** One package of an order: exactly this version, from exactly that one. */
export const OrderedPackage = Type.Object(
  { name, arch: name, from: version, to: version, source: name, source_version: version },
  closed,
);
export type OrderedPackage = Static<typeof OrderedPackage>;

/** A package that comes newly, because the upgrades need it: exactly this version. */
export const AddedPackage = Type.Object({ name, arch: name, version }, closed);
export type AddedPackage = Static<typeof AddedPackage>;
/** A package that the upgrades take away. */
export const RemovedPackage = Type.Object({ name, arch: name, version }, closed);
export type RemovedPackage = Static<typeof RemovedPackage>;

const orderHead = {
  format: Type.Literal(1),
  asset_id: uuid,
  task_id: uuid,
  deployment_id: uuid,
  /** Fences an earlier offer of the same task. */
  generation: Type.Integer({ minimum: 1 }),
  /** Rises by at least one with every order to this asset; an agent obeys no number twice. */
  sequence: Type.Integer({ minimum: 1 }),
  issued_at: time,
  expires_at: time,
};
/** Concrete times, in order and apart from each other; nothing is begun outside of them. */
const intervals = Type.Array(OpenInterval, { minItems: 1, maxItems: 200 });

/** To reach exactly these versions. Signed as text; see {@link SignedOrder}. */
export const InstallOrder = Type.Object(
  {
    ...orderHead,
    action: Type.Literal('install'),
    /** Empty only when there are mitigations. */
    packages: Type.Array(OrderedPackage, { maxItems: 1_000 }),
    /** What may come newly and what may go with them, and nothing else; absent: nothing. */
    added: Type.Optional(Type.Array(AddedPackage, { minItems: 1, maxItems: 1_000 })),
    removed: Type.Optional(Type.Array(RemovedPackage, { minItems: 1, maxItems: 1_000 })),
    /** Configuration changes to make or to take back, after the packages; what may stand there, the host decides itself. */
    mitigations: Type.Optional(Type.Array(OrderedMitigation, { minItems: 1, maxItems: 50 })),
    /** When packages may be changed and units restarted; absent: at any time until the order expires. */
    windows: Type.Optional(intervals),
    /** Nothing is begun when less than this is left of a window. */
    minimum_remaining_seconds: Type.Optional(Type.Integer({ minimum: 0, maximum: 14 * 86_400 })),
    /** From when on packages may be downloaded; absent: only within a window, if there is one. */
    stage_from: Type.Optional(time),
    bandwidth_bytes_per_second: Type.Optional(Type.Integer({ minimum: 1_024 })),
    /** `restart`: units that still run replaced files are restarted; `leave`: they stay and are reported. */
    units: oneOf(['restart', 'leave'] as const),
    /** Keep what is there before anything changes, so that it can be put back. `required`: else nothing is begun. */
    keep: Type.Optional(
      Type.Object({ method: oneOf(['packages', 'snapshot'] as const), required: Type.Boolean() }, closed),
    ),
    actions: Type.Optional(
      Type.Object(
        {
          before: Type.Optional(Type.Array(JobAction, { maxItems: 20 })),
          after: Type.Optional(Type.Array(JobAction, { maxItems: 20 })),
        },
        closed,
      ),
    ),
    health: Type.Optional(HealthRule),
    install_timeout_seconds: Type.Integer({ minimum: 10, maximum: 86_400 }),
  },
  closed,
);
export type InstallOrder = Static<typeof InstallOrder>;

/** That a host which waits as `reboot_pending` for this task and generation may reboot now. */
export const RebootOrder = Type.Object(
  {
    ...orderHead,
    action: Type.Literal('reboot'),
    mode: oneOf(['force', 'prompt'] as const),
    countdown_seconds: Type.Integer({ minimum: 0, maximum: 86_400 }),
    message: Type.String({ maxLength: 500 }),
    deferrals_maximum: Type.Integer({ minimum: 0, maximum: 100 }),
    deferral_minutes: Type.Integer({ minimum: 1, maximum: 7 * 1440 }),
    when_nobody: oneOf(['reboot', 'wait'] as const),
    /** The reboot begins within these, or not at all; absent: at any time until the order expires. */
    windows: Type.Optional(intervals),
  },
  closed,
);
export type RebootOrder = Static<typeof RebootOrder>;

/** To put back what this host kept before an earlier generation of the same task. A host puts back nothing else. */
export const RollbackOrder = Type.Object(
  {
    ...orderHead,
    action: Type.Literal('roll_back'),
    undoes_generation: Type.Integer({ minimum: 1 }),
    /** What is to be there again: `from` is what was there before that generation. */
    packages: Type.Array(OrderedPackage, { maxItems: 1_000 }),
    method: oneOf(['packages', 'snapshot'] as const),
    units: oneOf(['restart', 'leave'] as const),
    health: Type.Optional(HealthRule),
    install_timeout_seconds: Type.Integer({ minimum: 10, maximum: 86_400 }),
  },
  closed,
);
export type RollbackOrder = Static<typeof RollbackOrder>;

export const Order = Type.Union([InstallOrder, RebootOrder, RollbackOrder]);
export type Order = Static<typeof Order>;

/** `payload` is the JSON text of an {@link Order}; the signature is over `fixpoint-order-v1\n` + payload, in UTF-8. */
export const SignedOrder = Type.Object(
  { key_id: name, payload: Type.String({ maxLength: 1_000_000 }), signature },
  closed,
);
export type SignedOrder = Static<typeof SignedOrder>;
