"""Reading service account keys without the 40 ms validation, as the rehearsal created them."""

from __future__ import annotations

import functools
import types

from cryptography.hazmat.primitives import serialization
from google.auth.crypt import _cryptography_rsa


def trust() -> None:
    """Let google-auth read keys without validation in this process."""
    read = functools.partial(
        serialization.load_pem_private_key, unsafe_skip_rsa_key_validation=True
    )
    _cryptography_rsa.serialization = types.SimpleNamespace(
        **vars(serialization) | {"load_pem_private_key": read}
    )
