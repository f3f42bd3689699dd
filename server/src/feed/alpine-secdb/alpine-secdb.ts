import { severalFiles } from '../downloads.ts';
import { FeedFetchError, type Feed, type FeedClient } from '../feed.ts';
import { readSecdb } from '../secdb/secdb.ts';

/** Alpine's own security database, a file a repository of a release. See README.md beside this file. */
export const alpineSecdb: Feed = {
  id: 'alpine-secdb',
  title: 'Alpine security database',
  publisher: 'Alpine Linux',
  licence: 'CC-BY-SA-4.0',
  url: 'https://secdb.alpinelinux.org/',
  complete: true,
  staleAfterHours: 48,
  ecosystems: ['alpine'],
  downloads: severalFiles(repositories, true),
  /** `3.18/main` of `3.18/main/openssl`. */
  partOf: (recordId) => recordId.slice(0, recordId.lastIndexOf('/')),
  parse(file) {
    return readSecdb(file, { ecosystem: 'alpine', releaseOf, mayBeEmpty: true });
  },
};

function releaseOf({ version }: { readonly version: string | null }): string | null {
  if (version === 'edge') return 'edge';
  return /^v([0-9]+\.[0-9]+)$/u.exec(version ?? '')?.[1] ?? null;
}

/** The start page links to a folder for each release and for edge. */
async function repositories(client: FeedClient): Promise<readonly string[]> {
  const page = await client.fetch(client.url, { name: 'index.html' });
  const chunks: Uint8Array[] = [];
  for await (const chunk of page.open()) chunks.push(chunk);
  const links = Buffer.concat(chunks)
    .toString('utf8')
    .matchAll(/href="(?:\.?\/)?(v[0-9]+\.[0-9]+|edge)\/?"/gu);
  const folders = [...new Set([...links].map((link) => link[1] ?? ''))];
  if (folders.length < 2) {
    throw new FeedFetchError(
      'index_unusable',
      `${client.url} links to no releases of Alpine`,
      'It is tried again by itself. If it stays like this, import main.json and community.json by hand: fixpoint feed import.',
    );
  }
  // The community repository began with 3.3.
  return folders.flatMap((folder) =>
    folder === 'v3.2' ? ['v3.2/main.json'] : [`${folder}/main.json`, `${folder}/community.json`],
  );
}
