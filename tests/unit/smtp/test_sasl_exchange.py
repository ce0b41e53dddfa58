"""Client against server, and either against a peer that lies."""

import base64
import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from posthouse.flow import Secret
from posthouse.protocol.smtp.sasl import (
    MECHANISMS,
    ChannelBinding,
    ClientMechanism,
    SaslError,
    ServerMechanism,
    TableAccounts,
    choose,
    client,
    decode_line,
    decode_oauth_error,
    encode_initial,
    encode_line,
    server,
)

NONCE = b"0123456789abcdef"
CHALLENGE = b"<1.2@mail.example.com>"
BINDING = ChannelBinding("tls-exporter", b"b" * 32)
ACCOUNTS = TableAccounts({"alice@example.com": "pä,=ss", "bob": "x"}, {"alice@example.com": "tok"})
PASSWORD_MECHANISMS = [name for name in MECHANISMS if "OAUTH" not in name]


def our_side(mechanism: str, username: str, secret: str, **options: object) -> ClientMechanism:
    binding = BINDING if mechanism.endswith("-PLUS") else None
    return client(
        mechanism,
        username=username,
        secret=Secret(secret),
        nonce=NONCE,
        host="mail.example.com",
        port=587,
        **{"channel_binding": binding, **options},  # type: ignore[arg-type]
    )


def their_side(mechanism: str, **options: object) -> ServerMechanism:
    binding = BINDING if mechanism.endswith("-PLUS") else None
    return server(
        mechanism,
        ACCOUNTS,
        nonce=NONCE[::-1],
        challenge=CHALLENGE,
        **{"channel_binding": binding, **options},  # type: ignore[arg-type]
    )


def exchange(ours: ClientMechanism, theirs: ServerMechanism, *, initial: bool = True) -> None:
    """Carry the messages over the wire's base64 until the server is content."""
    first = ours.initial if initial else None
    wire = None if first is None else decode_line(encode_initial(first), initial=True)
    challenge = theirs.start(wire)
    while challenge is not None:
        answer = ours.respond(decode_line(encode_line(challenge)))
        challenge = theirs.receive(decode_line(encode_line(answer)))
    ours.done()


@pytest.mark.parametrize("initial", [True, False])
@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_round_trip(mechanism: str, initial: bool) -> None:
    secret = "tok" if "OAUTH" in mechanism else "pä,=ss"
    ours, theirs = our_side(mechanism, "alice@example.com", secret), their_side(mechanism)
    exchange(ours, theirs, initial=initial)
    assert theirs.username == "alice@example.com"
    assert ours.verified == mechanism.startswith("SCRAM")
    assert ours.name == theirs.name == mechanism


@pytest.mark.parametrize("mechanism", MECHANISMS)
@pytest.mark.parametrize("user", ["alice@example.com", "nobody"])
def test_wrong_secret(mechanism: str, user: str) -> None:
    ours, theirs = our_side(mechanism, user, "wrong"), their_side(mechanism)
    with pytest.raises(SaslError) as caught:
        exchange(ours, theirs)
    assert (caught.value.reason, caught.value.malformed) == ("credentials", False)
    assert theirs.username == ""


@pytest.mark.parametrize("mechanism", PASSWORD_MECHANISMS)
def test_no_secret_in_what_is_printed(mechanism: str) -> None:
    ours = our_side(mechanism, "alice@example.com", "S3cretWord")
    assert "S3cretWord" not in repr(ours) + str(ours)
    with pytest.raises(SaslError) as caught:
        exchange(ours, their_side(mechanism))
    assert "S3cretWord" not in repr(caught.value) + str(caught.value)


@pytest.mark.parametrize("words", ["Username:", "VXNlcm5hbWU6", "用户名", "", "Password?"])
def test_login_is_told_by_order_not_by_words(words: str) -> None:
    ours = our_side("LOGIN", "bob", "x")
    assert ours.respond(words.encode()) == b"bob"
    assert ours.respond(words.encode()) == b"x"
    with pytest.raises(SaslError, match="unexpected_challenge"):
        ours.respond(words.encode())


@pytest.mark.parametrize("mechanism", ["LOGIN", "CRAM-MD5", "SCRAM-SHA-256"])
def test_a_yes_that_comes_too_early_is_not_believed(mechanism: str) -> None:
    with pytest.raises(SaslError):
        our_side(mechanism, "bob", "x").done()


@pytest.mark.parametrize(
    ("encoding", "password", "sent"),
    [
        ("utf-8", "ä", b"\xc3\xa4"),
        ("latin-1", "ä", b"\xe4"),
        ("gb18030", "密", b"\xc3\xdc"),
    ],
)
def test_old_encodings_for_a_second_try(encoding: str, password: str, sent: bytes) -> None:
    ours = our_side("PLAIN", "bob", password, encoding=encoding)
    assert ours.initial == b"\0bob\0" + sent
    login = our_side("LOGIN", "bob", password, encoding=encoding)
    assert [login.respond(b""), login.respond(b"")] == [b"bob", sent]


@pytest.mark.parametrize(
    ("mechanism", "user", "secret", "options", "reason"),
    [
        ("PLAIN", "b\0b", "x", {}, "nul"),
        ("PLAIN", "bob", "x\0", {}, "nul"),
        ("LOGIN", "b\0b", "x", {}, "nul"),
        ("PLAIN", "", "x", {}, "empty"),
        ("PLAIN", "bob", "", {}, "empty"),
        ("PLAIN", "bob", "密", {"encoding": "latin-1"}, "not_encodable"),
        ("PLAIN", "bob", "\ud800", {}, "not_encodable"),
        ("SCRAM-SHA-256", "bob", "x", {"encoding": "latin-1"}, "encoding"),
        ("SCRAM-SHA-256", "bob\ud800", "x", {}, "prohibited"),
        ("SCRAM-SHA-256", "", "x", {}, "empty"),
        ("SCRAM-SHA-256", "bob", "x", {"nonce": b"short"}, "nonce_too_short"),
        ("SCRAM-SHA-256-PLUS", "bob", "x", {"channel_binding": None}, "no_channel_binding"),
        ("XOAUTH2", "bob", "to\x01ken", {}, "token_form"),
        ("XOAUTH2", "bo\x01b", "token", {}, "control_character"),
        ("XOAUTH2", "", "token", {}, "empty"),
        ("OAUTHBEARER", "bob", "", {}, "token_form"),
        ("GSSAPI", "bob", "x", {}, "unknown_mechanism"),
    ],
)
def test_client_refuses(
    mechanism: str, user: str, secret: str, options: dict[str, object], reason: str
) -> None:
    with pytest.raises(SaslError) as caught:
        client(
            mechanism,
            username=user,
            secret=Secret(secret),
            **{"nonce": NONCE, **options},  # type: ignore[arg-type]
        )
    assert caught.value.reason == reason


def test_server_knows_no_other_mechanism() -> None:
    with pytest.raises(SaslError, match="unknown_mechanism"):
        server("NTLM", ACCOUNTS)


def server_first(extra: str = "zz", salt: str = "c2FsdA==", rounds: str = "4096") -> bytes:
    return f"r={NONCE.decode()}{extra},s={salt},i={rounds}".encode()


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (server_first(extra=""), "nonce_mismatch"),
        (b"r=other" + server_first(), "nonce_mismatch"),
        (server_first(rounds="1"), "iterations"),
        (server_first(rounds="4095"), "iterations"),
        (server_first(rounds="1000001"), "iterations"),
        (server_first(rounds="999999999"), "iterations"),
        (server_first(rounds="9" * 5000), "message_form"),
        (server_first(rounds="0"), "message_form"),
        (server_first(rounds="-1"), "message_form"),
        (server_first(rounds="١"), "message_form"),  # an Arabic digit is no digit here
        (server_first(salt="===="), "message_form"),
        (server_first(salt=base64.b64encode(b"s" * 1025).decode()), "message_form"),
        (b"m=ext," + server_first(), "message_form"),
        (b"e=other-error", "message_form"),
        (b"", None),
        (b"\xff", "not_utf8"),
        (b"x" * 10_000, "too_long"),
    ],
)
def test_scram_client_and_a_hostile_first_message(message: bytes, reason: str | None) -> None:
    ours = our_side("SCRAM-SHA-256", "bob", "x")
    if reason is None:
        assert ours.respond(message) == ours.initial
        return
    with pytest.raises(SaslError) as caught:
        ours.respond(message)
    assert caught.value.reason == reason


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (b"v=" + base64.b64encode(b"0" * 32), "server_signature"),
        (b"v=", "server_signature"),
        (b"v=!", "message_form"),
        (b"e=invalid-proof", "server_refused"),
        (b"", "message_form"),
        (b"welcome", "message_form"),
    ],
)
def test_scram_client_refuses_a_server_that_does_not_know_the_password(
    message: bytes, reason: str
) -> None:
    ours = our_side("SCRAM-SHA-256", "bob", "x")
    ours.respond(server_first())
    with pytest.raises(SaslError) as caught:
        ours.respond(message)
    assert caught.value.reason == reason
    with pytest.raises(SaslError, match="server_not_verified"):
        ours.done()


def test_scram_notices_that_plus_was_taken_out_of_the_list() -> None:
    ours = our_side("SCRAM-SHA-256", "bob", "x", channel_binding=BINDING)
    assert (ours.initial or b"").startswith(b"y,,")
    with pytest.raises(SaslError, match="channel_binding"):
        exchange(ours, their_side("SCRAM-SHA-256", plus_offered=True))


def test_scram_plus_notices_another_tls_connection() -> None:
    elsewhere = ChannelBinding("tls-exporter", b"m" * 32)
    ours = our_side("SCRAM-SHA-256-PLUS", "bob", "x", channel_binding=elsewhere)
    with pytest.raises(SaslError, match="channel_binding"):
        exchange(ours, their_side("SCRAM-SHA-256-PLUS"))


def test_scram_answers_an_unknown_user_the_same_way_each_time() -> None:
    salts = [
        (their_side("SCRAM-SHA-256", decoy=b"k").start(b"n,,n=nobody,r=" + NONCE) or b"").split(
            b","
        )[1]
        for _ in range(2)
    ]
    assert salts[0] == salts[1]
    other = their_side("SCRAM-SHA-256", decoy=b"k").start(b"n,,n=nobody2,r=" + NONCE) or b""
    assert salts[0] not in other


def test_scram_carries_an_authorisation_identity() -> None:
    ours, theirs = (
        our_side("SCRAM-SHA-256", "bob", "x", authzid="a,b=c"),
        their_side("SCRAM-SHA-256"),
    )
    exchange(ours, theirs)
    assert theirs.authzid == "a,b=c"


@pytest.mark.parametrize(
    ("mechanism", "message"),
    [
        ("PLAIN", b"bob\0x"),
        ("PLAIN", b"\0bob"),
        ("PLAIN", b"\0\0x"),
        ("PLAIN", b"\0bob\0x\0"),
        ("PLAIN", b"\xff\0bob\0x"),
        ("LOGIN", b""),
        ("CRAM-MD5", b"bob"),
        ("SCRAM-SHA-256", b"n,,r=abc"),
        ("SCRAM-SHA-256", b"n,,n=bo=2Zb,r=abc"),
        ("SCRAM-SHA-256", b"z,,n=bob,r=abc"),
        ("XOAUTH2", b"user=bob\x01auth=Basic x\x01\x01"),
        ("XOAUTH2", b"auth=Bearer x\x01\x01"),
        ("XOAUTH2", b"user=bob\x01auth=Bearer x"),
        ("OAUTHBEARER", b"n,,\x01auth=Bearer x\x01\x01"),
        ("OAUTHBEARER", b"p=tls-exporter,a=bob,\x01auth=Bearer x\x01\x01"),
    ],
)
def test_server_tells_a_broken_message_from_a_wrong_password(
    mechanism: str, message: bytes
) -> None:
    with pytest.raises(SaslError) as caught:
        their_side(mechanism).start(message)
    assert caught.value.malformed


def test_scram_final_message_forms() -> None:
    for final, reason in [
        (b"c=biws,r=other,p=AAAA", "nonce_mismatch"),
        (b"c=eSws,r=x,p=AAAA", "channel_binding"),
        (b"c=biws", "message_form"),
        (b"c=biws,r=" + NONCE + NONCE[::-1] + b",p=AAAA", "message_form"),
    ]:
        theirs = their_side("SCRAM-SHA-256")
        theirs.start(b"n,,n=bob,r=" + NONCE)
        with pytest.raises(SaslError) as caught:
            theirs.receive(final)
        assert caught.value.reason == reason


@pytest.mark.parametrize(
    ("offered", "have_oauth", "binding", "chosen"),
    [
        (MECHANISMS, False, True, "SCRAM-SHA-256-PLUS"),
        (MECHANISMS, False, False, "SCRAM-SHA-256"),
        (["login", "plain", "xoauth2"], False, False, "PLAIN"),
        (["login", "plain", "xoauth2"], True, False, "XOAUTH2"),
        (["XOAUTH2", "OAUTHBEARER", "SCRAM-SHA-256"], True, True, "OAUTHBEARER"),
        (["CRAM-MD5", "PLAIN"], False, True, "PLAIN"),
        (["CRAM-MD5", "LOGIN"], False, True, "LOGIN"),
        (["CRAM-MD5"], False, True, "CRAM-MD5"),
        (["SCRAM-SHA-256-PLUS"], False, False, None),
        (["NTLM", "GSSAPI"], False, True, None),
        (["PLAIN"], True, True, None),  # a token is no password
        (["XOAUTH2"], False, True, None),
        ([], False, True, None),
    ],
)
def test_choose(offered: list[str], have_oauth: bool, binding: bool, chosen: str | None) -> None:
    assert choose(offered, have_oauth=have_oauth, channel_binding=binding) == chosen


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"*", "cancelled"),
        (b"====", "not_base64"),
        (b"AAA", "not_base64"),
        (b"AA AA", "not_base64"),
        (b"a3JwEjExMjM0NQ==:cGFzc3dvcmQ=", "not_base64"),
        (b"=", "not_base64"),
        (b"A" * 12_292, "too_long"),
    ],
)
def test_base64_is_strict(line: bytes, reason: str) -> None:
    with pytest.raises(SaslError) as caught:
        decode_line(line)
    assert (caught.value.reason, caught.value.malformed) == (reason, True)


def test_the_empty_initial_response_is_an_equals_sign() -> None:
    assert encode_initial(b"") == b"="
    assert decode_line(b"=", initial=True) == b""
    assert decode_line(encode_line(b"")) == b""


@pytest.mark.parametrize(
    "challenge",
    [
        b"",
        b"hello",
        b"[1]",
        b"{",
        b"{" * 3000,
        b'{"a":' * 700,
        b"eyJ",
        b'"x"',
        b"\xff{",
        b"{" + b"9" * 5000,
    ],
)
def test_not_an_oauth_error(challenge: bytes) -> None:
    with pytest.raises(SaslError, match="not_oauth_error"):
        decode_oauth_error(challenge)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(MECHANISMS), st.lists(st.binary(max_size=80), max_size=4))
def test_any_challenge_ends_in_an_answer_or_a_sasl_error(
    mechanism: str, challenges: list[bytes]
) -> None:
    ours = our_side(mechanism, "bob", "tok")
    try:
        for challenge in challenges:
            assert isinstance(ours.respond(challenge), bytes)
        ours.done()
    except SaslError:
        pass
    assert not ours.verified


SCRAM_LIKE = st.text(alphabet=string.ascii_letters + "=,+/0123456789\0é", max_size=60)


@settings(max_examples=100, deadline=None)
@given(
    st.sampled_from(MECHANISMS),
    st.binary(max_size=80) | SCRAM_LIKE.map(str.encode),
    st.binary(max_size=80),
)
def test_any_response_ends_in_a_challenge_or_a_sasl_error(
    mechanism: str, first: bytes, second: bytes
) -> None:
    theirs = their_side(mechanism)
    try:
        if theirs.start(first) is not None:
            theirs.receive(second)
    except SaslError:
        pass
    assert theirs.username in {"", "bob"}


def outcome(mechanism: str, user: str, password: str) -> str:
    """The reason of the refusal, or "in"."""
    try:
        ours = client(mechanism, username=user, secret=Secret(password), nonce=NONCE)
        accounts = TableAccounts({user: password})
        exchange(ours, server(mechanism, accounts, nonce=NONCE, challenge=CHALLENGE))
    except SaslError as error:
        return error.reason
    return "in"


@settings(max_examples=40, deadline=None)
@given(st.text(min_size=1, max_size=20), st.text(min_size=1, max_size=20))
def test_any_credentials_go_through_or_are_refused_by_name(user: str, password: str) -> None:
    for mechanism in ("PLAIN", "LOGIN"):
        assert outcome(mechanism, user, password) in {"in", "nul", "not_encodable"}
    scram = outcome("SCRAM-SHA-256", user, password)
    # a name that SASLprep rewrites is another name in a table that was not prepared
    assert scram in {"in", "prohibited", "unassigned", "bidi", "credentials", "message_form"}
