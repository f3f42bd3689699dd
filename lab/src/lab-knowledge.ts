/** What the world would publish about the lab's own packages, in the Debian security tracker's published JSON. */
import { labPackages } from './lab-packages.ts';

/** The vulnerability that each lab package has in its vulnerable version; ids of a year that assigns none. */
export function vulnerabilityOf(packageName: string): string {
  const at = labPackages.findIndex((one) => one.name === packageName);
  if (at < 0) throw new Error(`${packageName} is not a lab package`);
  return `CVE-1999-${9001 + at}`;
}

/** The tracker's JSON for all lab packages: fixed in bookworm by their fixed version. */
export function labTrackerJson(): string {
  const packages = Object.fromEntries(
    labPackages.map((one) => [
      one.name,
      {
        [vulnerabilityOf(one.name)]: {
          description: `The file that ${one.name} ships is vulnerable. ${one.story}`,
          scope: 'remote',
          releases: {
            bookworm: {
              status: 'resolved',
              repositories: { bookworm: one.vulnerableVersion },
              fixed_version: one.fixedVersion,
              urgency: 'high',
            },
          },
        },
      },
    ]),
  );
  return JSON.stringify(packages);
}
