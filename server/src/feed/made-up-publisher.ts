/** For tests of how a feed is downloaded: a publisher that has what a table says, without a network. */
import { createHash } from 'node:crypto';
import { FeedFetchError, type FeedClient, type FeedDownload } from './feed.ts';

export interface MadeUpPublisher {
  readonly client: FeedClient;
  /** Address → content; a test changes it between plans. */
  readonly content: Map<string, string>;
  /** Addresses that were asked for, in order. */
  readonly asked: string[];
}

export function madeUpPublisher(url: string, content: Readonly<Record<string, string>>): MadeUpPublisher {
  const published = new Map(Object.entries(content));
  const asked: string[] = [];
  const download = (name: string, from: string | null, text: string): FeedDownload => ({
    name,
    url: from,
    sha256: createHash('sha256').update(text).digest('hex'),
    bytes: text.length,
    publishedAt: null,
    async *open() {
      yield Buffer.from(text);
    },
  });
  const client: FeedClient = {
    url,
    now: new Date(0),
    fetch: async (address, options) => {
      asked.push(address);
      const text = published.get(address);
      if (text === undefined)
        throw new FeedFetchError('file_not_found', `${address} is not there`, 'Look elsewhere.');
      return download(options?.name ?? new URL(address).pathname.slice(1), address, text);
    },
    held: async () => null,
    async keep(name, bytes) {
      const chunks: Uint8Array[] = [];
      for await (const chunk of bytes) chunks.push(chunk);
      return download(name, null, Buffer.concat(chunks).toString('utf8'));
    },
  };
  return { client, content: published, asked };
}
