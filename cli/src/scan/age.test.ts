import { expect, test } from 'vitest';
import { ageSentence } from './age.ts';

const now = new Date('2026-11-22T12:00:00Z');
const feed = (id: string, as_of: string | null) => ({ id, as_of, records: 1 });

test('what is older than a week is said, each with its age', () => {
  const feeds = [feed('debian-osv', '2026-10-12'), feed('epss', '2026-11-21'), feed('cvss-table', null)];
  expect(ageSentence({ feeds }, now)).toBe(
    'the knowledge is old (limit 7 days): debian-osv 41 days; what was published since then is not found',
  );
});
test('what is not is not', () => {
  expect(ageSentence({ feeds: [feed('epss', '2026-11-16'), feed('x', 'nonsense')] }, now)).toBeNull();
  expect(ageSentence({ feeds: [] }, now)).toBeNull();
});
