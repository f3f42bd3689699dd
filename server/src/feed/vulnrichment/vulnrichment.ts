import { readCveRecords } from '../cve-record/cve-record.ts';
import type { Feed } from '../feed.ts';

/** CVE records with what CISA adds to them: SSVC decisions, vectors, whether they are in KEV. See README.md beside this file. */
export const vulnrichment: Feed = {
  id: 'vulnrichment',
  title: 'CISA Vulnrichment',
  publisher: 'CISA',
  licence: 'CC0-1.0',
  url: 'https://github.com/cisagov/vulnrichment/archive/refs/heads/develop.zip',
  // Records leave when CISA's part moves into the CVE List only; what was said of them stays said.
  complete: false,
  staleAfterHours: 24 * 7,
  parse: readCveRecords,
};
