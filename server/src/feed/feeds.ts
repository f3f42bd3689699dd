import type { FeedId } from '@fixpoint/core/knowledge/facts.ts';
import { almalinuxOsv } from './almalinux-osv/almalinux-osv.ts';
import { alpineOsv } from './alpine-osv/alpine-osv.ts';
import { alpineSecdb } from './alpine-secdb/alpine-secdb.ts';
import { amazonAlas } from './amazon-alas/amazon-alas.ts';
import { cisaKev } from './cisa-kev/cisa-kev.ts';
import { cveList } from './cve-list/cve-list.ts';
import { cvssTable } from './cvss-table/cvss-table.ts';
import { debianChangelog } from './debian-changelog/debian-changelog.ts';
import { debianOsv } from './debian-osv/debian-osv.ts';
import { debianTracker } from './debian-tracker/debian-tracker.ts';
import { epss } from './epss/epss.ts';
import { exploitDb } from './exploit-db/exploit-db.ts';
import type { Feed } from './feed.ts';
import { metasploit } from './metasploit/metasploit.ts';
import { microsoftCsaf } from './microsoft-csaf/microsoft-csaf.ts';
import { microsoftCvrf } from './microsoft-cvrf/microsoft-cvrf.ts';
import { nvd } from './nvd/nvd.ts';
import { opensuseOsv } from './opensuse-osv/opensuse-osv.ts';
import { redhatCsaf } from './redhat-csaf/redhat-csaf.ts';
import { redhatOsv } from './redhat-osv/redhat-osv.ts';
import { rockyOsv } from './rocky-osv/rocky-osv.ts';
import { suseOsv } from './suse-osv/suse-osv.ts';
import { ubuntuNotices } from './ubuntu-notices/ubuntu-notices.ts';
import { ubuntuOsv } from './ubuntu-osv/ubuntu-osv.ts';
import { vulnrichment } from './vulnrichment/vulnrichment.ts';
import { wolfiOsv } from './wolfi-osv/wolfi-osv.ts';
import { wolfiSecdb } from './wolfi-secdb/wolfi-secdb.ts';

/** Every feed there is, in the order to show and to import them. */
export const feeds: readonly Feed[] = [
  debianTracker,
  debianOsv,
  debianChangelog,
  ubuntuOsv,
  ubuntuNotices,
  almalinuxOsv,
  rockyOsv,
  redhatCsaf,
  redhatOsv,
  suseOsv,
  opensuseOsv,
  amazonAlas,
  alpineSecdb,
  alpineOsv,
  wolfiSecdb,
  wolfiOsv,
  microsoftCvrf,
  microsoftCsaf,
  cisaKev,
  epss,
  cveList,
  vulnrichment,
  nvd,
  cvssTable,
  exploitDb,
  metasploit,
];

/** The feed of an id. The list above holds one for each FeedId; its test sees to that. */
export function feedOf(id: FeedId): Feed {
  const feed = feeds.find((candidate) => candidate.id === id);
  if (feed === undefined) throw new Error(`no feed ${id} in feeds.ts`);
  return feed;
}
