import { Type, type Static } from 'typebox';
import { obstacleKinds } from '@fixpoint/core/plan/plan.ts';
import { AddedPackage, OrderedPackage, RemovedPackage } from './order.ts';
import { oneOf } from './enum.ts';

/** What the package manager of a host says an order would do, asked before there is one. */

const closed = { additionalProperties: false } as const;
const uuid = Type.String({ format: 'uuid' });
const time = Type.String({ format: 'date-time', maxLength: 40 });
const count = Type.Integer({ minimum: 0 });

export const Obstacle = Type.Object(
  { kind: oneOf(obstacleKinds), message: Type.String({ maxLength: 2_000 }) },
  closed,
);

export const RollbackSupport = Type.Object(
  {
    possible: Type.Boolean(),
    reasons: Type.Array(
      Type.Object(
        { package: Type.String({ maxLength: 256 }), message: Type.String({ maxLength: 500 }) },
        closed,
      ),
      { maxItems: 1_000 },
    ),
    snapshots: Type.Optional(oneOf(['btrfs', 'lvm'] as const)),
  },
  closed,
);

/** What is asked of the solver: signed like an order, over `fixpoint-simulation-v1\n` + payload. It changes nothing. */
export const SimulationRequest = Type.Object(
  {
    format: Type.Literal(1),
    simulation_id: uuid,
    asset_id: uuid,
    issued_at: time,
    expires_at: time,
    packages: Type.Array(OrderedPackage, { minItems: 1, maxItems: 1_000 }),
    /** Whether it matters that what is there can be put back. */
    rollback: Type.Boolean(),
  },
  closed,
);
export type SimulationRequest = Static<typeof SimulationRequest>;

/** POST /agent/v1/simulations. */
export const SimulationResult = Type.Object(
  {
    simulation_id: uuid,
    at: time,
    /** What would really be installed over an earlier version: what was asked for, and what that pulls along. */
    upgraded: Type.Array(
      Type.Object(
        {
          name: Type.String({ minLength: 1, maxLength: 256 }),
          arch: Type.String({ minLength: 1, maxLength: 256 }),
          from: Type.String({ minLength: 1, maxLength: 512 }),
          to: Type.String({ minLength: 1, maxLength: 512 }),
        },
        closed,
      ),
      { maxItems: 2_000 },
    ),
    added: Type.Array(AddedPackage, { maxItems: 1_000 }),
    removed: Type.Array(RemovedPackage, { maxItems: 1_000 }),
    download_bytes: count,
    disk_bytes: Type.Integer(),
    disk_free_bytes: count,
    restarts: Type.Array(Type.String({ maxLength: 256 }), { maxItems: 1_000 }),
    reboot: Type.Boolean(),
    rollback: RollbackSupport,
    /** Any of these keeps the task from being done. */
    obstacles: Type.Array(Obstacle, { maxItems: 100 }),
    remarks: Type.Array(Obstacle, { maxItems: 100 }),
    /** The end of what the package manager wrote. */
    output: Type.String({ maxLength: 20_000 }),
  },
  closed,
);
export type SimulationResult = Static<typeof SimulationResult>;
