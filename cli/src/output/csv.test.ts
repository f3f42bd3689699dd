import { expect, test } from 'vitest';
import { csvLine } from './csv.ts';

test('quotes what has to be quoted, and leaves what is not known empty', () => {
  expect(csvLine(['web-1', null, -1.5, true, ['a', 'b'], 'say "x", y', 'two\nlines'])).toBe(
    'web-1,,-1.5,true,a b,"say ""x"", y","two\nlines"\r\n',
  );
});

test.each(['=1+1', '+1', '-1', '@x', '\tx'])('%s is no formula', (text) => {
  expect(csvLine([text])).toBe(`'${text}\r\n`);
});
