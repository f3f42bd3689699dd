import { expect, test } from 'vitest';
import { askedFor, candidates, readLine } from './completion.ts';

const offered = (line: string, from: number, ...texts: string[]): string[] => {
  const end = readLine(line);
  const asked = askedFor(end.words);
  if (asked === null) return [];
  const text = [...asked.before, end.current].join(' ');
  const items = texts.map((each) => ({ text: each, kind: 'value' as const, detail: '' }));
  return candidates(end, text, { from, to: text.length, items });
};

test.each([
  ["fixpoint search assets 'os = deb", 'asset', ['os = deb']],
  ['fixpoint search findings --sort -risk exploited and cv', 'finding', ['exploited', 'and', 'cv']],
  ['fixpoint asset list --limit 5 --query "tag = w', 'asset', ['tag = w']],
  ['fixpoint query explain vulnerability exp', 'vulnerability', ['exp']],
])('%s', (line, subject, words) => {
  const end = readLine(line);
  const asked = askedFor(end.words);
  expect(asked?.subject).toBe(subject);
  expect([...(asked?.before ?? []), end.current]).toEqual(words);
});

test.each(['fixpoint search ass', 'fixpoint search assets --columns host', 'fixpoint tag list x'])(
  '%s asks for no query',
  (line) => expect(askedFor(readLine(line).words)).toBeNull(),
);

test('in quotes the whole text is replaced, without them what is behind the last break', () => {
  expect(offered("fixpoint search assets 'os = deb", 5, 'debian')).toEqual(['os = debian']);
  expect(offered('fixpoint search assets os=deb', 3, 'debian')).toEqual(['debian']);
  expect(offered('fixpoint search assets not finding.cv', 4, 'finding.cvss')).toEqual(['finding.cvss']);
});

test('what the shell would read is escaped', () => {
  expect(offered('fixpoint search assets has f', 4, 'finding (')).toEqual(['finding\\ \\(']);
  expect(offered('fixpoint search assets "tag = ', 6, '"a b"')).toEqual(['tag = \\"a b\\"']);
});

test('what does not go on from what is typed is offered only alone', () => {
  expect(offered('fixpoint search assets hostnmae', 0, 'hostname')).toEqual(['hostname']);
  expect(offered('fixpoint search assets ho', 0, 'hostname', 'ghost')).toEqual(['hostname']);
});
