import { Type, type Static } from 'typebox';
import { packageManagers } from '@fixpoint/core/inventory/inventory.ts';
import { AgentMode } from './agent.ts';
import { oneOf } from './enum.ts';
import { Candidate, HostFacts, InstalledPackage, Residue } from './inventory.ts';
import { ListQuery } from './list.ts';

const closed = { additionalProperties: false } as const;
const time = Type.String({ format: 'date-time' });
const orNull = <T extends Parameters<typeof Type.Union>[0][number]>(schema: T) =>
  Type.Union([schema, Type.Null()]);

/** GET /api/v1/assets?query=&sort=&tag=&hostname=&limit=&after= → List(Asset); with query or sort without retired ones */
export const AssetQuery = Type.Object(
  {
    ...ListQuery,
    tag: Type.Optional(Type.String({ maxLength: 255 })),
    hostname: Type.Optional(Type.String({ maxLength: 255 })),
    /** Over assets; all that is given must hold. */
    query: Type.Optional(Type.String({ maxLength: 20_000 })),
    /** `risk`: the greatest first. */
    sort: Type.Optional(oneOf(['hostname', 'risk'] as const)),
  },
  closed,
);
export const Asset = Type.Object(
  {
    id: Type.String({ format: 'uuid' }),
    hostname: Type.String(),
    mode: AgentMode,
    os: Type.String(),
    os_release: Type.String(),
    arch: Type.String(),
    agent_version: Type.String(),
    tags: Type.Array(Type.String()),
    criticality: Type.Integer({ minimum: 1, maximum: 5 }),
    /** Who or what says so, in words. */
    criticality_why: Type.String(),
    /** 0–1000; see GET /api/v1/assets/:id/risk. 0 for one that is retired. */
    risk: Type.Number({ minimum: 0, maximum: 1000 }),
    enrolled_at: time,
    last_seen_at: orNull(time),
    /** `silent` when it missed three check-ins in a row. */
    contact: oneOf(['never', 'current', 'silent', 'retired'] as const),
    inventory_at: orNull(time),
    packages: Type.Integer(),
    open_findings: Type.Integer(),
    /** Kept from being used by a mitigation that is in force; the software is not fixed. */
    mitigated_findings: Type.Integer(),
    restart_pending_findings: Type.Integer(),
    undetermined: Type.Integer(),
  },
  closed,
);
export type Asset = Static<typeof Asset>;

/** GET /api/v1/assets/:id (id or hostname when unique) */
/** Something of this asset that could not be judged: never read it as safe. */
export const Undetermined = Type.Object(
  { subject: Type.String(), reason: Type.String(), what_to_do: Type.String() },
  closed,
);

export const AssetDetail = Type.Object(
  {
    asset: Asset,
    host: orNull(HostFacts),
    /**
     * By what orders are carried out on this asset, and whether that was tried on the real package manager (`real`) or is held
     * to recorded outputs only (`recorded`); null: the agent does not say, or carries out none.
     */
    executor: orNull(
      Type.Object({ manager: oneOf(packageManagers), held: oneOf(['real', 'recorded'] as const) }, closed),
    ),
    packages: Type.Array(InstalledPackage),
    candidates: Type.Array(Candidate),
    residue: Type.Array(Residue),
    undetermined: Type.Array(Undetermined),
  },
  closed,
);
export type AssetDetail = Static<typeof AssetDetail>;
