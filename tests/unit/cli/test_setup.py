"""``posthouse setup``: from an address to proven settings, asking and not asking."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from canaries import PASSWORD, WRONG_PASSWORD
from fakes.certs import Authority
from fakes.smtp import FakeSmtpServer
from posthouse.cli import asking
from posthouse.flow import Failure, Secret
from unit.cli.test_probe import HOST, _fake
from unit.cli.world import Ran, World

ADDRESS = "alice@d.example"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture
def peer(world: World, authority: Authority) -> FakeSmtpServer:
    """d.example publishes 465 and 587 of one server; returned is the one on 465."""
    context = authority.context(hosts=(HOST,))
    tls, plain = _fake(context, implicit=True), _fake(context, implicit=False)
    world.dns.update(
        {
            (HOST, "A"): ["192.0.2.1"],
            ("d.example", "MX"): ["10 mx.d.example."],
            ("_submissions._tcp.d.example", "SRV"): [f"0 1 465 {HOST}."],
            ("_submission._tcp.d.example", "SRV"): [f"0 1 587 {HOST}."],
        }
    )
    world.peers.update({(HOST, 465): tls, (HOST, 587): plain})
    return tls


def setup(world: World, authority: Authority, *arguments: str, lang: str = "en") -> Ran:
    ca = str(authority.ca_file)
    return world.run("setup", *arguments, "--ca-file", ca, "--timeout", "3", lang=lang)


class Answers:
    """Somebody at the terminal, who answers questions by what they are about."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, **answers: object) -> None:
        self.asked: list[str] = []
        self._answers = answers
        monkeypatch.setattr(asking, "may_ask", lambda _given: True)
        monkeypatch.setattr(asking, "confirm", self._confirm)
        monkeypatch.setattr(asking, "line", self._line)
        monkeypatch.setattr(asking, "asked_secret", self._secret)

    def _confirm(self, question: str, *, default: bool = True) -> bool:
        self.asked.append(question)
        for word, answer in self._answers.items():
            if word in question:
                return bool(answer)
        return default

    def _line(self, question: str, default: str = "") -> str:
        self.asked.append(question)
        return str(self._answers.get("program", default)) if "program" in question else default

    def _secret(self, _words: object, question: str) -> Secret:
        self.asked.append(question)
        return Secret(str(self._answers["secret"]))


def test_without_questions_nothing_is_signed_in(
    world: World, authority: Authority, peer: FakeSmtpServer
) -> None:
    ran = setup(world, authority, ADDRESS, "--yes")
    assert ran.code == 0
    assert "Settings" in ran.out
    assert HOST in ran.out
    assert "certificate good" in ran.out
    assert "Not signed in yet" in " ".join(ran.out.split())
    assert not peer.last.credentials


def test_json_holds_settings_and_what_was_proved(
    world: World, authority: Authority, peer: FakeSmtpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POSTHOUSE_PASSWORD", PASSWORD)
    ran = setup(world, authority, ADDRESS, "--yes", "--json", "--send-test", ADDRESS)
    answer = ran.json
    assert ran.code == 0
    assert answer["ok"] is True
    assert answer["settings"]["host"] == HOST
    assert answer["settings"]["username"] == ADDRESS
    assert answer["proved"] == [
        "reached", "encrypted", "certificate", "signed_in", "recipient", "sent",
    ]  # fmt: skip
    assert len(peer.messages) == 1
    assert len(answer["probes"]) == 2


def test_the_next_port_is_taken_where_the_first_is_blocked(
    world: World, authority: Authority, peer: FakeSmtpServer
) -> None:
    world.peers[HOST, 465] = Failure.TIMEOUT
    answer = setup(world, authority, ADDRESS, "--yes", "--json").json
    assert answer["ok"] is True
    assert (answer["settings"]["port"], answer["settings"]["security"]) == (587, "starttls")


def test_a_wrong_password_is_tried_once(
    world: World, authority: Authority, peer: FakeSmtpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POSTHOUSE_PASSWORD", WRONG_PASSWORD)
    ran = setup(world, authority, ADDRESS, "--yes")
    assert ran.code == 4
    assert sum(len(seen.credentials) for seen in peer.seen) == 1


def test_somebody_at_the_terminal_is_asked(
    world: World, authority: Authority, peer: FakeSmtpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = Answers(monkeypatch, secret=PASSWORD)
    ran = setup(world, authority, ADDRESS)
    assert ran.code == 0
    # sign in? the password; a test message? where to; for which program?
    assert len(answers.asked) == 5
    assert "sign-in works" in ran.out
    assert len(peer.messages) == 1


def test_the_last_step_makes_what_the_users_program_needs(
    world: World, authority: Authority, peer: FakeSmtpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    Answers(monkeypatch, Sign=False, program="thunderbird")
    ran = setup(world, authority, ADDRESS)
    assert ran.code == 0
    assert "Thunderbird" in ran.out
    assert HOST in ran.out.partition("Thunderbird")[2]


def test_no_means_no(
    world: World, authority: Authority, peer: FakeSmtpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    Answers(monkeypatch, Sign=False)
    ran = setup(world, authority, ADDRESS)
    assert ran.code == 0
    assert not any(seen.credentials for seen in peer.seen)


def test_a_typo_is_set_right(
    world: World, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = Answers(monkeypatch, mistyped=True, Sign=False)
    context = authority.context(hosts=("smtp.gmail.com",))
    world.dns[("smtp.gmail.com", "A")] = ["192.0.2.1"]
    world.peers["smtp.gmail.com", 465] = _fake(context, implicit=True)
    ran = setup(world, authority, "alice@gmial.com")
    assert "Did you mean alice@gmail.com" in answers.asked[0]
    assert "smtp.gmail.com" in ran.out
    assert ran.code == 0


@pytest.fixture
def guessed(world: World, authority: Authority) -> Iterator[FakeSmtpServer]:
    """Nobody publishes anything; smtp.d.example exists and works."""
    fake = _fake(authority.context(hosts=(HOST,)), implicit=True)
    world.dns.update({(HOST, "A"): ["192.0.2.1"], ("d.example", "MX"): ["10 mx.d.example."]})
    world.peers[HOST, 465] = fake
    return fake


def test_a_guessed_server_gets_no_password_unasked(
    world: World, authority: Authority, guessed: FakeSmtpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POSTHOUSE_PASSWORD", PASSWORD)
    ran = setup(world, authority, ADDRESS, "--yes")
    assert ran.code == 1
    assert not any(seen.credentials for seen in guessed.seen)
    assert "Not signed in" in ran.err


def test_a_guessed_server_gets_the_password_where_somebody_agrees(
    world: World, authority: Authority, guessed: FakeSmtpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    Answers(monkeypatch, trustworthy=True, Send=False, secret=PASSWORD)
    ran = setup(world, authority, ADDRESS)
    assert ran.code == 0
    assert "sign-in works" in ran.out


def test_nobody_knows(world: World, authority: Authority) -> None:
    world.dns[("d.example", "MX")] = ["10 mx.d.example."]
    ran = setup(world, authority, ADDRESS, "--yes", lang="zh")
    assert ran.code == 1
    assert "没有" in ran.out


def test_an_iam_secret_becomes_an_smtp_password(
    world: World, authority: Authority, monkeypatch: pytest.MonkeyPatch, tmp_path
) -> None:
    host = "email-smtp.us-east-1.amazonaws.com"
    fake = _fake(authority.context(hosts=(host,)), implicit=True)
    derived = "BLBM/9hSUELfq8Gw+rU1YcBjkOxGbhT2XG763xVLGWL9"  # of the documented example key
    fake.behaviour = type(fake.behaviour)(
        tls=fake.behaviour.tls, implicit_tls=True, accounts={"AKIAIOSFODNN7EXAMPLE": derived}
    )
    world.dns[(host, "A")] = ["192.0.2.1"]
    world.peers[host, 465] = fake
    monkeypatch.setenv("POSTHOUSE_PASSWORD", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
    saved = tmp_path / "smtp-password"
    ran = setup(
        world, authority, "news@d.example", "--yes", "--provider", "ses", "--region", "us-east-1",
        "--user", "AKIAIOSFODNN7EXAMPLE", "--save-password", str(saved),
    )  # fmt: skip
    assert ran.code == 0, ran.all
    assert derived not in ran.all
    assert saved.read_text().strip() == derived
    assert saved.stat().st_mode & 0o777 == 0o600
