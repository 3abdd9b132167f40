"""A person's own account in a browser: a second factor from its picture to a sign-in, and another password."""

from __future__ import annotations

from collections.abc import Callable

import httpx
import pyotp
from playwright.sync_api import BrowserContext, expect
from support.console_pages import OWNER, PASSWORD, REVIEWER_NAME, ConsoleOfFakes
from support.waiting import CEILING_SECONDS


def test_a_second_factor_is_set_up_without_scripts_and_sign_in_then_takes_its_code(
    own_console: ConsoleOfFakes, context_of: Callable[..., BrowserContext]
) -> None:
    context = context_of(java_script_enabled=False)
    own_console.sign_in(context, REVIEWER_NAME)
    page = context.new_page()
    page.goto(f"{own_console.url}/account")
    page.get_by_role("button", name="Set up a second factor").click()
    expect(page.get_by_role("img", name="QR code")).to_be_visible()
    picture = context.request.get(f"{own_console.url}/account/second-factor.svg")
    assert picture.headers["content-type"] == "image/svg+xml" and "<svg" in picture.text()
    codes = pyotp.TOTP(page.get_by_text("Secret:").locator("code").inner_text())
    card = page.get_by_role("region", name="Second factor")
    card.get_by_label("Password").fill(PASSWORD)
    card.get_by_label("Code").fill("000")
    card.get_by_role("button", name="Confirm").click()
    expect(page.get_by_role("alert")).to_contain_text("The code is not right.")
    card.get_by_label("Password").fill(PASSWORD)
    card.get_by_label("Code").fill(codes.now())
    card.get_by_role("button", name="Confirm").click()
    expect(page.get_by_role("status")).to_contain_text("takes a code of your device")
    page.get_by_role("button", name="Sign out").click()
    page.get_by_label("Name").fill(REVIEWER_NAME)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_contain_text("not right")
    account = own_console.staff.account(REVIEWER_NAME)
    assert account and account.second_factor not in repr(own_console.noted.events)


def test_another_password_signs_out_everywhere_else(
    own_console: ConsoleOfFakes, context_of: Callable[..., BrowserContext]
) -> None:
    elsewhere = own_console.session_of(REVIEWER_NAME)
    context = context_of()
    own_console.sign_in(context, REVIEWER_NAME)
    page = context.new_page()
    page.goto(f"{own_console.url}/account")
    card = page.get_by_role("region", name="Change your password")
    card.get_by_label("Password", exact=True).first.fill(PASSWORD)
    card.get_by_label("New password", exact=True).fill("seven other words of it")
    card.get_by_label("New password, again").fill("seven other words of it")
    card.get_by_role("button", name="Change the password").click()
    expect(page.get_by_role("status")).to_contain_text("signed out everywhere else")
    assert httpx.get(own_console.url, cookies=elsewhere, timeout=CEILING_SECONDS).status_code == 303


def test_the_owner_of_the_state_folder_has_no_password_to_change(
    served: ConsoleOfFakes, context_of: Callable[..., BrowserContext]
) -> None:
    context = context_of()
    served.sign_in(context, OWNER)
    page = context.new_page()
    page.goto(f"{served.url}/account")
    expect(page.get_by_text("You own the state folder")).to_be_visible()
    expect(page.get_by_label("Password")).to_have_count(0)
