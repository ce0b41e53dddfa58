"""What some server has taken for the end of a message, and is none (RFC 5321 section 4.1.1.4)."""

from __future__ import annotations

import pytest

FALSE_ENDS = [
    pytest.param(b"\n.\n", id="LF.LF-CVE-2023-51764-Postfix"),
    pytest.param(b"\n.\r\n", id="LF.CRLF-CVE-2023-51764-Postfix-CVE-2023-51765-Sendmail"),
    pytest.param(b"\r\n.\n", id="CRLF.LF-CVE-2023-51766-Exim"),
    pytest.param(b"\r.\r\n", id="CR.CRLF-CVE-2023-51765-Sendmail-CVE-2024-27305-aiosmtpd"),
    pytest.param(b"\r\n.\r", id="CRLF.CR-CVE-2024-27305-aiosmtpd"),
    pytest.param(b"\r.\r", id="CR.CR"),
    pytest.param(b"\r.\n", id="CR.LF"),
    pytest.param(b"\n.\r", id="LF.CR"),
    pytest.param(b"\r\n.\r\r\n", id="CRLF.CRCRLF"),
    pytest.param(b"\r\r\n.\r\r\n", id="CRCRLF.CRCRLF"),
    pytest.param(b"\n\n.\n\n", id="LFLF.LFLF"),
]
