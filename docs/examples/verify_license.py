"""Verifies license files without a connection: docs/licensing.md. Needs `cryptography`.

    python verify_license.py LICENSE_FILE KEYS.json FINGERPRINT [LATEST]

KEYS.json is what GET /api/v1/licenses/keys answers; a product has it built in. LATEST is the latest time that the product has ever seen,
in seconds since 1970. Prints the content of a good file, or the reason of a bad one and exits with 1.
"""

import base64
import binascii
import json
import sys
import time

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

BEGIN = "-----BEGIN LICENSE FILE-----"
END = "-----END LICENSE FILE-----"
PRODUCT = "base_product"
# Clocks differ by so much and are still taken for right, in seconds.
TOLERANCE = 24 * 3600
# No file is larger, in characters.
LARGEST = 64 * 1024


class Refused(Exception):
    """Why a file is not good: `str()` is the reason, a word."""


def verify(text, keys, fingerprint, now, latest=0):
    """The content of a good file. `latest` is the latest time that was ever seen; keep `max(latest, now)` afterwards."""
    if len(text) > LARGEST:
        raise Refused("malformed")
    lines = text.strip().split("\n")
    if len(lines) < 3 or lines[0].strip() != BEGIN or lines[-1].strip() != END:
        raise Refused("malformed")
    try:
        envelope = json.loads(decode("".join(line.strip() for line in lines[1:-1])))
        algorithm, encoded, kid, signature = (envelope[name] for name in ("alg", "enc", "kid", "sig"))
        encoded_bytes = encoded.encode("ascii")
        signature = decode(signature)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise Refused("malformed") from None
    # Only this one, whatever the file says: it must not choose how it is verified.
    if algorithm != "base64+ed25519":
        raise Refused("unknown_algorithm")
    key = next((key for key in keys["keys"] if key["kid"] == kid), None)
    if key is None:
        raise Refused("unknown_key")
    public = Ed25519PublicKey.from_public_bytes(base64.urlsafe_b64decode(key["x"] + "="))
    try:
        public.verify(signature, b"license/" + encoded_bytes)
    except InvalidSignature:
        raise Refused("invalid_signature") from None
    # From here on it is what the vendor has written.
    content = json.loads(decode(encoded))
    if content["version"] != 1:
        raise Refused("unknown_version")
    if content["license"]["productType"] != PRODUCT:
        raise Refused("other_product")
    if content["activation"]["fingerprint"] != fingerprint:
        raise Refused("other_machine")
    issued = content["exp"] - content["meta"]["ttl"]
    if now < max(issued, latest) - TOLERANCE:
        raise Refused("clock_turned_back")
    if max(now, latest) >= content["exp"]:
        raise Refused("expired")
    return content


def decode(text):
    """Base64 with nothing else in it."""
    try:
        return base64.b64decode(text.encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError):
        raise ValueError("no base64") from None


if __name__ == "__main__":
    path, key_path, fingerprint, *rest = sys.argv[1:]
    # What is no UTF-8 is no license file either.
    text = open(path, encoding="utf-8", errors="replace").read(LARGEST + 1)
    keys = json.load(open(key_path, encoding="utf-8"))
    try:
        content = verify(text, keys, fingerprint, time.time(), float(rest[0]) if rest else 0)
    except Refused as refused:
        sys.exit(str(refused))
    print(json.dumps(content))
