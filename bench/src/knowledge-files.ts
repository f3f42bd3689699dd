/** Writes the snapshots in the published layout into a folder: a process of its own, so that its memory is not measured. */
import { createWriteStream } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { debianOsvZip, ubuntuOsvZip } from '@fixpoint/server/feed/extract/osv-zips.ts';

const [, , folder] = process.argv;
if (folder === undefined) throw new Error('name a folder');
for (const [name, file] of [
  ['debian-osv.zip', await debianOsvZip()],
  ['ubuntu-osv.zip', await ubuntuOsvZip()],
] as const) {
  await pipeline(Readable.from(file.bytes), createWriteStream(join(folder, name)));
}
