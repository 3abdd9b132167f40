"""Enrolling, renewing and revoking at a running datasite, over real TLS: one certificate, one account."""

from __future__ import annotations

import contextlib
import json
import stat
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from support.hospitals import RESEARCHER, STRANGER, Hospital
from syft.client.api import SyftAPICall

from policies.errors import CertificateRefused, ConfigError, DatasiteNotTrusted, DatasiteUnreachable, SignInFailed
from researcher.hospitals.credentials import Credentials
from researcher.hospitals.datasite_client import DatasiteClient
from researcher.hospitals.federation import Federation
from researcher.hospitals.pysyft_connection import SecureConnection, open_client
from researcher.hospitals.secure_channel import SecureChannel
from researcher.hospitals.sign_in import sign_in

VISITOR = "visitor@university.org"


@pytest.fixture
def mine(hospitals: dict[str, Hospital]) -> Credentials:
    return Credentials.from_file(hospitals["north"].credentials(RESEARCHER))


@pytest.fixture
def theirs(hospitals: dict[str, Hospital]) -> Credentials:
    return Credentials.from_file(hospitals["north"].credentials(STRANGER))


def _enrol(hospital: Hospital, email: str = VISITOR) -> Path:
    said = hospital.admin("enrol", email).stdout
    file = hospital.credentials(email)
    assert str(file) in said.replace("\n", "")
    return file


def test_an_enrolled_researcher_gets_one_private_file_that_connects(hospitals: dict[str, Hospital]) -> None:
    file = _enrol(hospitals["north"])
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    with Federation.connect(file) as federation:
        assert [dataset.datasite for dataset in federation.datasets()] == ["north"]
    assert hospitals["north"].events("researcher enrolled")[-1]["researcher"] == VISITOR


def test_enrolling_again_renews_and_leaves_the_earlier_file_to_run_out(hospitals: dict[str, Hospital]) -> None:
    earlier = Credentials.from_file(_enrol(hospitals["north"]))
    later = Credentials.from_file(_enrol(hospitals["north"]))
    assert earlier.certificate != later.certificate and earlier.key != later.key
    seeds = []
    for credentials in (earlier, later):
        with Federation.connect([credentials]) as federation:
            seeds.append(federation.hospitals["north"].routes._seed)
    assert seeds[0] == seeds[1]  # the same account


def test_revoking_ends_everything_at_once_and_enrolling_gives_the_account_back(hospitals: dict[str, Hospital]) -> None:
    north = hospitals["north"]
    file = _enrol(north)
    revoked = Credentials.from_file(file)
    with Federation.connect(file) as federation:
        connected = federation.hospitals["north"]
        connected.routes.info()
        client = connected.client
        north.admin("revoke", VISITOR)
        for ask in (connected.routes.info, client.refresh, client.api.services.dataset.get_all):
            with pytest.raises(CertificateRefused, match="revoked"):
                ask()
    assert not file.exists()
    with pytest.raises(CertificateRefused, match="revoked"):
        Federation.connect([revoked])
    assert north.events("researcher revoked")[-1]["researcher"] == VISITOR
    states = {row["email"]: row["state"] for row in north.admin_json("researchers")}
    assert states[VISITOR] == "revoked" and states[RESEARCHER] == "valid"

    renewed = Credentials.from_file(_enrol(north))
    with Federation.connect([renewed]) as federation:
        assert federation.hospitals["north"].routes.info()
    with pytest.raises(SignInFailed):
        Federation.connect([replace(renewed, password=revoked.password)])
    with pytest.raises(CertificateRefused, match="revoked"):
        Federation.connect([replace(revoked, password=renewed.password)])


def test_revoking_somebody_unknown_says_so(hospitals: dict[str, Hospital]) -> None:
    refused = hospitals["north"].admin("revoke", "nobody@university.org", check=False)
    assert refused.returncode == 1 and refused.stderr.startswith("WW713")


# --- one certificate, one account --------------------------------------------------------------------------


def _anothers_password(mine: Credentials, theirs: SecureChannel) -> None:
    """Signs in as the one over the other's connection, although the password is right."""
    sign_in(theirs, mine)


def _anothers_signed_request(mine: Credentials, theirs: SecureChannel) -> None:
    DatasiteClient(theirs, _seed(mine)).info()


def _anothers_services(mine: Credentials, theirs: SecureChannel) -> None:
    client = _client(mine)
    client.connection.channel = theirs
    client._fetch_api(client.credentials)


def _anothers_pysyft_call(mine: Credentials, theirs: SecureChannel) -> None:
    client = _client(mine)
    client.connection.channel = theirs
    call = SyftAPICall(server_uid=client.id, path="dataset.get_all", args=[], kwargs={}).sign(client.credentials)
    code, _, text = str(client.connection.make_call(call).message.data.message).partition(": ")
    assert code == CertificateRefused.code
    raise CertificateRefused(text)


def _seed(credentials: Credentials) -> bytes:
    with contextlib.closing(SecureChannel(credentials)) as channel:
        return sign_in(channel, credentials)


def _client(credentials: Credentials) -> Any:
    with contextlib.closing(SecureChannel(credentials)) as channel:
        return open_client(channel, sign_in(channel, credentials))


@pytest.mark.parametrize(
    "try_it", [_anothers_password, _anothers_signed_request, _anothers_services, _anothers_pysyft_call]
)
def test_a_certificate_opens_no_account_but_its_own(
    mine: Credentials, theirs: Credentials, try_it: Callable[[Credentials, SecureChannel], None]
) -> None:
    channel = SecureChannel(theirs)
    with pytest.raises(CertificateRefused, match="another account"):
        try_it(mine, channel)
    channel.close()


# --- the researcher recognises the hospital ----------------------------------------------------------------


def test_another_hospital_at_the_address_is_recognised(hospitals: dict[str, Hospital], mine: Credentials) -> None:
    souths = Credentials.from_file(hospitals["south"].credentials())
    with pytest.raises(DatasiteNotTrusted, match="Nothing was sent"):
        Federation.connect([replace(mine, url=souths.url)])


def test_a_hospital_refuses_a_certificate_of_anothers_authority(
    hospitals: dict[str, Hospital], mine: Credentials
) -> None:
    souths = Credentials.from_file(hospitals["south"].credentials())
    with pytest.raises(DatasiteUnreachable, match="does not take your certificate"):
        Federation.connect([replace(mine, certificate=souths.certificate, key=souths.key)])


def test_an_address_that_the_hospitals_certificate_does_not_name_is_refused(mine: Credentials) -> None:
    with pytest.raises(DatasiteNotTrusted):
        Federation.connect([replace(mine, url=mine.url.replace("127.0.0.1", "localhost"))])


def test_a_datasite_that_is_not_there_is_unreachable(mine: Credentials) -> None:
    with pytest.raises(DatasiteUnreachable):
        Federation.connect([replace(mine, url="https://127.0.0.1:1")])


def test_a_hospital_that_is_not_there_stops_nothing_at_the_others(mine: Credentials) -> None:
    gone = replace(mine, datasite="gone", url="https://127.0.0.1:1")
    with Federation.connect([gone, mine]) as federation:
        assert [one.datasite for one in federation.datasets()] == ["north"]
        assert federation.missing["gone"].startswith("WW705: ") and "nothing listens" in federation.missing["gone"]


def test_credentials_of_a_version_without_certificates_are_refused_with_the_way_out(
    hospitals: dict[str, Hospital], tmp_path: Path
) -> None:
    old = json.loads(hospitals["north"].credentials().read_text())
    (tmp_path / "old.json").write_text(json.dumps({k: old[k] for k in ("datasite", "url", "email", "password")}))
    with pytest.raises(ConfigError, match="enrol"):
        Federation.connect(tmp_path / "old.json")
    (tmp_path / "plain.json").write_text(json.dumps({**old, "url": "http://127.0.0.1:8081"}))
    with pytest.raises(ConfigError, match="without TLS"):
        Federation.connect(tmp_path / "plain.json")


def test_the_certificate_names_the_account_and_the_datasite_is_reached_with_its_port(mine: Credentials) -> None:
    certificate = x509.load_pem_x509_certificate(mine.certificate.encode())
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.RFC822Name) == [RESEARCHER]
    channel = SecureChannel(mine)
    connection = SecureConnection.over(channel)
    assert connection.get_cache_key() == mine.url and mine.url.count(":") == 2
    channel.close()


# --- signing in ---------------------------------------------------------------------------------------------


def test_a_wrong_password_is_refused_and_the_text_says_where(hospitals: dict[str, Hospital]) -> None:
    wrong = replace(Credentials.from_file(_enrol(hospitals["north"], "mistyped@university.org")), password="wrong")
    with (
        contextlib.closing(SecureChannel(wrong)) as channel,
        pytest.raises(SignInFailed, match="'north' did not accept"),
    ):
        sign_in(channel, wrong)
