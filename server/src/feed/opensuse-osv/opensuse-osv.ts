import type { Feed } from '../feed.ts';
import { osvFeed } from '../osv/osv-feed.ts';
import { opensusePlace, suseNotices } from '../osv/suse.ts';

/** openSUSE updates; see README.md beside this file for what each field becomes. */
export const opensuseOsv: Feed = osvFeed(
  {
    id: 'opensuse-osv',
    title: 'openSUSE updates (OSV)',
    publisher: 'SUSE, exported by OSV.dev',
    licence: 'CC-BY 4.0 (SUSE security data)',
  },
  { ...suseNotices, ecosystem: 'opensuse', name: 'openSUSE', scorer: 'opensuse-osv', place: opensusePlace },
);
