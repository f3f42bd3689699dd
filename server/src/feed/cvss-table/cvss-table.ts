import { cvssFact } from '../cvss-vector.ts';
import type { Feed, FeedFile, FeedRecord, FeedRejection } from '../feed.ts';
import { linesOf, notThisFormat, openInput, truncated, type Line } from '../input.ts';
import { rejection, requireRecords } from '../record.ts';

const header = 'cve\tsource\tvector\tbase_score';

/**
 * Our own table of vectors, derived from CVE records, Red Hat, Microsoft and NVD (by way of OSV); tab-separated with the
 * header `cve source vector base_score`. The score stated is not used: 128 of 101,756 differ from what their vector
 * computes to (mostly Intel's and GitHub's, off by 0.1 to 0.5), and the vector is what the scorer decided.
 * For knowledge that is carried along, not synced: it has no upstream.
 */
export const cvssTable: Feed = {
  id: 'cvss-table',
  title: 'CVSS vectors (table derived from several sources)',
  publisher: 'Fixpoint, from CISA Vulnrichment, Red Hat, Microsoft, NVD by way of OSV',
  licence: 'CC0-1.0 (Vulnrichment), CC-BY-4.0 (Red Hat); vectors are facts',
  url: null,
  complete: true,
  staleAfterHours: 24 * 365,
  parse(file) {
    return requireRecords(file, parseTable(file));
  },
};

async function* parseTable(file: FeedFile): AsyncGenerator<FeedRecord | FeedRejection> {
  const input = await openInput(file);
  for await (const line of linesOf(input)) {
    if (line.number === 1) {
      if (line.text !== header) {
        throw notThisFormat(file.name, 'a CVSS table', `line 1 is not the header ${JSON.stringify(header)}`);
      }
    } else if (line.text !== '') {
      const item = readRow(line);
      if (item.outcome === 'rejection' && !line.terminated) throw truncated(file.name, `in ${item.position}`);
      yield item;
    }
  }
}

function readRow(line: Line): FeedRecord | FeedRejection {
  const position = `line ${String(line.number)}`;
  const fields = line.text.split('\t');
  const [vulnerability = '', scorer = '', vector = '', stated = ''] = fields;
  if (
    fields.length !== 4 ||
    !/^[A-Z][0-9A-Za-z-]{3,60}$/u.test(vulnerability) ||
    scorer === '' ||
    !/^(?:10(?:\.0)?|[0-9](?:\.[0-9])?)?$/u.test(stated)
  ) {
    return rejection(
      position,
      'line_invalid',
      'the line is not an id, a source, a vector and a score or nothing',
      line.text,
    );
  }
  const id = `${vulnerability}/${scorer}/${vector}`;
  const result = cvssFact(vulnerability, scorer, vector);
  if (!result.ok) return rejection(position, 'cvss_vector_invalid', result.message, line.text, id);
  return {
    outcome: 'record',
    id,
    raw: line.text,
    facts: [result.fact],
  };
}
