"""Makes the project's modules importable as Ansible does."""

import sys
from pathlib import Path

import ansible.module_utils

ROOT = Path(__file__).resolve().parent.parent

# Modules import `ansible.module_utils.docker_ml_api`, as on a target.
ansible.module_utils.__path__.insert(0, str(ROOT / "module_utils"))
sys.path[:0] = [str(ROOT / "library"), str(ROOT)]
