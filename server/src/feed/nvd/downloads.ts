import { Type, type Static } from 'typebox';
import { Compile } from 'typebox/compile';
import { fetchIfThere } from '../downloads.ts';
import type { FeedPlan, FeedSource } from '../feed.ts';

/** The file of 2002 holds all years before, too. */
const firstYear = 2002;
/** `modified` holds what changed in the last eight days; a day is left for what may go wrong. */
const modifiedReachesMilliseconds = 7 * 86_400_000;

/** The yearly files are begun anew after so long, so that what is held besides them stays small. */
const roundMilliseconds = 45 * 86_400_000;
/**
 * For so long a later `modified` replaces the earlier one among the files that are held; then it is kept beside it. Two that
 * follow each other are then never further apart than one reaches, so together with the years they hold everything.
 */
const replacedMilliseconds = 3 * 86_400_000;

const State = Type.Object({
  /** When the yearly files were begun. */
  begun: Type.String(),
  /** Next yearly file to import; null when all are. */
  year: Type.Union([Type.Integer(), Type.Null()]),
  /** When the newest changes were imported, or the last year was. */
  at: Type.String(),
  /** SHA-256 of `modified` when it was imported last. */
  modified: Type.String(),
});
type State = Static<typeof State>;
const validState = Compile(State);

/**
 * NVD's files, for a feed whose address is that of `nvdcve-2.0-modified.json.gz`: at first the yearly ones beside it, each in a
 * transaction of its own, then only what was modified; all years again when that does not reach back to the last time.
 */
export const nvdDownloads: FeedSource = {
  async plan(client, last): Promise<FeedPlan> {
    const before = validState.Check(last.state) ? last.state : null;
    const at = client.now.toISOString();
    const since = (time: string): number => client.now.getTime() - Date.parse(time);
    const anew =
      before === null ||
      since(before.begun) > roundMilliseconds ||
      (before.year === null && since(before.at) > modifiedReachesMilliseconds);
    const state: State = anew ? { begun: at, year: firstYear, at, modified: '' } : before;
    if (state.year === null) {
      const part = Math.floor(since(state.begun) / replacedMilliseconds);
      const modified = await client.fetch(client.url, { name: `modified-${String(part)}` });
      const files = modified.sha256 === state.modified ? [] : [modified];
      return { files, whole: false, state: { ...state, at, modified: modified.sha256 } };
    }
    const { year } = state;
    const isLast = year >= client.now.getUTCFullYear();
    const url = new URL(`nvdcve-2.0-${String(year)}.json.gz`, client.url).href;
    // The file of a new year comes with its first CVE.
    const file = isLast ? await fetchIfThere(client, url) : await client.fetch(url);
    const next: State = { ...state, at, year: isLast ? null : year + 1 };
    return { files: file === null ? [] : [file], whole: year === firstYear, more: true, state: next };
  },
};
