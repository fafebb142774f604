# What no module reads of a machine: see the keys at the end. Changes nothing.
[CmdletBinding(SupportsShouldProcess)]
param(
    # Who is to use the engine.
    [string[]]$Users = @()
)

$Ansible.Changed = $false
$ErrorActionPreference = 'Stop'

$user = [Security.Principal.WindowsPrincipal][Security.Principal.WindowsIdentity]::GetCurrent()
$administrator = $user.IsInRole([Security.Principal.WindowsBuiltInRole]::Administrator)

# Only an administrator may ask these, and only an administrator needs the answers.
$computer = $null
$processor = $null
if ($administrator) {
    $computer = Get-CimInstance -ClassName Win32_ComputerSystem -Property HypervisorPresent
    $processor = Get-CimInstance -ClassName Win32_Processor -Property @(
        'SecondLevelAddressTranslationExtensions', 'VirtualizationFirmwareEnabled'
    ) | Select-Object -First 1
}

# A domain's users too: whatever has a security identifier.
$unknown = @(foreach ($name in $Users) {
        try {
            $account = [Security.Principal.NTAccount]($name -replace '^\.\\', '')
            $null = $account.Translate([Security.Principal.SecurityIdentifier])
        }
        catch [Security.Principal.IdentityNotMappedException] {
            $name
        }
    })

$Ansible.Result = @{
    # Whether the connection's user has an administrator's rights, elevated.
    administrator = $administrator
    # Whether a hypervisor runs already (the two others are then false, whatever the machine can).
    hypervisor_present = [bool]$computer.HypervisorPresent
    # Whether the firmware lets a hypervisor run.
    virtualization_enabled = [bool]$processor.VirtualizationFirmwareEnabled
    # Whether the processor has second level address translation.
    address_translation = [bool]$processor.SecondLevelAddressTranslationExtensions
    # Those of Users who are no users here.
    unknown_users = $unknown
    # As C:
    system_drive = $env:SystemDrive
}
