/**
 * For tests: the mirror `vulsio/vuls-data-raw-windows-cvrf` as MSRC publishes it. The mirror takes MSRC's XML apart by
 * vulnerability, one file each under `2024-Jul/2024/CVE-2024-38077.json`, with keys of its own. What it drops (the rest of
 * a month's product tree, acknowledgements) is not invented here. The product does not use this file.
 */
import { Type, type Static } from 'typebox';
import { Compile } from 'typebox/compile';
import { tarEntries } from '../archive.ts';
import type { FeedFile } from '../feed.ts';
import { openInput } from '../input.ts';

const maybe = Type.Optional;
const text = Type.String();
const Products = maybe(Type.Union([text, Type.Array(text)]));

const Remediation = Type.Object({
  type: text,
  description: maybe(text),
  url: maybe(text),
  supercedence: maybe(text),
  product_id: Products,
  sub_type: maybe(text),
  fixed_build: maybe(text),
  restart_required: maybe(text),
});
const Status = Type.Object({ type: text, product_id: Products });
const Threat = Type.Object({ type: text, description: maybe(text), product_id: Products });
const ScoreSet = Type.Object({ vector: maybe(text), product_id: Products });
const Note = Type.Object({ type: text, title: maybe(text), text: maybe(text) });
const Revision = Type.Object({ date: maybe(text) });
const ProductName = Type.Object({ productid: text, text });

const oneOrMore = <T extends Type.TSchema>(schema: T) => maybe(Type.Union([schema, Type.Array(schema)]));

const Vulnerability = Type.Object({
  cve: text,
  title: maybe(text),
  notes: maybe(Type.Object({ note: oneOrMore(Note) })),
  productstatuses: maybe(Type.Object({ status: oneOrMore(Status) })),
  threats: maybe(Type.Object({ threat: oneOrMore(Threat) })),
  cvssscoresets: maybe(Type.Object({ scoreset: oneOrMore(ScoreSet) })),
  remediations: maybe(Type.Object({ remediation: oneOrMore(Remediation) })),
  revisionhistory: maybe(Type.Object({ revision: oneOrMore(Revision) })),
});

const File = Type.Object({
  document_title: text,
  documenttracking: Type.Object({ initial_release_date: text, current_release_date: text }),
  producttree: Type.Unknown(),
  vulnerability: Type.Array(Vulnerability),
});
type File = Static<typeof File>;
const validFile = Compile(File);
const validName = Compile(ProductName);

/** Numbers of the published JSON for the words of the published XML; see README.md. */
const remediationTypes: Readonly<Record<string, number>> = {
  Workaround: 0,
  Mitigation: 1,
  'Vendor Fix': 2,
  'Release Notes': 3,
  'Will Not Fix': 4,
  'Known Issue': 6,
};
const threatTypes: Readonly<Record<string, number>> = { Impact: 0, 'Exploit Status': 1, Severity: 3 };
const statusTypes: Readonly<Record<string, number>> = { 'Known Affected': 3, 'Known Not Affected': 4 };
const noteTypes: Readonly<Record<string, number>> = { Description: 2, FAQ: 4, Other: 6, Tag: 7, CNA: 8 };

const isList = <T>(value: T | readonly T[]): value is readonly T[] => Array.isArray(value);

function list<T>(value: T | readonly T[] | undefined): readonly T[] {
  if (value === undefined) return [];
  return isList(value) ? value : [value];
}

function numberOf(table: Readonly<Record<string, number>>, word: string): number {
  const number = table[word];
  if (number === undefined) throw new Error(`the mirror has a type that is not known: ${word}`);
  return number;
}

/** Every product name in a tree of branches. */
function namesIn(tree: unknown, names: Map<string, string>): void {
  if (typeof tree !== 'object' || tree === null) return;
  if (validName.Check(tree)) names.set(tree.productid, tree.text);
  else for (const child of Object.values(tree)) namesIn(child, names);
}

export interface MirrorMonth {
  readonly names: Map<string, string>;
  readonly vulnerabilities: unknown[];
  first: File | null;
}

export function newMonth(): MirrorMonth {
  return { names: new Map(), vulnerabilities: [], first: null };
}

/** Takes one file of the mirror into its month. */
export function addFile(month: MirrorMonth, value: unknown): void {
  if (!validFile.Check(value)) {
    const [error] = validFile.Errors(value);
    throw new Error(`not a file of the mirror: ${error?.instancePath ?? ''} ${error?.message ?? ''}`);
  }
  month.first ??= value;
  namesIn(value.producttree, month.names);
  for (const one of value.vulnerability) {
    month.vulnerabilities.push({
      Title: { Value: one.title },
      Notes: list(one.notes?.note).map((note) => ({
        Type: numberOf(noteTypes, note.type),
        Title: note.title,
        Value: note.text,
      })),
      CVE: one.cve,
      ProductStatuses: list(one.productstatuses?.status).map(({ type, product_id }) => ({
        ProductID: list(product_id),
        Type: numberOf(statusTypes, type),
      })),
      Threats: list(one.threats?.threat).map(({ type, description, product_id }) => ({
        Description: { Value: description },
        ProductID: product_id === undefined ? undefined : list(product_id),
        Type: numberOf(threatTypes, type),
      })),
      CVSSScoreSets: list(one.cvssscoresets?.scoreset).map(({ vector, product_id }) => ({
        Vector: vector,
        ProductID: list(product_id),
      })),
      Remediations: list(one.remediations?.remediation).map((remediation) => ({
        Description: { Value: remediation.description },
        URL: remediation.url,
        Supercedence: remediation.supercedence,
        ProductID: list(remediation.product_id),
        Type: numberOf(remediationTypes, remediation.type),
        AffectedFiles: [],
        RestartRequired: { Value: remediation.restart_required },
        SubType: remediation.sub_type,
        FixedBuild: remediation.fixed_build,
      })),
      RevisionHistory: list(one.revisionhistory?.revision).map(({ date }) => ({ Date: date })),
    });
  }
}

/** The month as MSRC publishes it: the answer of `/cvrf/v3.0/cvrf/2024-Jul` as JSON. */
export function publishedMonth(id: string, month: MirrorMonth): object {
  const { first } = month;
  if (first === null) throw new Error(`nothing of ${id}`);
  return {
    DocumentTitle: { Value: first.document_title },
    DocumentType: { Value: 'Security Update' },
    DocumentTracking: {
      Identification: { ID: { Value: id }, Alias: { Value: id } },
      InitialReleaseDate: first.documenttracking.initial_release_date,
      CurrentReleaseDate: first.documenttracking.current_release_date,
    },
    ProductTree: {
      FullProductName: [...month.names].map(([ProductID, Value]) => ({ ProductID, Value })),
    },
    Vulnerability: month.vulnerabilities,
  };
}

/** Each file repeats the notes of its whole month: two thirds of the text, and nothing that is read. */
function withoutNotes(json: string): string {
  const start = json.indexOf('"documentnotes"');
  const end = json.indexOf('"producttree"');
  return start < 0 || end < start ? json : json.slice(0, start) + json.slice(end);
}

/** The mirror's tar as documents of months, one a line, oldest file first as they lie in it. */
export function publishedDocuments(tar: FeedFile, wanted: (path: string) => boolean = () => true): FeedFile {
  async function* documents(): AsyncGenerator<Uint8Array> {
    const months = new Map<string, MirrorMonth>();
    const input = await openInput(tar);
    for await (const entry of tarEntries(input, (name) => name.endsWith('.json') && wanted(name))) {
      if (entry.outcome === 'rejection') throw new Error(entry.message);
      const id = /(?:^|\/)(\d{4}-[A-Za-z]{3})\//u.exec(entry.name)?.[1];
      if (id === undefined) throw new Error(`${entry.name} is in no month`);
      const month = months.get(id) ?? newMonth();
      months.set(id, month);
      addFile(month, JSON.parse(withoutNotes(new TextDecoder().decode(entry.bytes))));
    }
    for (const [id, month] of months) yield Buffer.from(`${JSON.stringify(publishedMonth(id, month))}\n`);
  }
  return { name: 'msrc-cvrf.jsonl', bytes: documents() };
}
