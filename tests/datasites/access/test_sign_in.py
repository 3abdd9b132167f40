"""Signing in: what fits, what is refused alike, who waits, and which codes are taken once."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import patch

import pyotp
import pytest
from support.added_people import BY_OWNER, add_person
from support.console_pages import Clock, Noted

from datasites.access import passwords
from datasites.access.people import REVIEWER
from datasites.access.signing_in import second_factor
from datasites.access.signing_in.own_account import OwnAccount
from datasites.access.signing_in.sign_in import REFUSED, SignIn
from datasites.access.staff import Person, Staff
from datasites.access.throttle import FREE_TRIES, SignInThrottle
from policies.errors import ConfigError, NotAllowed, SignInFailed

PASSWORD, OTHER = "four words of it", "five other words of it"
WU = Person("dr.wu", REVIEWER, named=True)
OF_NOBODY = passwords._NOBODYS


@pytest.fixture(autouse=True)
def little_work() -> Iterator[None]:
    """Little work for a password, and as little for a name that is nobody's: parameters are kept with each."""
    scheme, _, block, _, salt, key = OF_NOBODY.split("$")
    with patch.multiple(passwords, COST=1 << 4, PARALLEL=1, _NOBODYS="$".join((scheme, "16", block, "1", salt, key))):
        yield


@pytest.fixture
def staff(tmp_path: Path) -> Staff:
    made = Staff(tmp_path / "staff.json", tmp_path / "staff", owner="admin@clinic.org", owner_token="the owner's")
    add_person(made, "dr.wu", REVIEWER)
    made.set_password("dr.wu", PASSWORD)
    return made


@pytest.fixture
def noted() -> Noted:
    return Noted()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def sign_in(staff: Staff, noted: Noted, clock: Clock) -> SignIn:
    return SignIn(staff, noted, noted, SignInThrottle(clock))  # type: ignore[arg-type]


@pytest.fixture
def account(staff: Staff, sign_in: SignIn, noted: Noted) -> OwnAccount:
    return OwnAccount(staff, sign_in, noted)  # type: ignore[arg-type]


def test_of_a_password_a_salted_key_is_kept_that_fits_it_alone() -> None:
    one, other = passwords.kept(PASSWORD), passwords.kept(PASSWORD)
    assert one != other and PASSWORD not in one
    assert passwords.fits(PASSWORD, one) and passwords.fits(PASSWORD, other)
    assert not any(passwords.fits(wrong, one) for wrong in ("", PASSWORD + " ", PASSWORD.upper(), "\ud800"))
    assert not any(passwords.fits(given, "") for given in ("", PASSWORD))


def test_parameters_are_kept_so_that_later_ones_do_not_shut_anybody_out() -> None:
    kept = passwords.kept(PASSWORD)
    with patch.multiple(passwords, COST=1 << 5):
        assert passwords.fits(PASSWORD, kept) and passwords.kept(PASSWORD).startswith("scrypt$32$")


def test_one_password_typed_in_two_ways_of_writing_is_one() -> None:
    assert passwords.fits("Mu\u0308nchen is far", passwords.kept("München is far"))


def test_the_work_for_a_real_password_is_what_the_module_says() -> None:
    assert OF_NOBODY.split("$")[:4] == ["scrypt", "32768", "8", "3"]


@pytest.mark.parametrize("password", ["", "eleven char", "a" * 257, "abababababab", "xx Dr.Wu yy zz"])
def test_passwords_that_are_easily_guessed_are_not_set(staff: Staff, password: str) -> None:
    with pytest.raises(ConfigError):
        staff.set_password("dr.wu", password)


@pytest.mark.parametrize(
    ("name", "password"),
    [("dr.wu", "wrong"), ("dr.wu", ""), ("nobody", PASSWORD), ("admin@clinic.org", ""), ("", ""), ("\ud800", "\ud800")],
)
def test_whatever_is_wrong_is_refused_alike(sign_in: SignIn, noted: Noted, name: str, password: str) -> None:
    with pytest.raises(SignInFailed) as refused:
        sign_in.by_password(name, password, "", peer="p")
    assert refused.value.public == REFUSED
    known = name if name in ("dr.wu", "admin@clinic.org") else ""
    assert noted.events == [{"event": "sign-in at the console refused", "account": known}]


def test_an_account_without_a_password_lets_nobody_in_by_one(staff: Staff, sign_in: SignIn) -> None:
    add_person(staff, "m.lee", REVIEWER)
    with pytest.raises(SignInFailed):
        sign_in.by_password("m.lee", "", "", peer="p")


def test_pauses_grow_hold_for_the_right_password_too_and_end(sign_in: SignIn, noted: Noted, clock: Clock) -> None:
    waits = []
    for _ in range(FREE_TRIES + 4):
        try:
            sign_in.by_password("dr.wu", "wrong", "", peer="p")
        except SignInFailed as error:
            if "Wait" in error.public:
                waits.append(int(error.public.split("Wait ")[1].split()[0]))
                with pytest.raises(SignInFailed, match="Wait"):
                    sign_in.by_password("dr.wu", PASSWORD, "", peer="p")
                clock.now += waits[-1]
    assert waits == sorted(waits) and waits[0] < waits[-1]
    assert {"event": "sign-in at the console held back", "account": "dr.wu"} in noted.events
    assert sign_in.by_password("dr.wu", PASSWORD, "", peer="elsewhere").name == "dr.wu"


def test_an_address_that_tries_many_names_waits_for_each(sign_in: SignIn) -> None:
    said = []
    for number in range(40):
        with pytest.raises(SignInFailed) as refused:
            sign_in.by_password(f"name{number}", "wrong", "", peer="p")
        said.append(refused.value.public)
    assert said[0] == REFUSED and "Wait" in said[-1]


def test_a_code_is_taken_once_and_earlier_ones_never_after(account: OwnAccount, sign_in: SignIn, staff: Staff) -> None:
    secret, now = second_factor.new_secret(), 1_800_000_000.0
    codes = pyotp.TOTP(secret)
    with patch.object(second_factor.time, "time", lambda: now):
        account.add_second_factor(WU, PASSWORD, secret, codes.at(now), peer="p")
        for used in (codes.at(now), codes.at(now - 30), "", "000000", codes.at(now + 90)):
            with pytest.raises(SignInFailed):
                sign_in.by_password("dr.wu", PASSWORD, used, peer="p")
        early = codes.at(now + 30)
        assert sign_in.by_password("dr.wu", PASSWORD, f" {early[:3]} {early[3:]} ", peer="q").name == "dr.wu"
        with pytest.raises(SignInFailed):
            sign_in.by_password("dr.wu", PASSWORD, early, peer="q")
    assert [row.second_factor for row in staff.list()] == [True]


def test_a_wrong_password_does_not_use_a_code_up(account: OwnAccount, sign_in: SignIn) -> None:
    secret, now = second_factor.new_secret(), 1_800_000_000.0
    codes = pyotp.TOTP(secret)
    with patch.object(second_factor.time, "time", lambda: now):
        account.add_second_factor(WU, PASSWORD, secret, codes.at(now - 30), peer="p")
        with pytest.raises(SignInFailed):
            sign_in.by_password("dr.wu", "wrong", codes.at(now), peer="p")
        assert sign_in.by_password("dr.wu", PASSWORD, codes.at(now), peer="p")


def test_a_second_factor_is_set_up_with_the_password_and_a_code_that_the_device_made(
    account: OwnAccount, staff: Staff
) -> None:
    secret = second_factor.new_secret()
    with pytest.raises(SignInFailed):
        account.add_second_factor(WU, "wrong", secret, pyotp.TOTP(secret).now(), peer="p")
    with pytest.raises(ConfigError, match="code"):
        account.add_second_factor(WU, PASSWORD, secret, "12", peer="p")
    with pytest.raises(ConfigError, match="code"):
        account.add_second_factor(WU, PASSWORD, "", "", peer="p")
    assert not account.has_second_factor(WU)


def test_an_account_is_changed_by_its_person_and_every_change_is_noted(
    account: OwnAccount, sign_in: SignIn, staff: Staff, noted: Noted
) -> None:
    with pytest.raises(SignInFailed):
        account.change_password(WU, "wrong", "", OTHER, peer="p")
    account.change_password(WU, PASSWORD, "", OTHER, peer="p")
    assert sign_in.by_password("dr.wu", OTHER, "", peer="p") == WU
    with pytest.raises(NotAllowed):
        account.change_password(Person("admin@clinic.org", "admin", named=False), "", "", OTHER, peer="p")
    assert {"event": "password set", "name": "dr.wu", "by": "dr.wu"} in noted.events
    assert not any(secret in json.dumps(noted.events) for secret in (PASSWORD, OTHER))


def test_a_reset_takes_everything_and_the_new_file_sets_a_password_once(
    account: OwnAccount, sign_in: SignIn, staff: Staff, tmp_path: Path
) -> None:
    secret = second_factor.new_secret()
    account.add_second_factor(WU, PASSWORD, secret, pyotp.TOTP(secret).now(), peer="p")
    before = json.loads((tmp_path / "staff" / "dr.wu.json").read_text())["token"]
    token = json.loads(staff.reset("dr.wu", by=BY_OWNER, needed=1, url="").file.read_text())["token"]
    assert token != before and [(row.password, row.second_factor) for row in staff.list()] == [(False, False)]
    with pytest.raises(SignInFailed):
        staff.of_token(before)
    with pytest.raises(SignInFailed):
        sign_in.by_password("dr.wu", PASSWORD, "", peer="p")
    for name, given in (("dr.wu", before), ("admin@clinic.org", "the owner's"), ("nobody", token)):
        with pytest.raises(SignInFailed):
            sign_in.first_password(name, given, OTHER, peer="p")
    assert sign_in.first_password("dr.wu", token, OTHER, peer="p") == WU
    with pytest.raises(SignInFailed):
        sign_in.first_password("dr.wu", token, PASSWORD, peer="p")
    with pytest.raises(ConfigError):
        staff.reset("nobody", by=BY_OWNER, needed=1, url="")


def test_a_first_password_is_set_with_the_accounts_own_token_alone(staff: Staff, sign_in: SignIn) -> None:
    """Not with another person's, whether or not they have a password, nor with that of the state folder's owner."""
    tokens = {name: json.loads(add_person(staff, name, REVIEWER).read_text())["token"] for name in ("chan", "lee")}
    staff.set_password("lee", OTHER)
    for wrong in (tokens["lee"], "the owner's", ""):
        with pytest.raises(SignInFailed, match=REFUSED):
            sign_in.first_password("chan", wrong, PASSWORD, peer="p")
    with pytest.raises(SignInFailed):
        sign_in.by_password("chan", PASSWORD, "", peer="q")
    assert sign_in.first_password("chan", tokens["chan"], PASSWORD, peer="q").name == "chan"
    assert sign_in.by_password("lee", OTHER, "", peer="q").name == "lee"


def test_the_hospitals_provider_signs_in_people_with_an_account_and_it_is_noted(sign_in: SignIn, noted: Noted) -> None:
    assert sign_in.by_provider("dr.wu") == WU
    assert noted.events[-1] == {"event": "signed in", "by": "dr.wu", "way": "provider"}
    told = len(noted.events)
    for name in ("admin@clinic.org", "nobody", ""):
        with pytest.raises(SignInFailed, match=REFUSED):
            sign_in.by_provider(name)
    assert not [one for one in noted.events[told:] if one["event"] == "signed in"]
