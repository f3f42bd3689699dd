import { pino, type DestinationStream, type Logger } from 'pino';

/** Names of fields that never reach the log, wherever an object that is logged has them. */
const secretFields = [
  'password',
  'secret',
  'session',
  'token',
  'authorization',
  'cookie',
  'private_key',
  '["proxy-authorization"]',
  '["set-cookie"]',
];

/** The server's logger: JSON lines on standard error, so that standard output stays the program's own. */
export function makeLogger(level: string, destination?: DestinationStream): Logger {
  const nested = (prefix: string) =>
    secretFields.map((field) => (field.startsWith('[') ? `${prefix}${field}` : `${prefix}.${field}`));
  return pino(
    { level, redact: { paths: [...secretFields, ...nested('*'), ...nested('*.*')], censor: '[redacted]' } },
    destination ?? pino.destination({ fd: 2, sync: false }),
  );
}
