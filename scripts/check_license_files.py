"""See scripts/check-license-files."""

import argparse
import base64
import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

EXAMPLES = Path("docs/examples")
HOUR, DAY = 3600, 24 * 3600
NOW = int(time.time())


def run(*command):
    subprocess.run(command, check=True)


def python(_):
    return [sys.executable, str(EXAMPLES / "verify_license.py")]


def javascript(_):
    return ["node", str(EXAMPLES / "verify_license.mjs")]


def rust(_):
    run("cargo", "build", "--quiet", "--package", "portico-security", "--example", "verify_license")
    metadata = subprocess.run(["cargo", "metadata", "--no-deps", "--format-version=1"], check=True, capture_output=True)
    return [str(Path(json.loads(metadata.stdout)["target_directory"], "debug", "examples", "verify_license"))]


def go(folder):
    program = str(Path(folder, "verify_license"))
    run("go", "build", "-o", program, str(EXAMPLES / "verify_license.go"))
    return [program]


def java(folder):
    run("javac", "-d", folder, str(EXAMPLES / "VerifyLicense.java"))
    return ["java", "-cp", folder, "VerifyLicense"]


# By language: the tools that it needs, and what builds it and answers how it is called.
VERIFIERS = {
    "Python": ([], python),
    "JavaScript": (["node"], javascript),
    "Rust": (["cargo"], rust),
    "Go": (["go"], go),
    "Java": (["javac", "java"], java),
}


def base64_of(data):
    return base64.b64encode(data).decode()


def jwk(key, kid):
    x = base64.urlsafe_b64encode(key.public_key().public_bytes_raw()).decode().rstrip("=")
    return {"kty": "OKP", "crv": "Ed25519", "x": x, "kid": kid, "use": "sig", "alg": "EdDSA"}


def content(**changes):
    issued, ttl = changes.pop("issued", NOW), changes.pop("ttl", 30 * DAY)
    rfc3339 = lambda at: time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at))
    return {
        "activation": {"fingerprint": changes.pop("fingerprint", "f1"), "id": "0199d2a4-5c1e-7a51-8f3b-0d6c2f9b4e11"},
        "exp": issued + ttl,
        "kid": "current",
        "license": {
            "channels": ["stable"],
            "expiresAt": None,
            "id": "0199d2a4-5c1e-7a51-8f3b-0d6c2f9b4e12",
            "maxMajor": None,
            "productType": changes.pop("product", "base_product"),
            "supportedUntil": rfc3339(issued + 365 * DAY),
        },
        "meta": {"expiry": rfc3339(issued + ttl), "issued": rfc3339(issued), "ttl": ttl},
        "version": changes.pop("version", 1),
    }


def envelope(what, key, prefix=b"license/", **changes):
    enc = base64_of(json.dumps(what, separators=(",", ":"), sort_keys=True).encode())
    sig = base64_of(key.sign(prefix + enc.encode()))
    return {"alg": "base64+ed25519", "enc": enc, "kid": "current", "sig": sig, **changes}


def framed(body):
    lines = [body[at : at + 64] for at in range(0, len(body), 64)]
    return "\n".join(["-----BEGIN LICENSE FILE-----", *lines, "-----END LICENSE FILE-----", ""])


def file_of(sealed):
    return framed(base64_of(json.dumps(sealed, separators=(",", ":")).encode()))


def flipped(text, at):
    other = "A" if text[at] != "A" else "B"
    return text[:at] + other + text[at + 1 :]


def cases():
    key, former, stranger = (Ed25519PrivateKey.generate() for _ in range(3))
    keys = {"keys": [jwk(key, "current"), jwk(former, "former")]}
    good = envelope(content(), key)
    text = file_of(good)
    other = envelope(content(fingerprint="f2"), key)
    yield keys, "good", text, "f1", 0, None
    yield keys, "good, Windows line ends", text.replace("\n", "\r\n"), "f1", 0, None
    yield keys, "good, by a former key", file_of(envelope(content(), former, kid="former")), "f1", 0, None
    yield keys, "good, clock a little behind", file_of(envelope(content(issued=NOW + HOUR), key)), "f1", 0, None
    for name, bad, reason in [
        ("empty", "", "malformed"),
        ("no frame", base64_of(b"{}"), "malformed"),
        ("another frame", text.replace("LICENSE FILE", "MACHINE FILE"), "malformed"),
        ("cut off", text[: len(text) // 2], "malformed"),
        ("not base64", framed("%%%%"), "malformed"),
        ("not JSON", framed(base64_of(b"license")), "malformed"),
        ("a list", framed(base64_of(b"[]")), "malformed"),
        ("deeply nested", framed(base64_of(b"[" * 20000)), "malformed"),
        ("no signature", file_of({name: good[name] for name in ("alg", "enc", "kid")}), "malformed"),
        ("a number for a text", file_of({**good, "enc": 7}), "malformed"),
        ("a signature that is no base64", file_of({**good, "sig": "ñ"}), "malformed"),
        ("too large", framed("A" * 70000), "malformed"),
        ("another algorithm", file_of({**good, "alg": "none"}), "unknown_algorithm"),
        ("an algorithm with a shared key", file_of({**good, "alg": "base64+hmac"}), "unknown_algorithm"),
        ("an unknown key", file_of({**good, "kid": "stranger"}), "unknown_key"),
        ("signed by a stranger", file_of(envelope(content(), stranger)), "invalid_signature"),
        ("named after another key", file_of({**good, "kid": "former"}), "invalid_signature"),
        ("content changed", file_of({**good, "enc": flipped(good["enc"], 40)}), "invalid_signature"),
        ("signature changed", file_of({**good, "sig": flipped(good["sig"], 10)}), "invalid_signature"),
        ("signature cut off", file_of({**good, "sig": base64_of(b"short")}), "invalid_signature"),
        ("signature of another file", file_of({**good, "sig": other["sig"]}), "invalid_signature"),
        ("signed without the prefix", file_of(envelope(content(), key, prefix=b"")), "invalid_signature"),
        ("signed for another purpose", file_of(envelope(content(), key, prefix=b"machine/")), "invalid_signature"),
        ("a version to come", file_of(envelope(content(version=2), key)), "unknown_version"),
        ("another product", file_of(envelope(content(product="other"), key)), "other_product"),
        ("another machine", file_of(other), "other_machine"),
        ("expired", file_of(envelope(content(issued=NOW - 31 * DAY), key)), "expired"),
        ("of tomorrow's tomorrow", file_of(envelope(content(issued=NOW + 3 * DAY), key)), "clock_turned_back"),
    ]:
        yield keys, name, bad, "f1", 0, reason
    yield keys, "clock turned back behind the file's end", text, "f1", NOW + 40 * DAY, "clock_turned_back"
    yield keys, "clock turned back a little, after the end", text, "f1", NOW + 30 * DAY + HOUR, "clock_turned_back"
    short = file_of(envelope(content(ttl=HOUR), key))
    yield keys, "seen after its end", short, "f1", NOW + 2 * HOUR, "expired"


def built(folder):
    """The verifiers whose tools are there, and the languages of the others."""
    verifiers, skipped = {}, []
    for language, (tools, build) in VERIFIERS.items():
        if all(shutil.which(tool) for tool in tools):
            verifiers[language] = build(folder)
        else:
            skipped.append(language)
    return verifiers, skipped


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--require", choices=["all"], help="fail where the tools of a language are missing")
    required = parser.parse_args().require == "all"
    failures, count = [], 0
    with tempfile.TemporaryDirectory() as folder:
        verifiers, skipped = built(folder)
        path, key_path = Path(folder, "license"), Path(folder, "keys.json")
        for keys, name, text, fingerprint, latest, reason in cases():
            path.write_text(text, encoding="utf-8", newline="")
            key_path.write_text(json.dumps(keys))
            for language, verifier in verifiers.items():
                count += 1
                arguments = [*verifier, str(path), str(key_path), fingerprint, str(latest)]
                run = subprocess.run(arguments, capture_output=True, text=True, timeout=30)
                said = run.stderr.strip() if run.returncode == 1 else None
                if said != reason or run.returncode not in (0, 1):
                    failures.append(f"{language}: {name}: {reason} expected, {said or run.stderr or 'accepted'}")
    for failure in failures:
        print(failure, file=sys.stderr)
    if skipped:
        print(f"skipped, because tools are missing: {', '.join(skipped)}", file=sys.stderr)
    print(f"{count} files verified by {', '.join(verifiers)}; {len(failures)} failures")
    return bool(failures) or (required and bool(skipped))


if __name__ == "__main__":
    sys.exit(main())
