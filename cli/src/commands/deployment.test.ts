import { expect, test } from 'vitest';
import { reasonsText } from './deployment.ts';

const closed = {
  reason: {
    code: 'window_closed',
    message: 'No window of the job is open for this asset. Not before 2026-11-28T21:00:00.000Z.',
    what_to_do: 'Wait, or start the job without windows.',
  },
};

test('reasons are told once each, with how many tasks have them, a hostile text made harmless', () => {
  const failed = { reason: { code: 'failed', message: 'it said \u001B[2J', what_to_do: '' } };
  expect(reasonsText([closed, { reason: null }, failed, closed])).toBe(
    `2 × window_closed: ${closed.reason.message}\n  what to do: ${closed.reason.what_to_do}\n1 × failed: it said \\x1b[2J\n`,
  );
  expect(reasonsText([{ reason: null }])).toBe('');
});

test('many different reasons are bounded, and the rest is counted', () => {
  const many = Array.from({ length: 23 }, (_, i) => ({
    reason: { code: 'failed', message: String(i), what_to_do: '' },
  }));
  expect(reasonsText(many).trimEnd().split('\n').slice(19)).toEqual([
    '1 × failed: 19',
    '… and 3 more; fixpoint task show TASK tells each',
  ]);
});
