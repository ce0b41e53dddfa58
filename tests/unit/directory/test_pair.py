"""An address and a server that don't belong together (capability row 47)."""

from __future__ import annotations

import pytest

from posthouse import directory

ROWS = """
user@outlook.com smtp.gmail.com pairing.other_provider
user@gmail.com smtp-mail.outlook.com pairing.other_provider
user@qq.com smtp.163.com pairing.other_provider
user@126.com smtp.163.com pairing.other_provider
user@139.com smtp.189.cn pairing.other_provider
user@outlook.com smtp.office365.com pairing.other_provider
user@qq.com smtp.exmail.qq.com pairing.other_provider
user@gmail.com smtp.gmail.com -
user@gmail.com smtp.googlemail.com -
user@nyu.edu smtp.gmail.com -
user@verizon.net smtp.aol.com -
user@firm.onmicrosoft.com smtp.office365.com -
user@company.example smtp.gmail.com -
user@gmail.com smtp.company.example -
user@gmail.com smtp.sendgrid.net -
user@qq.com email-smtp.us-east-1.amazonaws.com -
nonsense smtp.gmail.com -
user@gmail.com  -
"""


@pytest.mark.parametrize("row", ROWS.strip("\n").splitlines())
def test_pairing(row: str) -> None:
    address, host, wanted = row.split(" ")
    assert (directory.pairing(address, host) or "-") == wanted
