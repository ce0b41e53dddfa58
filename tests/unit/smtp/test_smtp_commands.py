"""Command lines, paths and parameters: what is taken, what is refused, what is written."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.protocol.smtp import (
    Auth,
    AuthResponse,
    Bdat,
    Command,
    Data,
    Ehlo,
    Expn,
    Helo,
    Help,
    Lhlo,
    LocalProtocolError,
    Mail,
    Noop,
    PathError,
    Quit,
    Rcpt,
    Reply,
    Rset,
    SessionLimits,
    StartTls,
    Unknown,
    Vrfy,
    Xclient,
    auth_mechanisms,
    check_address,
    decode_xtext,
    encode_xtext,
    erased,
    parse_path,
    session_limits,
    size_limit,
)
from posthouse.protocol.smtp.extensions import parse_ehlo
from posthouse.protocol.smtp.limits import PATH
from posthouse.protocol.smtp.parse import CommandError, parse_command, parse_response, usual
from posthouse.protocol.smtp.write import write_command

OFFERED = """
    SIZE 8BITMIME BINARYMIME CHUNKING SMTPUTF8 DSN AUTH STARTTLS XCLIENT REQUIRETLS DELIVERBY
    FUTURERELEASE RRVS MT-PRIORITY
"""
ALL = dict.fromkeys(OFFERED.split(), "")


@pytest.mark.parametrize(
    ("line", "command"),
    [
        (b"EHLO me.test", Ehlo("me.test")),
        (b"ehlo [192.0.2.1]", Ehlo("[192.0.2.1]")),
        (b"EHLO my pc", Ehlo("my pc")),
        ("EHLO müller".encode(), Ehlo("m??ller")),
        ("EHLO 张三-PC".encode("gbk"), Ehlo("????-PC")),
        ("helo\tmüller".encode("latin-1"), Helo("m?ller")),
        (b"HELO me.test  ", Helo("me.test")),
        (b"LHLO me.test", Lhlo("me.test")),
        (b"STARTTLS", StartTls()),
        (b"AUTH PLAIN", Auth("PLAIN")),
        (b"AUTH plain AGEAYg==", Auth("PLAIN", b"\0a\0b")),
        (b"AUTH EXTERNAL =", Auth("EXTERNAL", b"")),
        (b"MAIL FROM:<a@b.test>", Mail("a@b.test")),
        (b"mail from:<>", Mail("")),
        (b"MAIL FROM: <a@b.test>", Mail("a@b.test")),
        (b'MAIL FROM:<"a b"@c.test>', Mail('"a b"@c.test')),
        (b"MAIL FROM:<@x.test,@y.test:a@b.test>", Mail("a@b.test")),
        (
            b"MAIL FROM:<a@b.test> SIZE=10 body=8BITMIME",
            Mail("a@b.test", {"SIZE": "10", "BODY": "8BITMIME"}),
        ),
        ("MAIL FROM:<jösé@b.test> SMTPUTF8".encode(), Mail("jösé@b.test", {"SMTPUTF8": None})),
        (
            b"MAIL FROM:<a@b.test> RET=HDRS ENVID=Q+3D1",
            Mail("a@b.test", {"RET": "HDRS", "ENVID": "Q+3D1"}),
        ),
        (b"MAIL FROM:<a@b.test> AUTH=<>", Mail("a@b.test", {"AUTH": "<>"})),
        (b"MAIL FROM:<a@b.test> MT-PRIORITY=-3", Mail("a@b.test", {"MT-PRIORITY": "-3"})),
        (b"RCPT TO:<Postmaster>", Rcpt("Postmaster")),
        (b"RCPT TO:<a@[IPv6:2001:db8::1]>", Rcpt("a@[IPv6:2001:db8::1]")),
        (
            b"RCPT TO:<a@b.test> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;a@b.test",
            Rcpt("a@b.test", {"NOTIFY": "SUCCESS,FAILURE", "ORCPT": "rfc822;a@b.test"}),
        ),
        (b"DATA", Data()),
        (b"BDAT 0 last", Bdat(0, True)),
        (b"BDAT 86000", Bdat(86000)),
        (b"RSET", Rset()),
        (b"NOOP whatever", Noop("whatever")),
        (b"VRFY alice", Vrfy("alice")),
        (b"EXPN staff", Expn("staff")),
        (b"HELP", Help()),
        (b"QUIT", Quit()),
        (
            b"XCLIENT ADDR=192.0.2.1 LOGIN=a+40b",
            Xclient({"ADDR": "192.0.2.1", "LOGIN": "a@b"}),
        ),
        (b"", Unknown("")),
        ("RſET".encode(), Unknown("RſET")),
        ("MAıL FROM:<>".encode(), Unknown("MAıL FROM:<>")),
        (b"GET / HTTP/1.1", Unknown("GET / HTTP/1.1")),
    ],
)
def test_good_lines(line: bytes, command: Command) -> None:
    assert parse_command(line, extensions=ALL) == command


@pytest.mark.parametrize(
    ("line", "code", "enhanced"),
    [
        (b"EHLO", 501, "5.5.4"),
        (b"DATA now", 501, "5.5.4"),
        (b"QUIT now", 501, "5.5.4"),
        (b"STARTTLS x", 501, "5.5.4"),
        (b"AUTH", 501, "5.5.4"),
        (b"AUTH PLAIN a b", 501, "5.5.4"),
        (b"AUTH PL*IN", 501, "5.5.4"),
        (b"AUTH PLAIN a3J===", 501, "5.5.2"),
        (b"AUTH PLAIN a3JwEjExMjM0NQ==:cGFzc3dvcmQ=", 501, "5.5.2"),
        (b"MAIL", 501, "5.5.4"),
        (b"MAIL FROM", 501, "5.5.4"),
        (b"MAIL FROM:a@b.test", 501, "5.1.7"),
        (b"MAIL FROM:<a@b.test", 501, "5.1.7"),
        (b"MAIL FROM:<a@b.test>SIZE=1", 501, "5.5.4"),
        (b"MAIL FROM:<a@b.test> SIZE=x", 501, "5.5.4"),
        (b"MAIL FROM:<a@b.test> SIZE=1 SIZE=2", 501, "5.5.4"),
        (b"MAIL FROM:<a@b.test> =1", 501, "5.5.4"),
        (b"MAIL FROM:<a@b.test> SMTPUTF8=1", 501, "5.5.4"),
        (b"MAIL FROM:<a@b.test> NOSUCH=1", 555, "5.5.4"),
        ("MAIL FROM:<jösé@b.test>".encode(), 553, "5.6.7"),
        (b"RCPT TO:<>", 501, "5.1.3"),
        (b"RCPT TO:<alice>", 501, "5.1.3"),
        (b"RCPT TO:<a@b@c.test>", 501, "5.1.3"),
        ("RCPT TO:<jösé@b.test>".encode(), 553, "5.6.7"),
        (b"RCPT TO:<a@b.test> SIZE=1", 555, "5.5.4"),
        (b"RCPT TO:<a@b.test> NOTIFY=NEVER,DELAY", 501, "5.5.4"),
        ("RCPT TO:<a@b.test> NOTIFY=ſUCCESS".encode(), 501, "5.5.4"),
        ("MAIL FROM:<a@b.test> BODY=8BıTMIME".encode(), 501, "5.5.4"),
        ("MAIL FROM:<a@b.test> ENVID=ſ".encode(), 501, "5.5.4"),
        ("BDAT 1 LAſT".encode(), 501, "5.5.4"),
        (b"BDAT", 501, "5.5.4"),
        (b"BDAT x", 501, "5.5.4"),
        (b"BDAT 1 FIRST", 501, "5.5.4"),
        (b"BDAT -1", 501, "5.5.4"),
        (b"VRFY", 501, "5.5.4"),
        (b"XCLIENT", 501, "5.5.4"),
        (b"XCLIENT ADDR", 501, "5.5.4"),
        (b"XCLIENT ADDR=+zz", 501, "5.5.4"),
        (b"NOOP \x00", 500, "5.5.2"),
        (b"NOOP \r", 500, "5.5.2"),
        (b"NOOP \xff", 500, "5.5.2"),
    ],
)
def test_bad_lines(line: bytes, code: int, enhanced: str) -> None:
    with pytest.raises(CommandError) as caught:
        parse_command(line, extensions=ALL)
    reply = caught.value.reply
    assert (reply.code, str(reply.enhanced)) == (code, enhanced)


@pytest.mark.parametrize(
    ("line", "needs"),
    [
        (b"MAIL FROM:<a@b.test> SIZE=1", "SIZE"),
        (b"MAIL FROM:<a@b.test> BODY=8BITMIME", "8BITMIME"),
        (b"MAIL FROM:<a@b.test> BODY=BINARYMIME", "BINARYMIME"),
        (b"MAIL FROM:<a@b.test> SMTPUTF8", "SMTPUTF8"),
        (b"MAIL FROM:<a@b.test> RET=FULL", "DSN"),
        (b"MAIL FROM:<a@b.test> AUTH=<>", "AUTH"),
        (b"MAIL FROM:<a@b.test> REQUIRETLS", "REQUIRETLS"),
        (b"MAIL FROM:<a@b.test> BY=120;R", "DELIVERBY"),
        (b"MAIL FROM:<a@b.test> HOLDFOR=60", "FUTURERELEASE"),
        (b"RCPT TO:<a@b.test> NOTIFY=NEVER", "DSN"),
    ],
)
def test_parameters_need_their_extension(line: bytes, needs: str) -> None:
    parse_command(line, extensions=ALL)
    with pytest.raises(CommandError) as caught:
        parse_command(line, extensions={k: v for k, v in ALL.items() if k != needs})
    assert caught.value.reply.code == 555


def test_priority_is_ignored_politely() -> None:
    command = parse_command(b"MAIL FROM:<a@b.test> MT-PRIORITY=5", extensions={})
    assert command == Mail("a@b.test", {"MT-PRIORITY": "5"})


@pytest.mark.parametrize(
    ("line", "data"),
    [(b"", b""), (b"YQ==", b"a"), (b" YQ== ", b"a"), (b"*", None)],
)
def test_auth_responses(line: bytes, data: bytes | None) -> None:
    assert parse_response(line) == AuthResponse(data)


@pytest.mark.parametrize("line", [b"a", b"=", b"Y Q=", b"\xff\xff", b"YQ==YQ=="])
def test_auth_responses_that_are_no_base64(line: bytes) -> None:
    with pytest.raises(CommandError) as caught:
        parse_response(line)
    assert caught.value.reply.code == 501


ACCEPTED = [
    "a@b.test",
    "a.b+c@b.test",
    "!#$%&'*+/=?^_`{|}~-@b.test",
    '"a\\"b@c"@b.test',
    '""@b.test',
    "a@b_c.test",
    "a@[192.0.2.1]",
    "a@[IPv6:::1]",
    "a@[127.000.000.001]",
    "a@[010.1.01.255]",
    "a@[x400:foo]",
    "a@xn--exmple-cua.test",
    "a" * 100 + "@b.test",
]
REFUSED = [
    "",
    "a",
    "@b.test",
    "a@",
    ".a@b.test",
    "a.@b.test",
    "a..b@c.test",
    "a b@c.test",
    "a@b..test",
    "a@-b.test",
    "a@b-.test",
    "a@b.test.",
    "a@" + "b" * 64 + ".test",
    "a" * 250 + "@b.test",
    '"a"b@c.test',
    '"a\x00"@c.test',
    "a@[192.0.2.256]",
    "a@[IPv6:1]",
    "a@[IPv6:fe80::1%eth0]",
    "a@[256.1.1.1]",
    "a@[0127.0.0.1]",
    '"a\tb"@b.test',
    "a@[]",
    "a@[:x]",
    "a<b@c.test",
    "a@b.test>",
    "a@b.test> SIZE=1",
    "@x.test:a@b.test",
]


@pytest.mark.parametrize("address", ACCEPTED)
def test_addresses(address: str) -> None:
    assert parse_path(f"<{address}> rest") == (address, " rest")
    check_address(address)


@pytest.mark.parametrize("address", REFUSED)
def test_no_addresses(address: str) -> None:
    with pytest.raises(PathError):
        check_address(address)


def test_wide_addresses_only_with_smtputf8() -> None:
    for address in ("jösé@b.test", "a@例え.test"):
        check_address(address, utf8=True)
        with pytest.raises(PathError) as caught:
            check_address(address)
        assert caught.value.reason == "not_ascii"


WRITTEN: list[tuple[Command, bytes]] = [
    (Ehlo("me.test"), b"EHLO me.test\r\n"),
    (Helo("[192.0.2.1]"), b"HELO [192.0.2.1]\r\n"),
    (Auth("PLAIN", b"\0a\0b"), b"AUTH PLAIN AGEAYg==\r\n"),
    (Auth("PLAIN", b""), b"AUTH PLAIN =\r\n"),
    (Auth("LOGIN"), b"AUTH LOGIN\r\n"),
    (AuthResponse(b""), b"\r\n"),
    (AuthResponse(None), b"*\r\n"),
    (Mail(""), b"MAIL FROM:<>\r\n"),
    (Mail("a@b.test", {"SIZE": "9"}), b"MAIL FROM:<a@b.test> SIZE=9\r\n"),
    (Mail("ö@b.test", {"SMTPUTF8": None}), "MAIL FROM:<ö@b.test> SMTPUTF8\r\n".encode()),
    (Bdat(7, True), b"BDAT 7 LAST\r\n"),
    (Noop(), b"NOOP\r\n"),
    (Xclient({"addr": "a=b"}), b"XCLIENT ADDR=a+3Db\r\n"),
]


@pytest.mark.parametrize(("command", "line"), WRITTEN)
def test_written(command: Command, line: bytes) -> None:
    assert write_command(command, extensions=ALL) == line


@pytest.mark.parametrize(
    "command",
    [
        Ehlo(""),
        Ehlo("a\r\nMAIL FROM:<>"),
        Ehlo("müller"),
        Ehlo("two words"),
        Noop("a\nb"),
        Noop("ä"),
        Vrfy("a\0"),
        Vrfy(" "),
        Unknown("X\r\nQUIT"),
        Auth("PL IN"),
        Auth("PLAIN", b"x" * 20_000),
        AuthResponse(b"x" * 20_000),
        Mail("a@b.test\r\nRCPT TO:<x@y.test>"),
        Mail("a@b.test> SIZE=1"),
        Mail("ö@b.test"),
        Mail("a@b.test", {"SIZE": "1\r\n"}),
        Mail("a@b.test", {"NOSUCH": "1"}),
        Mail("a@b.test", {"X Y": "1"}),
        Rcpt(""),
        Rcpt("ö@b.test"),
        Bdat(-1),
        Noop("x" * 600),
    ],
)
def test_nonsense_is_never_written(command: Command) -> None:
    with pytest.raises(LocalProtocolError):
        write_command(command, extensions=ALL)


@pytest.mark.parametrize(
    "command",
    [
        StartTls(),
        Bdat(1),
        Mail("a@b.test", {"SIZE": "1"}),
        Mail("a@b.test", {"MT-PRIORITY": "1"}),
        Mail("ö@b.test", {"SMTPUTF8": None}),
        Rcpt("a@b.test", {"NOTIFY": "NEVER"}),
    ],
)
def test_what_was_not_offered_is_not_asked(command: Command) -> None:
    with pytest.raises(LocalProtocolError):
        write_command(command, extensions={})


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["SIZE 1000", "8BITMIME"], {"SIZE": "1000", "8BITMIME": ""}),
        (["8 BITMIME"], {"8BITMIME": ""}),
        (["AUTH LOGIN PLAIN", "AUTH=LOGIN NTLM"], {"AUTH": "LOGIN PLAIN NTLM"}),
        (["AUTH=LOGIN"], {"AUTH": "LOGIN"}),
        (["starttls", ""], {"STARTTLS": ""}),
        (["XXXXXXXA"], {"XXXXXXXA": ""}),
    ],
)
def test_ehlo_lines(lines: list[str], expected: dict[str, str]) -> None:
    assert parse_ehlo(lines) == expected


def test_what_extensions_say() -> None:
    assert auth_mechanisms({"AUTH": "login Plain"}) == ("LOGIN", "PLAIN")
    assert auth_mechanisms({}) == ()
    assert [size_limit({"SIZE": s}) for s in ("10", "0", "", "x", "9" * 30)] == [10] + [None] * 4
    assert size_limit({}) is None
    assert erased({"XXXXXXXA": ""})
    assert erased({"*******": ""})
    assert not erased({"X": "", "XCLIENT": "", "8BITMIME": ""})
    assert session_limits({"LIMITS": "RCPTMAX=20 MAILMAX=5 X=1 rcptdomainmax=0"}) == SessionLimits(
        mail_max=5, rcpt_max=20
    )


@given(st.text(max_size=60))
def test_xtext_round_trip(text: str) -> None:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return
    encoded = encode_xtext(text)
    assert encoded.isascii()
    assert not set(encoded) & set("= \r\n\0")
    assert decode_xtext(encoded) == text


@pytest.mark.parametrize("text", ["+", "+4", "+4g", "a=b", "a b", "+ff"])
def test_no_xtext(text: str) -> None:
    with pytest.raises(ValueError, match=r"xtext|utf-8"):
        decode_xtext(text)


@given(st.binary(max_size=200), st.booleans())
def test_no_line_breaks_the_parser(line: bytes, utf8: bool) -> None:
    for start in (b"", b"MAIL FROM:", b"RCPT TO:<", b"AUTH ", b"BDAT ", b"XCLIENT "):
        refusal = _refusal(start + line, utf8)
        assert refusal is None or 500 <= refusal.code <= 555


def _refusal(line: bytes, utf8: bool) -> Reply | None:
    try:
        parse_command(line, extensions=ALL, utf8=utf8)
    except CommandError as error:
        return error.reply
    return None


@given(st.text(max_size=80))
def test_what_is_written_is_what_is_parsed(text: str) -> None:
    for command in (Ehlo(text), Mail(text), Rcpt(text), Noop(text), Vrfy(text)):
        try:
            line = write_command(command, extensions=ALL)
        except LocalProtocolError:
            continue
        assert line.count(b"\n") == line.count(b"\r\n") == 1
        again = parse_command(line[:-2], extensions=ALL)
        assert again == command or isinstance(command, Noop | Vrfy)


PIECES = st.lists(
    st.sampled_from(
        [
            *(
                "MAIL FROM",
                "mail from",
                "RCPT TO",
                "MAIL TO",
                ":",
                ": ",
                "<",
                ">",
                "@",
                ".",
                "-",
                "+",
            ),
            *("alice", "bob.b", "a" * 64, "example.com", "x.test", "b" * 63, "1", "[192.0.2.1]"),
            *(
                " SIZE=",
                "5",
                "9" * 20,
                " BODY=8BITMIME",
                " body=7bit",
                " BODY=BINARYMIME",
                " RET=FULL",
            ),
            *("DATA", "RSET", "QUIT", "data", " ", "\t", "\r\n", "\n", "\0", "\u00e9", "@r.test:"),
        ]
    ),
    max_size=14,
).map("".join)
USUAL = st.from_regex(
    r"\A(MAIL FROM|RCPT TO|mail from):<[a-z.+]{1,9}@[a-z0-9.-]{1,12}>( SIZE=[0-9]{1,21})?"
    r"( BODY=(7BIT|8bitmime|BINARYMIME))?\Z"
)


@given(st.one_of(PIECES, USUAL), st.sampled_from([ALL, {}, {"SIZE": ""}]))
def test_the_usual_lines_are_read_as_the_parsers_read_them(
    line: str, extensions: dict[str, str]
) -> None:
    octets = line.encode()
    command = usual(octets + b"\r\n", extensions)
    if command is not None:
        assert command == parse_command(octets, extensions=extensions)


@pytest.mark.parametrize(
    "line",
    [
        b"MAIL FROM:<a@b.test>",
        b"mail from:<a+b.c@b-d.e.test> SIZE=4711 BODY=8BITMIME",
        b"RCPT TO:<c@d.test>",
        b"DATA",
        b"RSET",
        b"QUIT",
    ],
)
def test_usual_lines_are_known_at_once(line: bytes) -> None:
    assert usual(line + b"\r\n", ALL) == parse_command(line, extensions=ALL)
    assert usual(line, ALL) is None
    assert usual(line + b"\n", ALL) is None


def test_a_usual_line_is_no_longer_than_a_path_may_be() -> None:
    domain = ".".join(["d" * 60] * 3) + ".test"
    local = "l" * (PATH - len("<@>") - len(domain))
    assert usual(f"RCPT TO:<{local}@{domain}>\r\n".encode(), ALL) is not None
    assert usual(f"RCPT TO:<{local}l@{domain}>\r\n".encode(), ALL) is None
