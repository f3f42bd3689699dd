/**
 * The lab's own packages: each in a vulnerable version and in the version said to fix it, and each going wrong in one
 * way that happens in the field. All are architecture `all` and their source has the same name.
 */

export interface LabPackage {
  readonly name: string;
  readonly vulnerableVersion: string;
  readonly fixedVersion: string;
  /** The file that is vulnerable: its text ends in `(vulnerable)` or `(fixed)`. */
  readonly file: string;
  /** What a patch job over it must come to see. */
  readonly story: string;
  readonly versions: readonly [LabPackageVersion, LabPackageVersion];
}

export interface LabPackageVersion {
  readonly version: string;
  /** Path inside → text and mode. */
  readonly files: ReadonlyMap<string, { text: string; mode: number }>;
  /** Maintainer scripts without their `#!` line. */
  readonly scripts: ReadonlyMap<'preinst' | 'postinst' | 'prerm' | 'postrm', string>;
  /** Further fields of its control file, such as Depends. */
  readonly fields?: Readonly<Record<string, string>>;
}

export const vulnerableVersion = '1.0-1';
export const fixedVersion = '1.0-2';

/**
 * Makes `fixpoint-lab-good` slow, so that a kill can be placed inside a script: lines of `preinst=SECONDS` and
 * `postinst=SECONDS`.
 */
export const slowFile = '/etc/fixpoint-lab/slow';
/** When it is there, `fixpoint-lab-good` asks for a reboot, as Debian's kernels do. */
export const rebootFile = '/etc/fixpoint-lab/reboot';
/** `fixpoint-lab-good` appends one line here each time a script of it has run: `configured 1.0-2`, `unpacked 1.0-2`. */
export const goodLog = '/var/log/fixpoint-lab-good.log';

interface Scripts {
  preinst?: string;
  postinst?: string;
  prerm?: string;
  postrm?: string;
}

interface Part {
  files?: Record<string, { text: string; mode?: number }>;
  scripts?: Scripts;
  fields?: Record<string, string>;
}

function text(name: string, version: string): string {
  return `${name} ${version} (${version === vulnerableVersion ? 'vulnerable' : 'fixed'})\n`;
}

function define(name: string, file: string, story: string, part: (version: string) => Part): LabPackage {
  const build = (version: string): LabPackageVersion => {
    const { files = {}, scripts = {}, fields = {} } = part(version);
    const all = new Map([[file, { text: text(name, version), mode: 0o644 }]]);
    for (const [path, content] of Object.entries(files)) {
      all.set(path, { text: content.text, mode: content.mode ?? 0o644 });
    }
    return {
      version,
      files: all,
      scripts: new Map(
        (['preinst', 'postinst', 'prerm', 'postrm'] as const).flatMap((script) => {
          const body = scripts[script];
          return body === undefined ? [] : [[script, body] as const];
        }),
      ),
      fields,
    };
  };
  return {
    name,
    vulnerableVersion,
    fixedVersion,
    file,
    story,
    versions: [build(vulnerableVersion), build(fixedVersion)],
  };
}

const folder = '/usr/lib/fixpoint-lab';

function slowly(script: string): string {
  return `seconds=$(sed -n 's/^${script}=//p' ${slowFile} 2>/dev/null || true)
[ -z "$seconds" ] || sleep "$seconds"`;
}

const good = define(
  'fixpoint-lab-good',
  `${folder}/libgood.so`,
  'installs, slowly if asked to, and writes down that it did: nothing may run twice',
  (version) => {
    return {
      scripts: {
        preinst: `${slowly('preinst')}\necho "unpacked ${version}" >> ${goodLog}`,
        postinst: `[ "$1" = configure ] || exit 0
${slowly('postinst')}
if [ -e ${rebootFile} ]; then
  echo '*** System restart required ***' > /run/reboot-required
  echo fixpoint-lab-good >> /run/reboot-required.pkgs
fi
echo "configured ${version}" >> ${goodLog}`,
      },
    };
  },
);

const unfixed = define(
  'fixpoint-lab-unfixed',
  `${folder}/libunfixed.so`,
  'says it has installed the fix (exit 0), and puts the vulnerable file back: not_remediated',
  (version) =>
    version === vulnerableVersion
      ? {}
      : {
          scripts: {
            postinst: `[ "$1" = configure ] || exit 0
cat > ${folder}/libunfixed.so <<'END'
${text('fixpoint-lab-unfixed', vulnerableVersion)}END`,
          },
        },
);

const fails = define(
  'fixpoint-lab-fails',
  `${folder}/libfails.so`,
  'the installation fails in its last step and leaves the package half configured',
  (version) =>
    version === vulnerableVersion
      ? {}
      : {
          scripts: {
            postinst:
              '[ "$1" = configure ] || exit 0\necho "fixpoint-lab-fails cannot be configured" >&2\nexit 1',
          },
        },
);

const deadServiceUnit = 'fixpoint-lab-dead-service.service';
const deadService = define(
  'fixpoint-lab-dead-service',
  `${folder}/libdeadservice.so`,
  'installs the fix, exits 0, and its service does not come up again: a failed unit',
  (version) => ({
    files: {
      [`${folder}/dead-service`]: {
        text:
          version === vulnerableVersion
            ? '#!/bin/sh\nexec sleep infinity\n'
            : '#!/bin/sh\necho "cannot read my configuration" >&2\nexit 1\n',
        mode: 0o755,
      },
      [`/lib/systemd/system/${deadServiceUnit}`]: {
        text: `[Unit]
Description=A service of the Fixpoint lab that does not survive its update

[Service]
ExecStart=${folder}/dead-service

[Install]
WantedBy=multi-user.target
`,
      },
    },
    scripts: {
      postinst: `[ "$1" = configure ] || exit 0
systemctl --quiet enable ${deadServiceUnit} || true
if [ -d /run/systemd/system ]; then
  systemctl daemon-reload || true
  systemctl restart ${deadServiceUnit} || true
fi`,
      prerm: `[ "$1" = remove ] || exit 0
if [ -d /run/systemd/system ]; then systemctl --quiet disable --now ${deadServiceUnit} || true; fi`,
    },
  }),
);

const hangs = define(
  'fixpoint-lab-hangs',
  `${folder}/libhangs.so`,
  'the installation never ends: only a time limit ends it',
  (version) =>
    version === vulnerableVersion
      ? {}
      : { scripts: { postinst: '[ "$1" = configure ] || exit 0\nexec sleep infinity' } },
);

const diverts = define(
  'fixpoint-lab-diverts',
  `${folder}/libdiverts.so`,
  'the fixed file goes elsewhere (dpkg-divert), so the vulnerable one stays where it is used: not_remediated',
  (version) =>
    version === vulnerableVersion
      ? {}
      : {
          scripts: {
            // --local: a package's own diversion would not divert its own file. --no-rename: the old one stays.
            preinst: `case "$1" in install|upgrade) ;; *) exit 0 ;; esac
dpkg-divert --local --no-rename --divert ${folder}/libdiverts.so.distrib --add ${folder}/libdiverts.so`,
            postrm: `[ "$1" = remove ] || exit 0
dpkg-divert --local --no-rename --remove ${folder}/libdiverts.so
rm -f ${folder}/libdiverts.so`,
          },
        },
);

const reboots = define(
  'fixpoint-lab-reboots',
  `${folder}/libreboots.so`,
  'asks for a reboot when it is installed, as a kernel does, and is written down as Debian does it',
  (version) => ({
    scripts: {
      postinst: `[ "$1" = configure ] || exit 0
echo '*** System restart required ***' > /run/reboot-required
echo fixpoint-lab-reboots >> /run/reboot-required.pkgs
echo "configured ${version}" >> /var/log/fixpoint-lab-reboots.log`,
    },
  }),
);

const whenFixed = (fields: Record<string, string>) => (version: string) =>
  version === fixedVersion ? { fields } : {};

const needed = define(
  'fixpoint-lab-needed',
  `${folder}/libneeded.so`,
  'what another one comes to need',
  () => ({}),
);

const needs = define(
  'fixpoint-lab-needs',
  `${folder}/libneeds.so`,
  'its fixed version needs a package that was not there before: the plan must say so',
  whenFixed({ Depends: 'fixpoint-lab-needed' }),
);

const unmet = define(
  'fixpoint-lab-unmet',
  `${folder}/libunmet.so`,
  'its fixed version needs what no repository has: the plan must leave it out',
  whenFixed({ Depends: 'fixpoint-lab-nowhere' }),
);

const ousts = define(
  'fixpoint-lab-ousts',
  `${folder}/libousts.so`,
  'its fixed version takes another package away: only a job that allows it may',
  whenFixed({ Conflicts: 'fixpoint-lab-needed' }),
);

/** `fixpoint-lab-configured` appends one line here each time a script of it has run, as {@link goodLog}. */
export const configuredLog = '/var/log/fixpoint-lab-configured.log';
export const configuredFolder = '/etc/fixpoint-lab-configured';
/** While it is there, the package does not start its service, as not every package does. */
export const leaveServicesFile = '/etc/fixpoint-lab/leave-services';
export const configuredUnit = 'fixpoint-lab-configured.service';
const configured = define(
  'fixpoint-lab-configured',
  `${folder}/libconfigured.so`,
  'the fixed version changes its configuration files, brings a new one, and its service does not run with it: to be rolled back',
  (version) => ({
    files: {
      [`${configuredFolder}/main.conf`]: {
        text: `version=${version}\nmode=${version === vulnerableVersion ? 'plain' : 'strict'}\n`,
      },
      [`${configuredFolder}/other.conf`]: { text: `other of ${version}\n` },
      ...(version === vulnerableVersion
        ? {}
        : { [`${configuredFolder}/new.conf`]: { text: 'what the fixed version brings\n' } }),
      [`${folder}/configured`]: {
        text:
          version === vulnerableVersion
            ? `#!/bin/sh\n[ ! -e ${configuredFolder}/new.conf ] || exit 1\nexec sleep infinity\n`
            : '#!/bin/sh\necho "this version does not run" >&2\nexit 1\n',
        mode: 0o755,
      },
      [`/lib/systemd/system/${configuredUnit}`]: {
        text: `[Unit]
Description=A service of the Fixpoint lab that reads its configuration

[Service]
ExecStart=${folder}/configured

[Install]
WantedBy=multi-user.target
`,
      },
    },
    scripts: {
      preinst: `${slowly('preinst')}\necho "unpacked ${version}" >> ${configuredLog}`,
      postinst: `[ "$1" = configure ] || exit 0
${slowly('postinst')}
echo "configured ${version}" >> ${configuredLog}
systemctl --quiet enable ${configuredUnit} || true
if [ -d /run/systemd/system ]; then
  systemctl daemon-reload || true
  [ -e ${leaveServicesFile} ] || systemctl restart ${configuredUnit} || true
fi`,
      prerm: `[ "$1" = remove ] || exit 0
if [ -d /run/systemd/system ]; then systemctl --quiet disable --now ${configuredUnit} || true; fi`,
    },
  }),
);

export const labPackages: readonly LabPackage[] = [
  good,
  unfixed,
  fails,
  deadService,
  hangs,
  diverts,
  reboots,
  needed,
  needs,
  unmet,
  ousts,
  configured,
];
