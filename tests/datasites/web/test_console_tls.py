"""The console elsewhere than on loopback: by the hospital's own certificate, or not at all."""

from __future__ import annotations

import datetime
import ipaddress
import json
import ssl
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from support.console_pages import ADMIN_NAME, serving
from support.waiting import CEILING_SECONDS

from datasites.cli import main
from datasites.config import DatasiteConfig
from datasites.web.console_tls import in_address, read_tls
from policies.errors import ConfigError

NAMES = ("console.hospital.org", "127.0.0.1")


def certificate(folder: Path, *, names: tuple[str, ...] = NAMES, password: bytes = b"") -> tuple[Path, Path]:
    """A self-signed certificate for these names, and its key."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.datetime.now(datetime.UTC)
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "console")])
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(key.public_key())
    builder = builder.serial_number(7).not_valid_before(now).not_valid_after(now + datetime.timedelta(days=1))
    if names:
        numbers = [x509.IPAddress(ipaddress.ip_address(name)) for name in names if name[0].isdigit()]
        hosts = [x509.DNSName(name) for name in names if not name[0].isdigit()]
        builder = builder.add_extension(x509.SubjectAlternativeName([*hosts, *numbers]), critical=False)
    how = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    files = folder / "console.pem", folder / "console.key"
    files[0].write_bytes(builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    files[1].write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, how))
    files[1].chmod(0o600)
    return files


def test_browsers_and_commands_come_by_tls_under_the_certificates_names(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, key = certificate(tmp_path)
    with serving(tmp_path, tls=read_tls(file, key)) as console:
        trusting = ssl.create_default_context(cafile=str(file))
        with httpx.Client(base_url=console.url, verify=trusting, timeout=CEILING_SECONDS) as client:
            answer = client.get("/sign-in")
            cookie = answer.headers["set-cookie"]
            assert cookie.startswith("__Host-wanwu-north-browser=") and "; Secure" in cookie and "Path=/" in cookie
            token = answer.text.split('name="form_token" value="')[1][:64]
            form = {"form_token": token, "theme": "dark"}
            assert client.post("/preferences", data=form, headers={"origin": console.url}).status_code == 303
            http = console.url.replace("https:", "http:")
            assert client.post("/preferences", data=form, headers={"origin": http}).status_code == 403
            assert client.get("/sign-in", headers={"host": "console.hospital.org:1"}).status_code == 200
            assert client.get("/sign-in", headers={"host": "localhost"}).status_code == 421
        own = tmp_path / "own.json"
        access = {"url": console.url, "token": console.tokens[ADMIN_NAME], "certificate": file.read_text()}
        own.write_text(json.dumps(access))
        assert main(["staff", "list", "--as", str(own), "--json"]) == 0
        own.write_text(json.dumps({**access, "certificate": certificate(tmp_path)[0].read_text()}))
        assert main(["staff", "list", "--as", str(own), "--json"]) == 1
        capsys.readouterr()


@pytest.mark.parametrize("fault", ["another's key", "no name", "a pattern", "a password", "readable", "missing", "cut"])
def test_a_certificate_that_does_not_fit_is_refused(tmp_path: Path, fault: str) -> None:
    names = {"no name": (), "a pattern": ("*.hospital.org",)}.get(fault, NAMES)
    file, key = certificate(tmp_path, names=names, password=b"secret" if fault == "a password" else b"")
    if fault == "another's key":
        kept = key.read_bytes()
        certificate(tmp_path)
        key.write_bytes(kept)
    elif fault == "readable":
        key.chmod(0o644)
    elif fault == "missing":
        key.unlink()
    elif fault == "cut":
        file.write_text(file.read_text()[:200])
    with pytest.raises(ConfigError):
        read_tls(file, key)


def test_names_and_addresses_are_the_certificates_in_small_letters(tmp_path: Path) -> None:
    assert read_tls(*certificate(tmp_path, names=("Console.Hospital.org", "127.0.0.1"))).names == NAMES
    assert [in_address(name, 8) for name in ("a.org", "10.0.0.1", "::1")] == ["a.org:8", "10.0.0.1:8", "[::1]:8"]


@pytest.mark.parametrize("host", ["0.0.0.0", "10.1.2.3", "console.hospital.org", "::"])
def test_settings_that_would_serve_the_console_in_clear_are_refused(host: str) -> None:
    with pytest.raises(ConfigError, match="without TLS"):
        DatasiteConfig("north", console_host=host)
    own = DatasiteConfig("north", console_host=host, console_certificate="a.pem", console_key="a.key")
    for half in ({"console_key": ""}, {"console_certificate": ""}):
        with pytest.raises(ConfigError, match="belong together"):
            replace(own, **half)  # type: ignore[arg-type]


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.9", "::1", "localhost"])
def test_on_loopback_the_console_may_do_without(host: str) -> None:
    assert DatasiteConfig("north", console_host=host).console_host == host
