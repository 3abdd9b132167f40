"""The researchers' port over real TLS on loopback: who is let in, and that of the others no byte is parsed."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from support.researchers_ports import ANNA, BERT, OpenPort, ask, counting_parser, enrolment, is_cut, send, served
from support.waiting import CEILING_SECONDS, wait_for

from datasites.access import certificates
from datasites.researchers_port import enrolled_protocol, mutual_tls
from researcher.hospitals.secure_channel import client_context


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], int]]:
    with counting_parser(monkeypatch) as count:
        yield count


@pytest.fixture
def north(tmp_path: Path) -> Iterator[OpenPort]:
    with served(enrolment(tmp_path)) as opened:
        yield opened


def _trusting(north: OpenPort) -> ssl.SSLContext:
    """A client that trusts the hospital and shows nothing."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata=north.enrolment.authority_pem)
    return context


def test_an_enrolled_researcher_is_served_under_the_certificates_address(
    north: OpenPort, parsed: Callable[[], int]
) -> None:
    with north.knock(client_context(north.credentials(ANNA))) as connection:
        assert b'{"peer": "anna@university.org"}' in ask(connection)
        assert b'{"peer": "anna@university.org"}' in ask(connection)
        assert connection.version() == "TLSv1.3"
    assert north.app.requests == 2 and parsed() > 0


def _none(north: OpenPort, folder: Path) -> ssl.SSLContext:
    return _trusting(north)


def _self_signed(north: OpenPort, folder: Path) -> ssl.SSLContext:
    return client_context(north.credentials(made=certificates.make_authority(ANNA)))


def _other_hospitals(north: OpenPort, folder: Path) -> ssl.SSLContext:
    return client_context(north.credentials(made=enrolment(folder, name="south").issue(ANNA)))


def _other_hospital_of_the_same_name(north: OpenPort, folder: Path) -> ssl.SSLContext:
    return client_context(north.credentials(made=enrolment(folder / "elsewhere").issue(ANNA)))


def _expired(north: OpenPort, folder: Path) -> ssl.SSLContext:
    long_ago = datetime.now(UTC) - timedelta(days=100)
    made = certificates.issue_researcher(north.enrolment._authority, ANNA, days=90, now=long_ago)
    return client_context(north.credentials(made=made))


def _not_yet_valid(north: OpenPort, folder: Path) -> ssl.SSLContext:
    later = datetime.now(UTC) + timedelta(days=1)
    made = certificates.issue_researcher(north.enrolment._authority, ANNA, days=90, now=later)
    return client_context(north.credentials(made=made))


def _servers_own(north: OpenPort, folder: Path) -> ssl.SSLContext:
    certificate, key = north.enrolment.server_files
    made = certificates.Certified.from_pem(certificate.read_bytes(), key.read_bytes())
    return client_context(north.credentials(made=made))


def _signed_but_not_listed(north: OpenPort, folder: Path) -> ssl.SSLContext:
    made = certificates.issue_researcher(north.enrolment._authority, ANNA, days=90)
    return client_context(north.credentials(made=made))


def _revoked(north: OpenPort, folder: Path) -> ssl.SSLContext:
    context = client_context(north.credentials(ANNA))
    north.enrolment.revoke(ANNA)
    return context


@pytest.mark.parametrize(
    "shown",
    [
        _none,
        _self_signed,
        _other_hospitals,
        _other_hospital_of_the_same_name,
        _expired,
        _not_yet_valid,
        _servers_own,
        _signed_but_not_listed,
        _revoked,
    ],
)
def test_of_a_peer_that_is_not_enrolled_no_byte_is_parsed(
    north: OpenPort, tmp_path: Path, parsed: Callable[[], int], shown: Callable[[OpenPort, Path], ssl.SSLContext]
) -> None:
    north.enrolment.issue(ANNA)  # somebody is enrolled under the same address
    with north.knock(shown(north, tmp_path)) as connection:
        answered = ask(connection)
    assert b"peer" not in answered
    assert north.app.requests == 0 and parsed() == 0


def test_a_peer_that_speaks_no_tls_is_not_parsed(north: OpenPort, parsed: Callable[[], int]) -> None:
    with north.dial() as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        assert b"HTTP" not in connection.recv(1000)
    assert north.app.requests == 0 and parsed() == 0


def test_older_tls_is_refused(north: OpenPort, parsed: Callable[[], int]) -> None:
    context = client_context(north.credentials(ANNA))
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises(ssl.SSLError):
        north.knock(context)
    assert parsed() == 0


def test_a_revoked_researcher_is_told_so_without_being_read(north: OpenPort, parsed: Callable[[], int]) -> None:
    context = client_context(north.credentials(ANNA))
    north.enrolment.revoke(ANNA)
    with north.knock(context) as connection:
        answered = ask(connection)
    assert answered.startswith(b"HTTP/1.1 403") and b"WW711" in answered and b"revoked" in answered
    assert parsed() == 0


def test_revoking_cuts_an_open_connection_and_nobody_elses(north: OpenPort) -> None:
    annas, berts = (client_context(north.credentials(email)) for email in (ANNA, BERT))
    with north.knock(annas) as anna, north.knock(berts) as bert:
        assert b"anna" in ask(anna) and b"bert" in ask(bert)
        assert north.enrolment.revoke(ANNA) == 1
        refused = ask(anna)  # cut already, or told why if she was quicker
        assert refused == b"" or (refused.startswith(b"HTTP/1.1 403") and b"WW711" in refused)
        assert b"bert" in ask(bert)
    assert north.app.requests == 3


def test_revoking_cuts_a_request_that_is_under_way(north: OpenPort) -> None:
    with north.knock(client_context(north.credentials(ANNA))) as connection:
        connection.sendall(b"GET /hold HTTP/1.1\r\nhost: x\r\n\r\n")
        assert north.app.held.wait(CEILING_SECONDS)
        north.enrolment.revoke(ANNA)
        assert is_cut(connection)


def test_a_certificate_that_expires_while_connected_stops_the_next_request(tmp_path: Path) -> None:
    moment = [datetime.now(UTC)]
    with served(enrolment(tmp_path, clock=lambda: moment[0], days=1)) as north:
        with north.knock(client_context(north.credentials(ANNA))) as connection:
            assert b"anna" in ask(connection)
            moment[0] += timedelta(days=1)
            assert b"expired" in ask(connection)
        assert north.app.requests == 1


def test_connections_that_do_not_shake_hands_shut_nobody_else_out(
    north: OpenPort, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = client_context(north.credentials(ANNA))
    silent = [north.dial() for _ in range(mutual_tls.MAX_HANDSHAKES_PER_ADDRESS)]
    with north.dial() as one_more:
        assert is_cut(one_more)
    with north.knock(context, source="127.0.0.2") as connection:
        assert b"anna" in ask(connection)
    for one in silent:
        one.close()


def test_handshakes_that_stand_still_from_many_addresses_make_room_for_one_that_does_not(
    north: OpenPort, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mutual_tls, "MAX_HANDSHAKES", 8)
    context = client_context(north.credentials(ANNA))
    silent = [north.dial(source=f"127.0.0.{2 + n % 5}") for n in range(20)]
    with north.knock(context) as connection:
        assert b"anna" in ask(connection)
    assert wait_for(lambda: sum(is_cut(one) for one in silent[:12]) == 12)
    for one in silent:
        one.close()


def test_a_handshake_that_takes_too_long_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mutual_tls, "HANDSHAKE_SECONDS", 0.2)
    with served(enrolment(tmp_path)) as north, north.dial() as slow:
        slow.sendall(b"\x16\x03\x01")  # the beginning of a hello
        assert is_cut(slow)


def test_one_researcher_cannot_take_all_connections(tmp_path: Path) -> None:
    with served(enrolment(tmp_path), max_connections_per_researcher=2) as north:
        annas, berts = (client_context(north.credentials(email)) for email in (ANNA, BERT))
        with north.knock(annas) as first, north.knock(annas) as second:
            assert b"anna" in ask(first) and b"anna" in ask(second)
            with north.knock(annas) as third:
                assert ask(third) == b""
            with north.knock(berts) as other:
                assert b"bert" in ask(other)


def test_all_connections_together_are_bounded(tmp_path: Path) -> None:
    with served(enrolment(tmp_path), max_connections=1) as north:
        context = client_context(north.credentials(ANNA))
        with north.knock(context) as first:
            assert b"anna" in ask(first)
            with north.dial() as one_more:
                assert is_cut(one_more)

        def served_again() -> bool:
            try:
                with north.knock(context) as again:
                    return b"anna" in ask(again)
            except (ConnectionError, ssl.SSLError):
                return False  # the first has not quite left

        assert wait_for(served_again)


def test_an_idle_connection_is_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mutual_tls, "KEEP_ALIVE_SECONDS", 1)
    with served(enrolment(tmp_path)) as north, north.knock(client_context(north.credentials(ANNA))) as idle:
        assert is_cut(idle)


# --- refused peers leave and are counted ---------------------------------------------------------------------


def test_refused_peers_that_say_nothing_leave_at_once_and_take_no_place_from_others(tmp_path: Path) -> None:
    with served(enrolment(tmp_path), max_connections=2) as north:
        berts = client_context(north.credentials(BERT))
        annas = _revoked(north, tmp_path)
        silent = [north.knock(annas) for _ in range(8)]
        answers = [send(one, b"") for one in silent]
        assert all(answer.startswith(b"HTTP/1.1 403") and b"revoked" in answer for answer in answers)
        assert all(is_cut(one) for one in silent)
        with north.knock(berts) as bert:
            assert b"bert" in ask(bert)
        for one in silent:
            one.close()


def test_refused_peers_are_counted_with_their_reason_and_account(north: OpenPort, tmp_path: Path) -> None:
    revoked, unlisted = _revoked(north, tmp_path), _signed_but_not_listed(north, tmp_path)
    for shown in (revoked, revoked, revoked, unlisted, _trusting(north)):
        with north.knock(shown) as connection:
            ask(connection)
    north.dial().close()  # as the doctor looks whether the port answers

    def counts() -> dict[tuple[str, str], int]:
        found: dict[tuple[str, str], int] = {}
        for reason, account, count in list(north.refused):
            found[reason, account] = found.get((reason, account), 0) + count
        return found

    expected = {
        ("revoked", ANNA): 3,
        ("unlisted", ""): 1,
        ("PEER_DID_NOT_RETURN_A_CERTIFICATE", ""): 1,
        ("left before the handshake was done", ""): 1,
    }
    assert wait_for(lambda: counts() == expected)


def test_an_address_that_is_refused_again_and_again_is_not_listened_to_for_a_moment_and_others_are(
    north: OpenPort, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("datasites.researchers_port.refusals.REFUSALS_PER_SECOND", 0.01)
    monkeypatch.setattr("datasites.researchers_port.refusals.FREE_REFUSALS", 3)
    berts, annas = client_context(north.credentials(BERT)), _revoked(north, tmp_path)
    for _ in range(4):
        with north.knock(annas, source="127.0.0.3") as connection:
            ask(connection)
    with north.dial(source="127.0.0.3") as again:
        assert is_cut(again)
    with north.knock(berts) as bert:
        assert b"bert" in ask(bert)


def test_of_refused_peers_a_bounded_number_is_told_why(
    north: OpenPort, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(enrolled_protocol, "MAX_LEAVING", 0)
    with north.knock(_revoked(north, tmp_path)) as connection:
        assert send(connection, b"") == b""
