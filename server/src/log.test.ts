import { Writable } from 'node:stream';
import { expect, it } from 'vitest';
import { makeLogger } from './log.ts';

it('keeps secrets out of the log, however deep they are', () => {
  let text = '';
  const log = makeLogger(
    'info',
    new Writable({
      write(chunk, _encoding, done) {
        text += String(chunk);
        done();
      },
    }),
  );
  log.info(
    {
      password: 'S1',
      headers: { authorization: 'S2', cookie: 'S3', 'proxy-authorization': 'S4', accept: 'shown' },
    },
    'one',
  );
  log.info({ request: { body: { secret: 'S5', session: 'S6', token: 'S7' } }, private_key: 'S8' }, 'two');
  expect(text).toContain('shown');
  expect(text).not.toMatch(/S\d/);
});
