/** Debian's releases by code name (https://www.debian.org/releases/), as the tracker and changelogs name them. */
const releaseByCodename: Readonly<Record<string, string>> = {
  jessie: '8',
  stretch: '9',
  buster: '10',
  bullseye: '11',
  bookworm: '12',
  trixie: '13',
  forky: '14',
  duke: '15',
};

/** The release number (`12`), or null for a name that is not a numbered release (`sid`, `unstable`, a later name). */
export function releaseOfCodename(codename: string): string | null {
  return Object.hasOwn(releaseByCodename, codename) ? (releaseByCodename[codename] ?? null) : null;
}
