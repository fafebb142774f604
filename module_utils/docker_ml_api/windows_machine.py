"""Decides what has to be done on a Windows machine for a Docker engine that runs Linux images.

Pure: `plan(facts, wanted)` takes what was read of the machine and what is wanted, and says what
stands in the way, or what has to be done. The interface:

facts:
    distribution_version: "10.0.19045.0"   setup
    product_type: "workstation"            setup (os_product_type)
    architecture: "x86_64"                 setup (architecture2)
    memory_mb: 16384                       setup (memtotal_mb)
    reboot_pending: False                  setup
    edition: "Core"                        win_reg_stat, EditionID
    wsl_version: "2.1.5.0"                 win_reg_stat, empty if there is none
    desktop_version: "4.50.0"              win_reg_stat, empty if there is none
    free_mb: 81920                         win_disk_facts, None if not known
    administrator, hypervisor_present, virtualization_enabled, address_translation: bool
                                           win_powershell windows_machine.ps1
wanted:
    backend: "wsl-2" | "hyper-v"; require_pro, accept_license: bool; installer, checksum: str;
    min_memory_mb, min_free_mb: int

plan:
    problems: [sentence, …]; name: "Windows 11 Home (build 22631)"; reboot_pending: bool;
    features: [name, …]; update_wsl, install, download: bool;
    source: "chocolatey" | "installer"; steps: [what would be done, …]
"""
