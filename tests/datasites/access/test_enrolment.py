"""The hospital's authority and its list of certificates: what they say, and what of them lies on disk."""

from __future__ import annotations

import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.x509.oid import ExtendedKeyUsageOID
from support.researchers_ports import ANNA, BERT, enrolment

from datasites.access.enrolment import Enrolment, Peer, current_peer
from datasites.config import DatasiteConfig
from datasites.files.state_folder import StateFolder
from policies.errors import CertificateRefused, ConfigError

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def _peer(certificate: x509.Certificate, email: str = ANNA) -> Peer:
    return Peer(email, f"{certificate.serial_number:X}")


def test_a_researchers_certificate_is_for_one_address_one_purpose_and_a_short_time(tmp_path: Path) -> None:
    own = enrolment(tmp_path, clock=lambda: NOW, days=30)
    made = own.issue(ANNA).certificate
    purposes = made.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    names = made.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert list(purposes) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    assert list(names) == [x509.RFC822Name(ANNA)]
    assert not made.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert made.not_valid_after_utc == NOW + timedelta(days=30)
    assert NOW - timedelta(hours=1) < made.not_valid_before_utc < NOW - timedelta(minutes=5)


def test_no_key_in_the_state_folder_can_be_read_by_others(tmp_path: Path) -> None:
    enrolment(tmp_path).issue(ANNA)
    files = [file for file in (tmp_path / "north").rglob("*") if file.is_file()]
    assert {"authority.key", "server.key", "enrolled.json"} <= {file.name for file in files}
    assert all(stat.S_IMODE(file.stat().st_mode) == 0o600 for file in files)


def test_the_researchers_key_does_not_stay_in_the_list(tmp_path: Path) -> None:
    key = enrolment(tmp_path).issue(ANNA).key_pem
    for file in (tmp_path / "north").rglob("*"):
        assert file.is_dir() or key.splitlines()[1] not in file.read_text()


def test_authority_and_list_are_the_same_after_a_restart(tmp_path: Path) -> None:
    before = enrolment(tmp_path)
    anna, bert = before.issue(ANNA).certificate, before.issue(BERT).certificate
    before.revoke(BERT)
    after = Enrolment(StateFolder(tmp_path / "north"))
    assert after.authority_pem == before.authority_pem
    after.check(_peer(anna))
    with pytest.raises(CertificateRefused, match="revoked"):
        after.check(_peer(bert, BERT))


def test_a_renewed_certificate_counts_beside_the_old_one_and_both_end_together(tmp_path: Path) -> None:
    own = enrolment(tmp_path)
    made = [_peer(own.issue(ANNA).certificate) for _ in range(2)]
    for peer in made:
        own.check(peer)
    assert own.revoke(ANNA) == 2
    for peer in made:
        with pytest.raises(CertificateRefused):
            own.check(peer)


def test_a_certificate_under_another_address_does_not_count(tmp_path: Path) -> None:
    own = enrolment(tmp_path)
    annas = own.issue(ANNA).certificate
    with pytest.raises(CertificateRefused):
        own.check(_peer(annas, BERT))


def test_a_request_counts_for_the_certificates_own_account_only(tmp_path: Path) -> None:
    own = enrolment(tmp_path)
    with pytest.raises(CertificateRefused):
        own.check_own(ANNA)
    token = current_peer.set(_peer(own.issue(ANNA).certificate))
    try:
        own.check_own(ANNA)
        with pytest.raises(CertificateRefused, match="another account"):
            own.check_own(BERT)
        own.revoke(ANNA)
        with pytest.raises(CertificateRefused, match="revoked"):
            own.check_own(ANNA)
    finally:
        current_peer.reset(token)


def test_people_are_listed_with_the_state_of_their_newest_certificate(tmp_path: Path) -> None:
    moment = [NOW]
    own = enrolment(tmp_path, clock=lambda: moment[0], days=10)
    own.issue(ANNA)
    own.issue(BERT)
    moment[0] += timedelta(days=4)
    own.issue(BERT)
    own.revoke(ANNA)
    rows = {row.email: (row.state, row.days_left) for row in own.people()}
    assert rows == {ANNA: ("revoked", 0), BERT: ("valid", 10)}
    moment[0] += timedelta(days=10)
    assert {row.email: row.state for row in own.people()}[BERT] == "expired"


@pytest.mark.parametrize("content", ["", "{}x", "[{}]", '[{"serial": "1", "email": "a", "issued": "", "expires": ""}]'])
def test_a_list_that_cannot_be_read_lets_nobody_in(tmp_path: Path, content: str) -> None:
    enrolment(tmp_path).issue(ANNA)
    (tmp_path / "north" / "identity" / "enrolled.json").write_text(content)
    with pytest.raises(ConfigError, match="backup"):
        Enrolment(StateFolder(tmp_path / "north"))


def test_a_lost_authority_is_not_replaced_silently(tmp_path: Path) -> None:
    enrolment(tmp_path).issue(ANNA)
    (tmp_path / "north" / "identity" / "authority.crt").unlink()
    with pytest.raises(ConfigError, match="Restore"):
        Enrolment(StateFolder(tmp_path / "north"))


def test_the_servers_certificate_is_kept_until_its_time_is_nearly_over(tmp_path: Path) -> None:
    moment = [NOW]
    own = enrolment(tmp_path, clock=lambda: moment[0])
    first = own.server_files[0].read_text()
    moment[0] += timedelta(days=200)
    own.prepare_server(("127.0.0.1",))
    assert own.server_files[0].read_text() == first
    moment[0] += timedelta(days=100)
    assert own.prepare_server(("127.0.0.1",)) > moment[0] + timedelta(days=365)
    assert own.server_files[0].read_text() != first


def test_an_authority_whose_time_is_nearly_over_is_renewed_and_everything_goes_on(tmp_path: Path) -> None:
    moment = [NOW]
    own = enrolment(tmp_path, clock=lambda: moment[0])
    old = x509.load_pem_x509_certificate(own.authority_pem.encode())
    moment[0] += timedelta(days=2300)
    own.prepare_server(("127.0.0.1",))
    assert own.authority_pem.encode() == old.public_bytes(serialization.Encoding.PEM), "it has a third of its time left"
    anna = own.issue(ANNA).certificate
    moment[0] += timedelta(days=200)
    own = Enrolment(StateFolder(tmp_path / "north"), clock=lambda: moment[0])
    ends = own.prepare_server(("127.0.0.1",))
    new = x509.load_pem_x509_certificate(own.authority_pem.encode())
    assert new.not_valid_after_utc > old.not_valid_after_utc + timedelta(days=2300)
    assert moment[0] < ends < old.not_valid_after_utc
    server = x509.load_pem_x509_certificate(own.server_files[0].read_bytes())
    for signed in (anna, own.issue(BERT).certificate, server):
        for authority in (old, new):
            signed.verify_directly_issued_by(authority)
    assert Enrolment(StateFolder(tmp_path / "north")).authority_pem == own.authority_pem


def test_the_servers_certificate_is_made_anew_for_other_names(tmp_path: Path) -> None:
    own = enrolment(tmp_path)
    own.prepare_server(("datasite.hospital.org", "192.0.2.7", "2001:db8::7"))
    read = x509.load_pem_x509_certificate(own.server_files[0].read_bytes())
    names = read.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["datasite.hospital.org"]
    assert [str(address) for address in names.get_values_for_type(x509.IPAddress)] == ["192.0.2.7", "2001:db8::7"]


def test_a_server_key_without_its_certificate_is_replaced(tmp_path: Path) -> None:
    own = enrolment(tmp_path)
    own.server_files[0].unlink()
    own.prepare_server(("127.0.0.1",))
    assert own.server_files[0].exists()


# --- where researchers dial ----------------------------------------------------------------------------------


def test_the_address_in_the_credentials_is_the_preferred_public_name() -> None:
    config = DatasiteConfig(name="a", host="0.0.0.0", public_names=("datasite.hospital.org", "192.0.2.7"), port=9000)
    assert config.dialled == ("datasite.hospital.org", "192.0.2.7")
    assert config.url == "https://datasite.hospital.org:9000"
    assert DatasiteConfig(name="a").url == "https://127.0.0.1:8081"
    assert DatasiteConfig(name="a", host="::1").url == "https://[::1]:8081"


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_an_address_that_nobody_can_dial_needs_a_public_name(host: str) -> None:
    with pytest.raises(ConfigError, match="public_names"):
        DatasiteConfig(name="a", host=host)


@pytest.mark.parametrize("name", ["", "a b", "https://x.org", "*.hospital.org", "x" * 300])
def test_a_name_that_cannot_be_dialled_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="Expected an address"):
        DatasiteConfig(name="a", public_names=(name,))


def test_names_of_machines_have_no_capitals() -> None:
    config = DatasiteConfig(name="a", host="0.0.0.0", public_names=("Datasite.Klinik.DE",))
    assert config.dialled == ("datasite.klinik.de",)


@pytest.mark.parametrize("email", ["../x@y.org", "a/b@y.org", ".x@y.org", "ä@y.org", "x@Y.org", "a@b", "a b@y.org"])
def test_an_address_that_is_no_file_name_or_no_certificate_name_is_refused(email: str) -> None:
    with pytest.raises(ConfigError, match="e-mail"):
        DatasiteConfig(name="a", researchers=(email,))
