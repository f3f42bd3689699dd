import { expect, test } from 'vitest';
import { formatDeb822Sources, parseDeb822Sources, parseOneLineSources } from './apt-sources.ts';

const deb822 = `Types: deb
# a comment inside a stanza
URIs: http://mirror.example/debian
Suites: bookworm bookworm-updates
Components: main contrib
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb deb-src
Enabled: no
URIs: http://mirror.example/off
Suites: bookworm
Components: main

Types: deb-src
URIs: http://mirror.example/source-only
Suites: bookworm
Components: main

types: deb
uris: http://mirror.example/security
suites: bookworm-security
components: main
signed-by:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 abc
`;

test('deb822 sources: one entry a URI and suite, without disabled and source-only stanzas', () => {
  expect(parseDeb822Sources(deb822).map((source) => `${source.uri} ${source.suite}`)).toEqual([
    'http://mirror.example/debian bookworm',
    'http://mirror.example/debian bookworm-updates',
    'http://mirror.example/security bookworm-security',
  ]);
});

test('a key written into the stanza is not taken for a path', () => {
  const [first, , third] = parseDeb822Sources(deb822);
  expect(first?.signedBy).toBe('/usr/share/keyrings/debian-archive-keyring.gpg');
  expect(third?.signedBy).toBeUndefined();
});

test('what is written reads back the same', () => {
  const sources = parseDeb822Sources(deb822);
  expect(parseDeb822Sources(formatDeb822Sources(sources))).toEqual(sources);
});

test('one-line sources', () => {
  const text = `# deb http://mirror.example/commented bookworm main
deb [arch=amd64 signed-by=/etc/apt/k.gpg] http://mirror.example/debian bookworm main contrib # note
deb-src http://mirror.example/debian bookworm main
deb http://mirror.example/flat ./
`;
  expect(parseOneLineSources(text)).toEqual([
    {
      uri: 'http://mirror.example/debian',
      suite: 'bookworm',
      components: ['main', 'contrib'],
      signedBy: '/etc/apt/k.gpg',
    },
    { uri: 'http://mirror.example/flat', suite: './', components: [], signedBy: undefined },
  ]);
});
