import type { Feed } from '../feed.ts';
import { osvFeed } from '../osv/osv-feed.ts';
import { suseNotices, susePlace } from '../osv/suse.ts';

/** SUSE Linux Enterprise updates; see README.md beside this file for what each field becomes. */
export const suseOsv: Feed = osvFeed(
  {
    id: 'suse-osv',
    title: 'SUSE Linux Enterprise updates (OSV)',
    publisher: 'SUSE, exported by OSV.dev',
    licence: 'CC-BY 4.0 (SUSE security data)',
  },
  { ...suseNotices, ecosystem: 'suse', name: 'SUSE', scorer: 'suse-osv', place: susePlace },
);
