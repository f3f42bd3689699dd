import { expect, test } from 'vitest';
import { withoutSecrets } from './redact.ts';

test.each([
  ['a password in an address', 'fetching http://user:word@mirror/x', 'fetching http://[redacted]@mirror/x'],
  ['one that holds an @', 'https://user:p@ss-word@mirror/x', 'https://[redacted]@mirror/x'],
  ['after a word that names it', 'DB_PASSWORD=word next', 'DB_PASSWORD=[redacted] next'],
  ['with blanks, in quotes', 'password: "two words" next', 'password: [redacted] next'],
  ['a header of a scheme of its own', 'Authorization: token ghp_0123456789', 'Authorization: [redacted]'],
  [
    'a header of several words',
    '> authorization: Digest username="a", response="f00"',
    '> authorization: [redacted]',
  ],
  ['of a proxy', 'Proxy-Authorization: Basic dTpw', 'Proxy-Authorization: [redacted]'],
  ['an argument', 'mysql --password word --host x', 'mysql --password [redacted] --host x'],
  ['an argument with a longer name', 'tool --db-password word', 'tool --db-password [redacted]'],
  ['none', 'tool --token --host x', 'tool --token --host x'],
  ['a token of Fixpoint', 'got fxp_AAAAAAAAAAAAAAAAAAAAAAAA', 'got [redacted]'],
  ['what was given', 'said s3cr3t twice s3cr3t', 'said [redacted] twice [redacted]'],
  ['no secret', 'http://mirror/a@1 mail root@host', 'http://mirror/a@1 mail root@host'],
])('%s', (_, text, shown) => {
  expect(withoutSecrets(text, ['s3cr3t'])).toBe(shown);
});
