import { Type, type Static } from 'typebox';
import { Compile } from 'typebox/compile';
import type { Fact, ThreatFact } from '@fixpoint/core/knowledge/facts.ts';
import type { Feed, FeedFile, FeedRecord, FeedRejection } from '../feed.ts';
import { notThisFormat, openInput, textOf } from '../input.ts';
import { jsonMembers } from '../json-members.ts';
import { isCve, isDay, parseInstant, rejection, requireRecords, schemaComplaint } from '../record.ts';

/** The parts of one module's metadata that are read. */
const Module = Type.Object({
  name: Type.String(),
  fullname: Type.String({ pattern: '^[a-z]+/.' }),
  type: Type.String(),
  disclosure_date: Type.Optional(Type.Union([Type.String(), Type.Null()])),
  mod_time: Type.Optional(Type.Union([Type.String(), Type.Null()])),
  references: Type.Array(Type.String()),
  path: Type.Optional(Type.String()),
});
type Module = Static<typeof Module>;
const validModule = Compile(Module);

/** The modules of Metasploit. See README.md beside this file for which of them count as what. */
export const metasploit: Feed = {
  id: 'metasploit',
  title: 'Metasploit modules',
  publisher: 'Rapid7',
  licence: 'BSD-3-Clause',
  url: 'https://raw.githubusercontent.com/rapid7/metasploit-framework/master/db/modules_metadata_base.json',
  complete: true,
  staleAfterHours: 24 * 14,
  parse(file) {
    return requireRecords(file, parseModules(file));
  },
};

async function* parseModules(file: FeedFile): AsyncGenerator<FeedRecord | FeedRejection> {
  const input = await openInput(file);
  for await (const member of jsonMembers(file.name, textOf(input.bytes)))
    yield* readModule(file.name, member.trim());
}

function* readModule(file: string, raw: string): Generator<FeedRecord | FeedRejection> {
  const key = /^"([^"\\]{1,300})"\s*:/u.exec(raw);
  const position = `module ${key?.[1] ?? raw.slice(0, 40)}`;
  const module = parsed(raw.slice(key?.[0].length ?? 0));
  if (!validModule.Check(module)) {
    if (key === null) throw notThisFormat(file, 'Metasploit’s list of modules', 'a module has no name');
    const fullname = /"fullname"\s*:\s*"([a-z]+\/[^"\\]+)"/u.exec(raw)?.[1] ?? null;
    const complaint = module === undefined ? 'it is not JSON' : schemaComplaint(validModule.Errors(module));
    yield rejection(position, 'module_invalid', complaint, raw, fullname);
    return;
  }
  const threat = threatOf(module);
  if (threat === null) return;
  const cves = new Set<string>();
  for (const reference of module.references) {
    if (!/^CVE-/iu.test(reference)) continue;
    // Some modules write `CVE-CVE-2024-1234`, or add a space.
    const cve = reference
      .trim()
      .toUpperCase()
      .replace(/^CVE-(?=CVE-)/u, '');
    if (isCve(cve)) cves.add(cve);
    else {
      const message = `${JSON.stringify(reference)} is not a CVE id`;
      yield rejection(position, 'reference_invalid', message, raw, module.fullname);
    }
  }
  // A module for nothing that has a CVE id says nothing of any vulnerability that we could find.
  if (cves.size === 0) return;
  const assertedOn = dayOf(module);
  if (assertedOn === null) {
    yield rejection(position, 'day_invalid', 'the module has no day that can be read', raw, module.fullname);
    return;
  }
  const facts = [...cves].map((vulnerability): Fact => ({
    kind: 'threat',
    vulnerability,
    threat,
    probability: null,
    percentile: null,
    ransomware: null,
    ssvc: null,
    assertedOn,
    dueOn: null,
    title: module.name.toWellFormed(),
    reference: module.path?.startsWith('/modules/')
      ? `https://github.com/rapid7/metasploit-framework/blob/master${module.path}`
      : module.fullname,
  }));
  yield { outcome: 'record', id: module.fullname, raw, facts };
}

/**
 * An `exploit` brings a payload: weaponised. An `auxiliary` module uses the flaw without one (takes over an account, reads
 * files, stops a service), which is an exploit that anybody can fetch; those under `scanner/` mostly look whether it is there,
 * and count as nothing. Other types (post, payload, encoder, nop, evasion) are for after an attack.
 */
function threatOf({ type, fullname }: Module): ThreatFact['threat'] | null {
  if (type === 'exploit') return 'exploit_weaponised';
  return type === 'auxiliary' && !fullname.startsWith('auxiliary/scanner/') ? 'exploit_public' : null;
}

/** Day on which the flaw was made public, as the module says; else the day on which its file was last changed. */
function dayOf({ disclosure_date, mod_time }: Module): string | null {
  if (typeof disclosure_date === 'string' && isDay(disclosure_date)) return disclosure_date;
  // `2025-05-21 08:32:40 +0000`
  return parseInstant((mod_time ?? '').replace(/ (?=[+-])/u, ''))?.slice(0, 10) ?? null;
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
