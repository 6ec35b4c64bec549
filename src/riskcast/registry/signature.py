"""Who made a model: an Ed25519 signature over product and digest, beside both in the registry.

The digest tells that files are what was registered; whoever can write to the registry can write
digests too. The private key stays where models are trained; servers need the public one alone.
The file of public keys may hold several: a new private key is added to those trusted before.
"""

from __future__ import annotations

import os
import re
import secrets
from base64 import b64decode, b64encode
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from riskcast.core.errors import ArtifactRefused

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

PRIVATE, PUBLIC = "model-signing.key", "model-signing.pub"
_PURPOSE = "riskcast-model-1"  # a signature made for something else never fits
_PEM = re.compile(rb"-----BEGIN PUBLIC KEY-----.*?-----END PUBLIC KEY-----\n?", re.DOTALL)


def ensure_key(folder: Path) -> Path:
    """Make the private key unless there is one, and have its public half among the trusted.

    Returns
    -------
    Path
        File of the public keys.

    Raises
    ------
    ArtifactRefused
        If a key cannot be read.
    """
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    folder.mkdir(parents=True, exist_ok=True)
    private, public = folder / PRIVATE, folder / PUBLIC
    if not private.exists():
        pem = Ed25519PrivateKey.generate().private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        _put(private, pem)
    half = (
        _private_key(private)
        .public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    if not public.exists():
        _put(public, half)
    elif half.strip() not in (trusted := public.read_bytes()):
        _draft(public, trusted.rstrip() + b"\n" + half).replace(public)
    return public


def installation(public: Path) -> str:
    """Return what tells installations apart: whose signatures they trust. Empty without a key."""
    return sha256(public.read_bytes()).hexdigest()[:12] if public.exists() else ""


def sign(folder: Path, product: str, digest: str) -> str:
    """Return the signature in base64, made with the folder's key, which is made on first use.

    Raises
    ------
    ArtifactRefused
        If the key cannot be read.
    """
    ensure_key(folder)
    return b64encode(_private_key(folder / PRIVATE).sign(_message(product, digest))).decode()


def check(public: Path, product: str, digest: str, signature: str | None) -> None:
    """Refuse a model that was not signed with the private half of the key in the file.

    Raises
    ------
    ArtifactRefused
        If there is no signature, it does not fit product and digest, or the key cannot be read.
    """
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    if not signature:
        raise ArtifactRefused(
            f"a model of {product} has no signature and {public} asks for one; train again"
        )
    try:
        pems = _PEM.findall(public.read_bytes())
        keys = [load_pem_public_key(pem) for pem in pems]
        stated = b64decode(signature, validate=True)
    except (OSError, ValueError) as error:
        raise ArtifactRefused(f"{public} or a signature cannot be read: {error}") from error
    if not keys or not all(isinstance(key, Ed25519PublicKey) for key in keys):
        raise ArtifactRefused(f"{public} holds something that is no Ed25519 key")
    for key in keys:
        try:
            key.verify(stated, _message(product, digest))  # type: ignore[union-attr,call-arg]
        except InvalidSignature:
            continue
        return
    raise ArtifactRefused(
        f"a model of {product} with digest {digest[:12]} was not signed with a key of {public}; "
        "train again, or roll back to a version that was"
    )


def _message(product: str, digest: str) -> bytes:
    return f"{_PURPOSE}\n{product}\n{digest}".encode()


def _private_key(path: Path) -> Ed25519PrivateKey:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except (OSError, ValueError, TypeError) as error:
        raise ArtifactRefused(f"the signing key {path} cannot be read: {error}") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise ArtifactRefused(f"{path} holds no Ed25519 key")
    return key


def _draft(path: Path, content: bytes) -> Path:
    """Write a file beside `path` that only we can read."""
    draft = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
    return draft


def _put(path: Path, content: bytes) -> None:
    """Write a file whole, unless another process was faster: then that one's stays."""
    draft = _draft(path, content)
    try:
        os.link(draft, path)
    except FileExistsError:
        pass
    finally:
        draft.unlink()
