import { Type, type Static } from 'typebox';
import { mitigationActions } from '@fixpoint/core/mitigation/mitigation.ts';
import { orderRefusals, reportedTaskStates, taskFailures } from '@fixpoint/core/task/states.ts';
import { oneOf } from './enum.ts';
import { InventoryDigestsSchema } from './inventory.ts';
import { SignedOrder } from './order.ts';

/**
 * The protocol between agent and server: JSON over HTTP(S) under /agent/v1. The agent always calls; the server never
 * connects to a host. See docs/agent-protocol.md for the conversation as a whole.
 */

const closed = { additionalProperties: false } as const;
const uuid = Type.String({ format: 'uuid' });
const time = Type.String({ format: 'date-time', maxLength: 40 });
/** base64url without padding of a raw 32-byte Ed25519 public key. */
const publicKey = Type.String({ pattern: '^[A-Za-z0-9_-]{43}$' });
/** base64url without padding of a 64-byte Ed25519 signature. */
const signature = Type.String({ pattern: '^[A-Za-z0-9_-]{86}$' });
const name = Type.String({ minLength: 1, maxLength: 256 });
const version = Type.String({ minLength: 1, maxLength: 512 });

/** `assess`: reports only, installs nothing. `manage`: obeys signed orders. Decided on the host at enrolment. */
export const AgentMode = oneOf(['assess', 'manage'] as const);
export type AgentMode = Static<typeof AgentMode>;

/**
 * An enrolment token as a person pastes it: `fxe_SECRET_FINGERPRINT`, both base64url; SECRET is 32 random bytes,
 * FINGERPRINT the first 16 bytes of SHA-256 over the server's raw public signing key, so that the agent knows the server
 * it talks to before it believes anything.
 */
export const enrolmentTokenPattern = '^fxe_[A-Za-z0-9_-]{43}\\.[A-Za-z0-9_-]{22}$';

/** POST /agent/v1/enroll, `Authorization: Bearer fxe_…`. */
export const EnrollRequest = Type.Object(
  {
    public_key: publicKey,
    hostname: Type.String({ minLength: 1, maxLength: 255 }),
    os: name,
    os_release: Type.String({ maxLength: 64 }),
    arch: name,
    agent_version: name,
    mode: AgentMode,
    /** Ed25519 by the agent's key over `fixpoint-enroll-v1\n` + the secret part of the token: proof of possession. */
    proof: signature,
  },
  closed,
);
export type EnrollRequest = Static<typeof EnrollRequest>;

export const ServerKey = Type.Object({ key_id: name, public_key: publicKey }, closed);
export type ServerKey = Static<typeof ServerKey>;

export const EnrollResponse = Type.Object({ asset_id: uuid, server_key: ServerKey }, closed);
export type EnrollResponse = Static<typeof EnrollResponse>;

/** POST /agent/v1/challenge: what to sign to open a session. No clock of the agent is involved. */
export const ChallengeRequest = Type.Object({ asset_id: uuid }, closed);
export const ChallengeResponse = Type.Object({ challenge: Type.String({ maxLength: 256 }) }, closed);

/** POST /agent/v1/session. Signature over `fixpoint-session-v1\n{asset_id}\n{challenge}`. */
export const SessionRequest = Type.Object(
  { asset_id: uuid, challenge: Type.String({ maxLength: 256 }), signature },
  closed,
);
export const SessionResponse = Type.Object(
  { session: Type.String({ maxLength: 1024 }), expires_at: time },
  closed,
);
export type SessionRequest = Static<typeof SessionRequest>;
export type SessionResponse = Static<typeof SessionResponse>;

/** POST /agent/v1/check-in, `Authorization: Bearer SESSION`; so are all that follow. */
export const CheckInRequest = Type.Object(
  {
    agent_version: name,
    boot_id: Type.String({ maxLength: 64 }),
    digests: InventoryDigestsSchema,
    /** Tasks that the agent's journal holds as not ended. */
    tasks: Type.Array(
      Type.Object(
        { task_id: uuid, generation: Type.Integer({ minimum: 1 }), state: oneOf(reportedTaskStates) },
        closed,
      ),
      { maxItems: 100 },
    ),
    /** Why the digests may be out of date: what the agent cannot read just now (such as a corrupt package database). */
    problems: Type.Optional(
      Type.Array(Type.Object({ code: name, message: Type.String({ maxLength: 2_000 }) }, closed), {
        maxItems: 20,
      }),
    ),
  },
  closed,
);
export type CheckInRequest = Static<typeof CheckInRequest>;

export const CheckInResponse = Type.Object(
  {
    server_time: time,
    /** When to come back; the agent adds its own jitter. */
    next_check_in_seconds: Type.Number({ minimum: 0.2, maximum: 86_400 }),
    /** What the server holds; null when it holds nothing and wants everything. */
    inventory: Type.Union([InventoryDigestsSchema, Type.Null()]),
    orders: Type.Array(SignedOrder, { maxItems: 100 }),
    /** Tasks that the agent must give up where it has not begun to install. */
    cancelled_tasks: Type.Array(uuid, { maxItems: 1_000 }),
    /** Tasks that must not be begun (or go on to a reboot) until an answer comes without them: paused, frozen. */
    held_tasks: Type.Optional(Type.Array(uuid, { maxItems: 1_000 })),
    /** Questions to the package manager, each repeated until it is answered. */
    simulations: Type.Optional(Type.Array(SignedOrder, { maxItems: 10 })),
    /** Tasks whose output somebody is watching: it is wanted as it comes. */
    watched_tasks: Type.Optional(Type.Array(uuid, { maxItems: 100 })),
    /** Where packages come from for this host; absent: from the server itself. */
    distribution_point: Type.Optional(
      Type.Object({ url: Type.String({ maxLength: 500 }), name: Type.String({ maxLength: 100 }) }, closed),
    ),
  },
  closed,
);
export type CheckInResponse = Static<typeof CheckInResponse>;

/** One journal entry of a task, as reported. `index` counts from 0 within a generation; a repeat is answered, not applied. */
export const TaskEvent = Type.Object(
  {
    index: Type.Integer({ minimum: 0 }),
    at: time,
    state: oneOf(reportedTaskStates),
    failure: Type.Optional(oneOf(taskFailures)),
    /** A sentence for a person. */
    message: Type.Optional(Type.String({ maxLength: 2_000 })),
    /** Bounded tail of the package manager's output, and other facts. */
    detail: Type.Optional(
      Type.Object(
        {
          output: Type.Optional(Type.String({ maxLength: 20_000 })),
          exit_code: Type.Optional(Type.Integer()),
          versions: Type.Optional(
            Type.Array(Type.Object({ name, arch: name, version }, closed), { maxItems: 1_000 }),
          ),
          restarted_units: Type.Optional(Type.Array(name, { maxItems: 1_000 })),
          not_restarted_units: Type.Optional(
            Type.Array(Type.Object({ name, reason: Type.String({ maxLength: 500 }) }, closed), {
              maxItems: 1_000,
            }),
          ),
          mitigations: Type.Optional(
            Type.Array(
              Type.Object(
                {
                  id: name,
                  action: oneOf(mitigationActions),
                  /** As it stands now; `undone` when the host is as it was before it. */
                  state: oneOf(['applied', 'not_applied', 'overridden', 'unknown', 'undone'] as const),
                  detail: Type.String({ maxLength: 1024 }),
                },
                closed,
              ),
              { maxItems: 50 },
            ),
          ),
          downloaded_bytes: Type.Optional(Type.Integer({ minimum: 0 })),
          resumed: Type.Optional(Type.Boolean()),
          /** A distribution point that did not do; `point` null: the server's own. What came through it was not installed. */
          distribution: Type.Optional(
            Type.Object(
              {
                point: Type.Union([Type.String({ maxLength: 100 }), Type.Null()]),
                problem: oneOf(['hash_mismatch', 'signature_invalid', 'not_reached'] as const),
                /** Addresses of the files, or their names alone, as the package manager tells them. */
                files: Type.Array(Type.String({ maxLength: 1_000 }), { maxItems: 20 }),
              },
              closed,
            ),
          ),
          /** Until when the host waits for its window. */
          waits_until: Type.Optional(time),
          /** What was kept to be put back, and what could not be. */
          kept: Type.Optional(
            Type.Object(
              {
                method: oneOf(['packages', 'snapshot'] as const),
                packages: Type.Integer({ minimum: 0 }),
                bytes: Type.Integer({ minimum: 0 }),
                missing: Type.Array(name, { maxItems: 1_000 }),
              },
              closed,
            ),
          ),
          /** What a rollback put back: configuration files that are as they were, and those that are not. */
          put_back: Type.Optional(
            Type.Object(
              {
                files: Type.Array(Type.String({ maxLength: 4_096 }), { maxItems: 2_000 }),
                files_failed: Type.Array(Type.String({ maxLength: 4_096 }), { maxItems: 2_000 }),
              },
              closed,
            ),
          ),
          actions: Type.Optional(
            Type.Array(
              Type.Object(
                {
                  name,
                  when: oneOf(['before', 'after'] as const),
                  ok: Type.Boolean(),
                  message: Type.String({ maxLength: 1_000 }),
                  seconds: Type.Number({ minimum: 0 }),
                },
                closed,
              ),
              { maxItems: 40 },
            ),
          ),
          health: Type.Optional(
            Type.Object(
              {
                probes: Type.Array(
                  Type.Object(
                    {
                      /** `tcp 127.0.0.1:443`, `unit_active nginx.service`. */
                      probe: Type.String({ maxLength: 1_100 }),
                      before: oneOf(['ok', 'failed', 'refused', 'unknown'] as const),
                      after: oneOf(['ok', 'failed', 'refused', 'unknown'] as const),
                      message: Type.String({ maxLength: 500 }),
                    },
                    closed,
                  ),
                  { maxItems: 50 },
                ),
                newly_failed_units: Type.Array(name, { maxItems: 500 }),
                units_gone: Type.Array(name, { maxItems: 500 }),
              },
              closed,
            ),
          ),
          reboot: Type.Optional(
            Type.Object(
              {
                boot_id_before: Type.String({ maxLength: 64 }),
                boot_id_after: Type.Optional(Type.String({ maxLength: 64 })),
                deferrals: Type.Integer({ minimum: 0 }),
                /** The permission is not used, or not any more; the host waits for another one. */
                given_back: Type.Optional(Type.Literal(true)),
                seconds: Type.Optional(Type.Number({ minimum: 0 })),
              },
              closed,
            ),
          ),
        },
        closed,
      ),
    ),
    /** With `verifying`: the inventory, already sent, that the server is to judge by. */
    digests: Type.Optional(InventoryDigestsSchema),
  },
  closed,
);
export type TaskEvent = Static<typeof TaskEvent>;

/** POST /agent/v1/task-events */
export const TaskEventsRequest = Type.Object(
  {
    task_id: uuid,
    generation: Type.Integer({ minimum: 1 }),
    events: Type.Array(TaskEvent, { minItems: 1, maxItems: 100 }),
  },
  closed,
);
export type TaskEventsRequest = Static<typeof TaskEventsRequest>;
export const TaskEventsResponse = Type.Object(
  {
    /** Highest index applied so far. */
    accepted_index: Type.Integer({ minimum: -1 }),
    /** True when the server considers the task ended: the agent may forget it. */
    ended: Type.Boolean(),
  },
  closed,
);
export type TaskEventsResponse = Static<typeof TaskEventsResponse>;

/** POST /agent/v1/task-log: output of a task as it comes, without secrets. What the server has already is answered, not stored again. */
export const TaskLogRequest = Type.Object(
  {
    task_id: uuid,
    generation: Type.Integer({ minimum: 1 }),
    /** The place of the first piece among all pieces of the generation, from 0. */
    first: Type.Integer({ minimum: 0 }),
    pieces: Type.Array(
      Type.Object({ at: time, step: name, text: Type.String({ maxLength: 16_000 }) }, closed),
      { minItems: 1, maxItems: 100 },
    ),
  },
  closed,
);
export type TaskLogRequest = Static<typeof TaskLogRequest>;
/**
 * `next`: the place of the first piece that the server does not have. `full`: it takes no more of this generation. `watched`:
 * somebody is watching, as `watched_tasks` of a check-in says.
 */
export const TaskLogResponse = Type.Object(
  { next: Type.Integer({ minimum: 0 }), full: Type.Boolean(), watched: Type.Optional(Type.Boolean()) },
  closed,
);
export type TaskLogResponse = Static<typeof TaskLogResponse>;

/** POST /agent/v1/refusals: an order that this host does not obey, and why. */
export const RefusalReport = Type.Object(
  {
    reason: oneOf(orderRefusals),
    message: Type.String({ maxLength: 2_000 }),
    /** As read from the payload, untrusted; null when it could not be read. */
    task_id: Type.Union([uuid, Type.Null()]),
    /** SHA-256 (hex) of the payload. */
    payload_digest: Type.String({ pattern: '^[0-9a-f]{64}$' }),
    at: time,
  },
  closed,
);
export type RefusalReport = Static<typeof RefusalReport>;
