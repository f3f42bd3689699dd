import { Type, type Static } from 'typebox';
import { oneOf } from './enum.ts';
import {
  packageManagers,
  type Inventory,
  type InventoryDigests,
  type PackageDelta,
} from '@fixpoint/core/inventory/inventory.ts';

/** Schemas of what an agent reports. The limits are far above any real host, and bound what a broken one can send. */

const name = Type.String({ minLength: 1, maxLength: 256 });
const version = Type.String({ minLength: 1, maxLength: 512 });
const text = Type.String({ maxLength: 1024 });
const time = Type.String({ format: 'date-time', maxLength: 40 });
const digest = Type.String({ pattern: '^[0-9a-f]{64}$' });
const nullable = <T extends Parameters<typeof Type.Union>[0][number]>(schema: T) =>
  Type.Union([schema, Type.Null()]);
const closed = { additionalProperties: false } as const;

export const InstalledPackage = Type.Object(
  {
    name,
    arch: name,
    version,
    source: name,
    source_version: version,
    origin: Type.Optional(oneOf(['third_party', 'unknown'])),
    vendor: Type.Optional(Type.String({ minLength: 1, maxLength: 256 })),
    module: Type.Optional(Type.String({ minLength: 1, maxLength: 256 })),
    updates: Type.Optional(
      Type.Unsafe<readonly string[]>(
        Type.Array(Type.String({ pattern: '^KB[0-9]{4,9}$' }), { maxItems: 2_000 }),
      ),
    ),
  },
  closed,
);

export const Candidate = Type.Object(
  {
    name,
    arch: name,
    version,
    source: name,
    source_version: version,
    repository: text,
    download_bytes: Type.Integer({ minimum: 0 }),
    requires: Type.Optional(
      Type.Unsafe<readonly string[]>(
        Type.Array(Type.String({ minLength: 1, maxLength: 1024 }), { minItems: 1, maxItems: 200 }),
      ),
    ),
  },
  closed,
);

export const ReportedMitigation = Type.Object(
  {
    id: Type.String({ pattern: '^[a-z0-9][a-z0-9-]{1,62}$' }),
    digest,
    state: oneOf(['applied', 'not_applied', 'overridden', 'unknown'] as const),
    detail: Type.String({ maxLength: 1024 }),
    until_reboot: Type.Boolean(),
  },
  closed,
);

const policyNames = Type.Unsafe<readonly string[]>(
  Type.Array(Type.String({ minLength: 1, maxLength: 256 }), { maxItems: 1_000 }),
);

export const HostPolicySchema = Type.Object(
  {
    digest,
    problem: nullable(Type.String({ maxLength: 1024 })),
    patching: oneOf(['allow', 'forbid'] as const),
    forbidden_packages: policyNames,
    hours: policyNames,
    reboot: oneOf(['allow', 'forbid'] as const),
    reboot_hours: policyNames,
    rollback: oneOf(['allow', 'forbid'] as const),
    actions: policyNames,
    probes: policyNames,
    probe_targets: policyNames,
    never_restart: Type.Optional(policyNames),
  },
  closed,
);

export const HostFacts = Type.Object(
  {
    hostname: Type.String({ minLength: 1, maxLength: 255 }),
    os: name,
    os_release: Type.String({ maxLength: 64 }),
    os_title: text,
    arch: name,
    addresses: Type.Array(Type.String({ maxLength: 64 }), { maxItems: 256 }),
    boot_id: Type.String({ maxLength: 64 }),
    booted_at: time,
    running_kernel: text,
    kernels: Type.Array(
      Type.Object({ name, version, source: name, source_version: version, release: text }, closed),
      { maxItems: 64 },
    ),
    machine: Type.Union([Type.Literal('physical_or_virtual'), Type.Literal('container')]),
    reboot_required: Type.Boolean(),
    reboot_required_by: Type.Array(name, { maxItems: 512 }),
    held: Type.Array(name, { maxItems: 10_000 }),
    units: Type.Array(
      Type.Object(
        {
          name: Type.String({ minLength: 1, maxLength: 512 }),
          state: Type.Union([
            Type.Literal('active'),
            Type.Literal('inactive'),
            Type.Literal('failed'),
            Type.Literal('other'),
          ]),
        },
        closed,
      ),
      { maxItems: 5_000 },
    ),
    mitigations: Type.Optional(Type.Array(ReportedMitigation, { maxItems: 200 })),
    cloud: Type.Optional(
      Type.Record(
        Type.String({ pattern: '^[a-z][a-z0-9_]{0,31}$' }),
        Type.String({ minLength: 1, maxLength: 256 }),
        {
          maxProperties: 16,
          additionalProperties: false,
        },
      ),
    ),
    time_zone: Type.Optional(Type.String({ minLength: 1, maxLength: 64 })),
    policy: Type.Optional(HostPolicySchema),
    snapshots: Type.Optional(oneOf(['btrfs', 'lvm'] as const)),
    package_manager: Type.Optional(
      Type.Object({ name: oneOf(packageManagers), held: oneOf(['real', 'recorded'] as const) }, closed),
    ),
  },
  closed,
);

export const Residue = Type.Object(
  {
    kind: Type.Union([Type.Literal('process'), Type.Literal('file')]),
    name,
    arch: name,
    version: nullable(version),
    source: name,
    source_version: nullable(version),
    path: Type.String({ maxLength: 4096 }),
    process: nullable(
      Type.Object(
        {
          pid: Type.Integer({ minimum: 1 }),
          command: text,
          unit: nullable(Type.String({ maxLength: 512 })),
          started_at: time,
        },
        closed,
      ),
    ),
    alteration: nullable(
      Type.Union([Type.Literal('digest_differs'), Type.Literal('diverted'), Type.Literal('missing')]),
    ),
  },
  closed,
);

export const InventoryDigestsSchema = Type.Object(
  { packages: digest, candidates: digest, host: digest, residue: digest },
  closed,
);

export const PackageDeltaSchema = Type.Object(
  {
    base: digest,
    set: Type.Array(InstalledPackage, { maxItems: 50_000 }),
    removed: Type.Array(Type.String({ minLength: 3, maxLength: 1026 }), { maxItems: 50_000 }),
  },
  closed,
);

/** POST /agent/v1/inventory. A section that is absent is unchanged; packages come whole or as a delta. */
export const InventoryReport = Type.Object(
  {
    collected_at: time,
    digests: InventoryDigestsSchema,
    packages: Type.Optional(Type.Array(InstalledPackage, { maxItems: 50_000 })),
    package_delta: Type.Optional(PackageDeltaSchema),
    candidates: Type.Optional(Type.Array(Candidate, { maxItems: 50_000 })),
    host: Type.Optional(HostFacts),
    residue: Type.Optional(Type.Array(Residue, { maxItems: 20_000 })),
  },
  closed,
);
export type InventoryReport = Static<typeof InventoryReport>;

export const InventoryAccepted = Type.Object({ digests: InventoryDigestsSchema }, closed);
export type InventoryAccepted = Static<typeof InventoryAccepted>;

/** The schemas and core's shapes are one: this fails to compile when they drift apart. */
type Same<A, B> = [A] extends [B] ? ([B] extends [A] ? true : never) : never;
type Schemas = {
  packages: Static<typeof InstalledPackage>[];
  candidates: Static<typeof Candidate>[];
  host: Static<typeof HostFacts>;
  residue: Static<typeof Residue>[];
};
type Loose<T> = T extends readonly (infer E)[]
  ? Loose<E>[]
  : T extends object
    ? { -readonly [K in keyof T]: Loose<T[K]> }
    : T;
export const schemasAgree: [
  Same<Loose<Schemas>, Loose<Inventory>>,
  Same<Static<typeof InventoryDigestsSchema>, Loose<InventoryDigests>>,
  Same<Loose<Static<typeof PackageDeltaSchema>>, Loose<PackageDelta>>,
] = [true, true, true];
