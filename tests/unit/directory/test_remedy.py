"""A provider's own remedy for a cause."""

from __future__ import annotations

import pytest

from posthouse import directory

from .shared import rows

VARIANTS = ["tenant", "mailbox", "security_defaults", "conditional_access", "consumer"]


def test_m365_has_five_remedies_for_five_refusals() -> None:
    m365 = directory.load("m365")
    for lang in ("en", "zh"):
        said = [m365.remedy("auth.disabled", lang, variant) for variant in VARIANTS]
        assert None not in said
        assert len({*said, m365.remedy("auth.disabled", lang)}) == 6


def test_an_unknown_variant_gets_the_usual_remedy() -> None:
    m365 = directory.load("m365")
    assert m365.remedy("auth.disabled", "en", "new") == m365.remedy("auth.disabled", "en")


def test_no_own_remedy() -> None:
    assert directory.load("qq").remedy("dns.temporary", "zh") is None
    assert directory.load("jubii-mail").remedy("auth.credentials", "en") is None


def test_an_unknown_language_gets_english() -> None:
    qq = directory.load("qq")
    assert qq.remedy("auth.app_password", "fr") == qq.remedy("auth.app_password", "en")


NAMED = [
    ("qq", "auth.app_password", "zh", "授权码"),
    ("netease-126", "auth.app_password", "zh", "授权码"),
    ("exmail", "auth.app_password", "zh", "客户端专用密码"),
    ("gmail", "auth.app_password", "en", "https://myaccount.google.com/apppasswords"),
    ("icloud", "auth.app_password", "en", "account.apple.com"),
    ("outlook", "auth.disabled", "en", "OAuth2"),
    ("m365", "auth.disabled", "en", "Authenticated SMTP".lower()),
    ("ses", "auth.credentials", "zh", "IAM"),
    ("sendgrid", "auth.credentials", "en", "apikey"),
]


@pytest.mark.parametrize(("provider_id", "cause", "lang", "part"), NAMED)
def test_the_remedy_names_it(provider_id: str, cause: str, lang: str, part: str) -> None:
    said = directory.load(provider_id).remedy(cause, lang)
    assert said is not None
    assert part in said or part in said.lower()


def test_every_remedy_is_for_a_cause_of_the_vocabulary() -> None:
    causes = {row["id"] for row in rows("taxonomy.tsv")}
    used = {c for p in map(directory.load, directory.ids()) for c in p.remedies}
    assert used
    assert used <= causes
