import { Type } from 'typebox';
import { Compile } from 'typebox/compile';
import type { Feed, FeedFile, FeedRecord, FeedRejection } from '../feed.ts';
import { notThisFormat, openInput, parseJsonFile, wholeText } from '../input.ts';
import { isDay, rejection, requireRecords, schemaComplaint } from '../record.ts';

const day = Type.String({ pattern: '^[0-9]{4}-[0-9]{2}-[0-9]{2}$' });

/** As in CISA's known_exploited_vulnerabilities_schema.json; only what is read is required. */
const Entry = Type.Object({
  cveID: Type.String({ pattern: '^CVE-[0-9]{4}-[0-9]{4,19}$' }),
  vulnerabilityName: Type.String(),
  dateAdded: day,
  dueDate: Type.Optional(day),
  knownRansomwareCampaignUse: Type.Optional(Type.String()),
});
const Catalogue = Type.Object({
  catalogVersion: Type.String(),
  count: Type.Integer(),
  vulnerabilities: Type.Array(Type.Unknown()),
});

const validEntry = Compile(Entry);
const validCatalogue = Compile(Catalogue);

export const cisaKev: Feed = {
  id: 'cisa-kev',
  title: 'CISA Known Exploited Vulnerabilities',
  publisher: 'CISA',
  licence: 'CC0-1.0',
  url: 'https://www.cisa.gov/sites/default/files/feeds/known_exploited_vulnerabilities.json',
  complete: true,
  // The catalogue grows on working days; a long weekend must not read as an outage.
  staleAfterHours: 24 * 5,
  parse(file) {
    return requireRecords(file, parseCatalogue(file));
  },
};

async function* parseCatalogue(file: FeedFile): AsyncGenerator<FeedRecord | FeedRejection> {
  const input = await openInput(file);
  const catalogue = parseJsonFile(file.name, await wholeText(input));
  if (!validCatalogue.Check(catalogue)) {
    throw notThisFormat(file.name, 'a KEV catalogue', schemaComplaint(validCatalogue.Errors(catalogue)));
  }
  const { count, vulnerabilities } = catalogue;
  if (count !== vulnerabilities.length) {
    const message = `the catalogue says ${String(count)} entries and holds ${String(vulnerabilities.length)}`;
    yield rejection('count', 'count_differs', message, catalogue.catalogVersion);
  }
  for (const [index, entry] of vulnerabilities.entries()) {
    const raw = JSON.stringify(entry);
    if (!validEntry.Check(entry)) {
      yield rejection(
        `vulnerabilities[${String(index)}]`,
        'record_not_kev',
        schemaComplaint(validEntry.Errors(entry)),
        raw,
        idOf(entry),
      );
      continue;
    }
    if (!isDay(entry.dateAdded) || (entry.dueDate !== undefined && !isDay(entry.dueDate))) {
      const message = `${entry.dateAdded} or ${entry.dueDate ?? ''} is not a day of the calendar`;
      yield rejection(`vulnerabilities[${String(index)}]`, 'day_invalid', message, raw, entry.cveID);
      continue;
    }
    yield {
      outcome: 'record',
      id: entry.cveID,
      raw,
      facts: [
        {
          kind: 'threat',
          vulnerability: entry.cveID,
          threat: 'exploited',
          probability: null,
          percentile: null,
          // "Unknown" means that CISA has no confirmation, which is not a no.
          ransomware: entry.knownRansomwareCampaignUse === 'Known' ? true : null,
          ssvc: null,
          assertedOn: entry.dateAdded,
          dueOn: entry.dueDate ?? null,
          title: entry.vulnerabilityName.toWellFormed(),
          reference: null,
        },
      ],
    };
  }
}

/** The id of what is not an entry as a whole, if it has one. */
function idOf(entry: unknown): string | null {
  return typeof entry === 'object' && entry !== null && 'cveID' in entry && typeof entry.cveID === 'string'
    ? entry.cveID
    : null;
}
