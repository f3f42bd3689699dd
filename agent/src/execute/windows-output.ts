import { parseShape } from '@fixpoint/contract/parse.ts';
import { Type, type Static } from '@fixpoint/contract/schema.ts';
import type { TaskFailure } from '@fixpoint/core/task/states.ts';
import type { ExecutorStep, Judgement, OrderedChanges, Simulated } from './executor.ts';
import { stepTitles } from './step-titles.ts';

/** Pure reader of what the script of `windows-script.ts` answers, and of Microsoft's published codes; see recorded/README.md. */

const WindowsAnswer = Type.Object({
  step: Type.String(),
  updates: Type.Array(
    Type.Object({
      kb: Type.String(),
      /** OperationResultCode: 0 not started, 1 in progress, 2 succeeded, 3 succeeded with errors, 4 failed, 5 aborted. */
      result_code: Type.Integer(),
      hresult: Type.Integer(),
      found: Type.Boolean(),
      licence: Type.Optional(Type.Boolean()),
      bytes: Type.Optional(Type.Integer()),
    }),
  ),
  programs: Type.Array(Type.Object({ id: Type.String(), version: Type.String(), exit_code: Type.Integer() })),
  reboot_required: Type.Boolean(),
  installed: Type.Optional(Type.Record(Type.String(), Type.String())),
  error: Type.Optional(Type.Object({ hresult: Type.Integer(), message: Type.String() })),
});
export type WindowsAnswer = Static<typeof WindowsAnswer>;

/** The last line that begins with `FIXPOINT`; null when there is none that can be read. */
export function parseWindowsAnswer(output: string): WindowsAnswer | null {
  const line = output
    .split('\n')
    .findLast((one) => one.startsWith('FIXPOINT '))
    ?.slice('FIXPOINT '.length);
  if (line === undefined) return null;
  try {
    const parsed = parseShape(WindowsAnswer, JSON.parse(line));
    return parsed.ok ? parsed.value : null;
  } catch {
    return null;
  }
}

/** HRESULTs of the Windows Update Agent (wuerror.h) and of Windows, as unsigned numbers. */
const updateCodes: ReadonlyMap<number, TaskFailure> = new Map<number, TaskFailure>([
  [0x80240016, 'lock_held'], // WU_E_INSTALL_NOT_ALLOWED: another installation, or a reboot is pending
  [0x8024000b, 'timeout'], // WU_E_CALL_CANCELLED
  [0x80240017, 'version_not_available'], // WU_E_NOT_APPLICABLE
  [0x80240024, 'version_not_available'], // WU_E_NO_UPDATE
  [0x8024002e, 'repository_unreachable'], // WU_E_WU_DISABLED
  [0x80240044, 'host_policy'], // WU_E_PER_MACHINE_UPDATE_ACCESS_DENIED
  [0x80070005, 'host_policy'], // E_ACCESSDENIED
  [0x80070070, 'disk_full'], // ERROR_DISK_FULL
  [0x80246002, 'hash_mismatch'], // WU_E_DM_INCORRECTFILEHASH
  [0x80096010, 'signature_invalid'], // TRUST_E_BAD_DIGEST
  [0x800b0109, 'signature_invalid'], // CERT_E_UNTRUSTEDROOT
  [0x800b0100, 'signature_invalid'], // TRUST_E_NOSIGNATURE
  [0x80246007, 'download_failed'], // WU_E_DM_NOTDOWNLOADED
  [0x80246008, 'download_failed'], // WU_E_DM_FAILTOCONNECTTOBITS
  [0x80242016, 'reboot_failed'], // WU_E_UH_POSTREBOOTUNEXPECTEDSTATE
  [0x80073712, 'package_manager_broken'], // ERROR_SXS_COMPONENT_STORE_CORRUPT
  [0x800f081f, 'package_manager_broken'], // CBS_E_SOURCE_MISSING
  [0x800f0823, 'dependency_conflict'], // CBS_E_NEW_SERVICING_STACK_REQUIRED
  [0x800f0922, 'disk_full'], // CBS_E_INSTALLERS_FAILED, as a rule a system partition without room
]);

/** winget's return codes, as unsigned numbers. */
const programCodes: ReadonlyMap<number, TaskFailure> = new Map<number, TaskFailure>([
  [0x8a150008, 'download_failed'],
  [0x8a15000f, 'repository_unreachable'],
  [0x8a150010, 'dependency_conflict'],
  [0x8a150011, 'hash_mismatch'],
  [0x8a150014, 'version_not_available'],
  [0x8a150017, 'version_not_available'],
  [0x8a15001b, 'host_policy'],
  [0x8a15002b, 'version_not_available'],
  [0x8a15002d, 'signature_invalid'],
  [0x8a15002e, 'hash_mismatch'],
  [0x8a150035, 'version_not_available'],
  [0x8a15003a, 'host_policy'],
  [0x8a15003f, 'hash_mismatch'],
  [0x8a150041, 'plan_differs'],
  [0x8a150045, 'repository_unreachable'],
  [0x8a15004b, 'repository_unreachable'],
  [0x8a15004f, 'plan_differs'],
  [0x8a15005e, 'signature_invalid'],
  [0x8a150068, 'plan_differs'],
  [0x8a150101, 'lock_held'],
  [0x8a150102, 'lock_held'],
  [0x8a150103, 'lock_held'],
  [0x8a150104, 'dependency_conflict'],
  [0x8a150105, 'disk_full'],
  [0x8a150107, 'repository_unreachable'],
  [0x8a15010f, 'host_policy'],
  [0x8a150110, 'dependency_conflict'],
]);
/** It is installed, and wants a reboot. */
const rebootWanted: ReadonlySet<number> = new Set([0x8a150109, 0x8a15010b]);

/** What an HRESULT of Windows Update is; those of one kind stand together: 0x80244xxx is the talk with a server, 0x80246xxx the downloads. */
export function failureOfUpdate(hresult: number): TaskFailure {
  const code = hresult >>> 0;
  const known = updateCodes.get(code);
  if (known !== undefined) return known;
  if ((code & 0xfffff000) >>> 0 === 0x80244000) return 'repository_unreachable';
  // WinINet and WinHTTP: ERROR_INTERNET_*, ERROR_WINHTTP_*.
  if (code >= 0x80072ee0 && code <= 0x80072fff) return 'repository_unreachable';
  if ((code & 0xfffff000) >>> 0 === 0x80246000) return 'download_failed';
  return 'package_manager_broken';
}

export function failureOfProgram(exitCode: number): TaskFailure {
  return programCodes.get(exitCode >>> 0) ?? 'package_manager_broken';
}

const hex = (code: number): string => `0x${(code >>> 0).toString(16).toUpperCase().padStart(8, '0')}`;

/** Reads the end of the script. Its exit code says nothing: it answers also when it fails. */
export function judgeWindows(
  step: ExecutorStep,
  exitCode: number,
  output: string,
  changes: OrderedChanges,
): Judgement {
  const fail = (failure: TaskFailure, message: string): Judgement => ({
    ok: false,
    failure,
    message: `${stepTitles[step]} failed: ${message}`.slice(0, 1_500),
  });
  const answer = parseWindowsAnswer(output);
  if (answer === null || answer.step !== step) {
    return fail('package_manager_broken', `the script gave no answer and ended with ${String(exitCode)}.`);
  }
  if (answer.error !== undefined) {
    return fail(
      failureOfUpdate(answer.error.hresult),
      `${answer.error.message} (${hex(answer.error.hresult)})`,
    );
  }
  for (const { kb, found, licence, result_code: code, hresult } of answer.updates) {
    if (!found) {
      // Once it is installed, it is offered no more: what is there decides.
      if (step === 'install' || step === 'complete') continue;
      return fail('version_not_available', `KB${kb} is not offered to this host.`);
    }
    if (licence === true) return fail('plan_differs', `the licence of KB${kb} is for a person to agree to.`);
    if (code !== 2)
      return fail(failureOfUpdate(hresult), `KB${kb}: ${hex(hresult)}, result ${String(code)}.`);
  }
  for (const { id, exit_code: code } of answer.programs) {
    if (code !== 0 && !rebootWanted.has(code >>> 0))
      return fail(failureOfProgram(code), `${id}: ${hex(code)}`);
  }
  const asked = changes.packages.length + changes.added.length;
  const told = answer.updates.length + answer.programs.length;
  if (step !== 'refresh' && step !== 'configure' && told < asked) {
    return fail('package_manager_broken', `of ${String(asked)} packages it answered for ${String(told)}.`);
  }
  return { ok: true };
}

export function simulatedOfWindows(output: string): Simulated {
  const answer = parseWindowsAnswer(output);
  const updates = answer?.updates.filter((one) => one.found) ?? [];
  return {
    changed: [
      ...updates.map(({ kb }) => ({ name: `KB${kb}`, arch: null, from: null, to: `KB${kb}` })),
      ...(answer?.programs ?? []).map(({ id, version }) => ({
        name: id,
        arch: null,
        from: null,
        to: version,
      })),
    ],
    removed: [],
    downloadBytes: updates.reduce((sum, one) => sum + (one.bytes ?? 0), 0),
    diskBytes: null,
  };
}
