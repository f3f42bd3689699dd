import { existsSync, mkdirSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { MitigationOrder } from '@fixpoint/contract/mitigation.ts';
import { Type, type Static } from '@fixpoint/contract/schema.ts';
import { isMitigationId } from '@fixpoint/core/mitigation/mitigation.ts';
import type { BeforeApply } from '@fixpoint/core/mitigation/plan-steps.ts';
import { prepareStateDir, readStateFile, syncFolder, writeFileAtomically } from '../state-dir.ts';

/**
 * What this host was before each mitigation, written before anything is changed and kept until it is undone: one file each,
 * in the state folder of the agent.
 */

const File = Type.Object(
  {
    text: Type.String(),
    mode: Type.Integer(),
    uid: Type.Integer(),
    gid: Type.Integer(),
  },
  { additionalProperties: false },
);

export const MitigationRecord = Type.Object(
  {
    format: Type.Literal(1),
    /** `applying` and `undoing`: begun, and not known to be through. */
    phase: Type.Unsafe<'applying' | 'applied' | 'undoing'>(Type.Enum(['applying', 'applied', 'undoing'])),
    order: MitigationOrder,
    at: Type.String(),
    /** By path; null where there was none. */
    files: Type.Record(Type.String(), Type.Union([File, Type.Null()])),
    written: Type.Record(Type.String(), Type.String()),
    /** Made for the files. */
    folders: Type.Array(Type.String()),
    sysctl: Type.Record(Type.String(), Type.String()),
    modules: Type.Array(Type.String()),
    /** Services of the order that ran. */
    active_units: Type.Array(Type.String()),
  },
  { additionalProperties: false },
);
export type MitigationRecord = Static<typeof MitigationRecord>;

export interface MitigationRecords {
  /** Of every record, whether it can be read or not. */
  ids(): string[];
  list(): MitigationRecord[];
  read(id: string): MitigationRecord | null;
  /** Durable when it returns. */
  write(record: MitigationRecord): void;
  remove(id: string): void;
}

/** Throws AgentFailure `state_corrupt` when a record is not what was written: what to go back to would be guessed. */
export function openMitigationRecords(stateDir: string): MitigationRecords {
  const folder = join(stateDir, 'mitigations');
  const pathOf = (id: string): string => join(folder, `${id}.json`);
  const ids = (): string[] =>
    existsSync(folder)
      ? readdirSync(folder)
          .flatMap((name) => (name.endsWith('.json') ? [name.slice(0, -'.json'.length)] : []))
          .filter(isMitigationId)
          .sort()
      : [];
  return {
    ids,
    list: () => ids().flatMap((id) => readStateFile(pathOf(id), MitigationRecord) ?? []),
    read: (id) => readStateFile(pathOf(id), MitigationRecord),
    write(record) {
      prepareStateDir(stateDir);
      mkdirSync(folder, { recursive: true, mode: 0o700 });
      syncFolder(stateDir);
      writeFileAtomically(pathOf(record.order.id), JSON.stringify(record));
    },
    remove(id) {
      rmSync(pathOf(id), { force: true });
      syncFolder(folder);
    },
  };
}

/** As core/src/mitigation/plan-steps.ts asks for it. */
export function beforeOf(record: MitigationRecord): BeforeApply {
  return {
    files: Object.fromEntries(Object.entries(record.files).map(([path, file]) => [path, file?.text ?? null])),
    written: record.written,
    sysctl: record.sysctl,
    modules: record.modules,
  };
}
