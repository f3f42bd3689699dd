import { join } from 'node:path';
import { parseDpkgStatus, type DpkgStatus } from '@fixpoint/core/inventory/dpkg-status.ts';
import { AgentFailure } from '../failure.ts';
import { readTextIfThere } from '../state-dir.ts';

/** Reads dpkg's database below `root`. Throws AgentFailure with the parser's code: never a partial list. */
export function readDpkgStatus(root: string): DpkgStatus {
  const path = join(root, 'var/lib/dpkg/status');
  const text = readTextIfThere(path);
  if (text === null) {
    throw new AgentFailure(
      'dpkg_status_missing',
      `there is no ${path}`,
      'This agent needs a host that dpkg manages.',
    );
  }
  const parsed = parseDpkgStatus(text);
  if (parsed.ok) return parsed.status;
  throw new AgentFailure(parsed.code, `${path}: ${parsed.message}`, parsed.what_to_do);
}
