import { Type } from 'typebox';
import { Compile } from 'typebox/compile';
import { FeedFetchError, type FeedDownload, type FeedSource } from '../feed.ts';

/** Notices a page; the API has given at most 20 for years. */
const pageSize = 20;
/** Pages a transaction. */
const batchPages = 25;
/** Pages before the end that are asked for again each time: notices are corrected in the days after they came out. */
const pagesAgain = 3;

const State = Type.Object({
  /** Notices that were imported, from the oldest. */
  notices: Type.Integer({ minimum: 0 }),
  /** SHA-256 of the pages of the last plan. */
  pages: Type.Array(Type.String()),
});
const validState = Compile(State);
const validPage = Compile(
  Type.Object({ notices: Type.Array(Type.Unknown()), total_results: Type.Integer() }),
);

/** The pages of Ubuntu's API from the oldest notice to the newest, so that a new one does not move all the others. */
export const noticePages: FeedSource = {
  async plan(client, last) {
    const before = validState.Check(last.state) ? last.state : null;
    const files: FeedDownload[] = [];
    let offset = Math.max(0, (before?.notices ?? 0) - pagesAgain * pageSize);
    offset -= offset % pageSize;
    let total = offset;
    while (files.length < batchPages) {
      const url = new URL(client.url);
      url.search = `?order=oldest&limit=${String(pageSize)}&offset=${String(offset)}`;
      const page = await client.fetch(url.href, { name: `notices-from-${String(offset)}.json` });
      const read = await pageOf(page);
      total = read.total;
      if (read.notices > 0) files.push(page);
      offset += read.notices;
      if (read.notices === 0 || offset >= total) break;
    }
    const more = offset < total;
    const pages = files.map(({ sha256 }) => sha256);
    const unchanged = before !== null && before.notices === offset && before.pages.join() === pages.join();
    return { files: unchanged ? [] : files, whole: false, more, state: { notices: offset, pages } };
  },
};

async function pageOf(page: FeedDownload): Promise<{ notices: number; total: number }> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of page.open()) chunks.push(chunk);
  let value: unknown;
  try {
    value = JSON.parse(Buffer.concat(chunks).toString('utf8'));
  } catch {
    value = null;
  }
  if (!validPage.Check(value)) {
    throw new FeedFetchError(
      'index_unusable',
      `${page.url ?? page.name} is not a page of Ubuntu's security notices`,
      'It is tried again by itself. If it stays like this, import database.json by hand: fixpoint feed import.',
    );
  }
  return { notices: value.notices.length, total: value.total_results };
}
