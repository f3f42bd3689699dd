/**
 * The one PowerShell program that the executor of Windows runs. It reads what is asked from the environment as JSON and
 * answers with one line of JSON. IUpdateSession, IUpdateSearcher, IUpdateDownloader and IUpdateInstaller of the Windows Update
 * Agent API (wuapi.h); no licence is agreed to, and nothing is rebooted. PowerShell 5.1.
 */
export const windowsScript = String.raw`
$ErrorActionPreference = 'Stop'
$request = $env:FIXPOINT_REQUEST | ConvertFrom-Json
$answer = @{ step = $request.step; updates = @(); programs = @(); reboot_required = $false }
function Write-Answer { 'FIXPOINT ' + ($answer | ConvertTo-Json -Depth 5 -Compress) }
try {
  if ($request.step -eq 'state') {
    $installed = @{}
    Get-HotFix | ForEach-Object { $installed[$_.HotFixID + ':x64'] = $_.HotFixID }
    $answer.installed = $installed
  } elseif (@('simulate', 'download', 'install', 'complete') -contains $request.step) {
    if (@($request.updates).Count -gt 0) {
      $session = New-Object -ComObject Microsoft.Update.Session
      $session.ClientApplicationID = 'fixpoint-agent'
      $found = $session.CreateUpdateSearcher().Search('IsInstalled=0 and IsHidden=0')
      $chosen = New-Object -ComObject Microsoft.Update.UpdateColl
      foreach ($number in $request.updates) {
        $update = $null
        foreach ($one in $found.Updates) { if (@($one.KBArticleIDs) -contains $number) { $update = $one } }
        if ($null -eq $update) {
          $answer.updates += @{ kb = $number; result_code = 0; hresult = 0; found = $false }
        } elseif (-not $update.EulaAccepted) {
          $answer.updates += @{ kb = $number; result_code = 0; hresult = 0; found = $true; licence = $true }
        } else { [void]$chosen.Add($update) }
      }
      if ($request.step -eq 'simulate') {
        foreach ($one in $chosen) {
          $answer.updates += @{ kb = @($one.KBArticleIDs)[0]; result_code = 2; hresult = 0; found = $true; bytes = [long]$one.MaxDownloadSize }
        }
      } elseif ($chosen.Count -gt 0) {
        if ($request.step -eq 'download') {
          $worker = $session.CreateUpdateDownloader()
          $worker.Updates = $chosen
          $result = $worker.Download()
        } else {
          $worker = $session.CreateUpdateInstaller()
          if ($worker.IsBusy) { throw [System.Runtime.InteropServices.COMException]::new('busy', [int]0x80240016) }
          $worker.AllowSourcePrompts = $false
          $worker.Updates = $chosen
          $result = $worker.Install()
          $answer.reboot_required = [bool]$result.RebootRequired
        }
        for ($i = 0; $i -lt $chosen.Count; $i++) {
          $one = $result.GetUpdateResult($i)
          $answer.updates += @{ kb = @($chosen.Item($i).KBArticleIDs)[0]; result_code = [int]$one.ResultCode; hresult = [int]$one.HResult; found = $true }
        }
      }
    }
    foreach ($program in @($request.programs)) {
      $words = @('--id', $program.id, '--exact', '--version', $program.version, '--source', 'winget', '--disable-interactivity')
      $code = 0
      if ($request.step -eq 'simulate') { & winget show @words | Out-Null; $code = $LASTEXITCODE }
      if ($request.step -eq 'install' -or $request.step -eq 'complete') { & winget upgrade --silent @words | Out-Null; $code = $LASTEXITCODE }
      $answer.programs += @{ id = $program.id; version = $program.version; exit_code = $code }
    }
  }
} catch {
  $answer.error = @{ hresult = [int]$_.Exception.HResult; message = [string]$_.Exception.Message }
}
Write-Answer
`;
