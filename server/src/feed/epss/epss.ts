import type { Feed, FeedFile, FeedRecord, FeedRejection } from '../feed.ts';
import { linesOf, notThisFormat, openInput, truncated, type Line } from '../input.ts';
import { isCve, isDay, rejection, requireRecords } from '../record.ts';

/** FIRST's daily file: a comment line with model and day, a header line, one line a CVE. See README.md. */
export const epss: Feed = {
  id: 'epss',
  title: 'EPSS exploit probabilities',
  publisher: 'FIRST.org',
  licence: 'Free to use with attribution to FIRST (https://www.first.org/epss/)',
  url: 'https://epss.empiricalsecurity.com/epss_scores-current.csv.gz',
  complete: true,
  staleAfterHours: 72,
  parse(file) {
    return requireRecords(file, parseScores(file));
  },
};

const firstLine = /^#model_version:[^,]+,score_date:([0-9]{4}-[0-9]{2}-[0-9]{2})/u;

async function* parseScores(file: FeedFile): AsyncGenerator<FeedRecord | FeedRejection> {
  const input = await openInput(file);
  let assertedOn: string | null = null;
  let headerSeen = false;
  for await (const line of linesOf(input)) {
    if (assertedOn === null) {
      assertedOn = firstLine.exec(line.text)?.[1] ?? null;
      if (assertedOn === null || !isDay(assertedOn)) {
        throw notThisFormat(
          file.name,
          'an EPSS file',
          `line 1 names no model and score date: ${line.text.slice(0, 60)}`,
        );
      }
    } else if (!headerSeen) {
      if (line.text !== 'cve,epss,percentile') {
        throw notThisFormat(
          file.name,
          'an EPSS file',
          `line 2 is not the header cve,epss,percentile: ${line.text.slice(0, 60)}`,
        );
      }
      headerSeen = true;
    } else if (line.text !== '') {
      const item = readScore(line, assertedOn);
      if (item.outcome === 'rejection' && !line.terminated) throw truncated(file.name, `in ${item.position}`);
      yield item;
    }
  }
}

function readScore(line: Line, assertedOn: string): FeedRecord | FeedRejection {
  const fields = line.text.split(',');
  const [cve = '', epssText = '', percentileText = ''] = fields;
  const probability = fractionOf(epssText);
  const percentile = fractionOf(percentileText);
  if (fields.length !== 3 || !isCve(cve) || probability === null || percentile === null) {
    const message = 'the line is not a CVE id and two numbers from 0 to 1';
    return rejection(
      `line ${String(line.number)}`,
      'line_invalid',
      message,
      line.text,
      isCve(cve) ? cve : null,
    );
  }
  return {
    outcome: 'record',
    id: cve,
    raw: line.text,
    facts: [
      {
        kind: 'threat',
        vulnerability: cve,
        threat: 'exploit_probability',
        probability,
        percentile,
        ransomware: null,
        ssvc: null,
        assertedOn,
        dueOn: null,
        title: null,
        reference: null,
      },
    ],
  };
}

function fractionOf(text: string): number | null {
  if (!/^[0-9]+(?:\.[0-9]+)?(?:[eE]-[0-9]+)?$/u.test(text)) return null;
  const value = Number(text);
  return value <= 1 ? value : null;
}
