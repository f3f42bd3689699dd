/**
 * The machine's own apt sources, read so that the lab fetches Debian from where this machine does and no mirror name
 * stands in the repository. Both formats of sources.list(5): deb822 stanzas and one-line entries.
 */
import { readFile, readdir } from 'node:fs/promises';
import { errorCode } from './error-code.ts';

/** One repository: one URI, one suite. */
export interface AptSource {
  readonly uri: string;
  readonly suite: string;
  readonly components: readonly string[];
  /** Path of a keyring file; `undefined` when the entry names none (or carries the key itself). */
  readonly signedBy: string | undefined;
}

/** Parses deb822 text (`*.sources`). Disabled stanzas and stanzas without `deb` in Types are left out. */
export function parseDeb822Sources(text: string): AptSource[] {
  const sources: AptSource[] = [];
  const withoutComments = text
    .split('\n')
    .filter((line) => !line.startsWith('#'))
    .join('\n');
  for (const stanza of withoutComments.split(/\n[ \t]*\n/)) {
    const fields = new Map<string, string>();
    let last = '';
    for (const line of stanza.split('\n')) {
      if (/^[ \t]/.test(line)) {
        fields.set(last, `${fields.get(last) ?? ''}\n${line.trim()}`);
        continue;
      }
      const colon = line.indexOf(':');
      if (colon < 1) continue;
      last = line.slice(0, colon).toLowerCase();
      fields.set(last, line.slice(colon + 1).trim());
    }
    const words = (field: string): string[] => (fields.get(field) ?? '').split(/\s+/).filter(Boolean);
    if (!words('types').includes('deb')) continue;
    if (['no', 'false', '0'].includes((fields.get('enabled') ?? 'yes').toLowerCase())) continue;
    const [signedBy] = words('signed-by');
    for (const uri of words('uris')) {
      for (const suite of words('suites')) {
        sources.push({
          uri,
          suite,
          components: words('components'),
          signedBy: signedBy?.startsWith('/') === true ? signedBy : undefined,
        });
      }
    }
  }
  return sources;
}

/** Parses one-line entries (`sources.list`, `*.list`). */
export function parseOneLineSources(text: string): AptSource[] {
  const sources: AptSource[] = [];
  for (const line of text.split('\n')) {
    const found = /^\s*deb\s+(?:\[([^\]]*)\]\s+)?(\S+)\s+(\S+)\s*([^#]*)/.exec(line);
    if (found === null) continue;
    const [, options = '', uri = '', suite = '', components = ''] = found;
    sources.push({
      uri,
      suite,
      components: components.split(/\s+/).filter(Boolean),
      signedBy: /(?:^|\s)signed-by=(\/\S+)/i.exec(options)?.[1],
    });
  }
  return sources;
}

async function readIfThere(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return '';
    throw error;
  }
}

/** Every source configured on this machine under `aptFolder` (normally `/etc/apt`); none is no error here. */
export async function readAptSources(aptFolder = '/etc/apt'): Promise<AptSource[]> {
  const sources: AptSource[] = [];
  sources.push(...parseOneLineSources(await readIfThere(`${aptFolder}/sources.list`)));
  let names: string[] = [];
  try {
    names = await readdir(`${aptFolder}/sources.list.d`);
  } catch (error) {
    if (errorCode(error) !== 'ENOENT') throw error;
  }
  for (const name of names.sort()) {
    const path = `${aptFolder}/sources.list.d/${name}`;
    if (name.endsWith('.sources')) sources.push(...parseDeb822Sources(await readIfThere(path)));
    if (name.endsWith('.list')) sources.push(...parseOneLineSources(await readIfThere(path)));
  }
  return sources;
}

/** Writes sources as deb822, one stanza each. */
export function formatDeb822Sources(sources: readonly AptSource[]): string {
  return sources
    .map((source) =>
      [
        'Types: deb',
        `URIs: ${source.uri}`,
        `Suites: ${source.suite}`,
        `Components: ${source.components.join(' ')}`,
        ...(source.signedBy === undefined ? [] : [`Signed-By: ${source.signedBy}`]),
        '',
      ].join('\n'),
    )
    .join('\n');
}
