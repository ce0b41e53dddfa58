"""The way from an address to proven settings: find, probe, sign in, send, one card at the end.

Enters: the Screen, the options, whether there is somebody to ask. Leaves: the screen or one JSON
object, and the exit code. Called by ``setup``. A password goes only to a server that somebody
trustworthy named, that proved its name by a certificate, and once; where only a guess names it, a
person has to agree first.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from posthouse import directory
from posthouse.cli import account, asking, card, prove, search
from posthouse.cli import find as find_command
from posthouse.cli.account import Account
from posthouse.cli.root import PROBLEM
from posthouse.cli.screen import Screen
from posthouse.flow import CredentialKind, Endpoint, Secret, Status
from posthouse.setup import find
from posthouse.setup.find import Candidate, FindResult, Outcome
from posthouse.setup.find import words as find_words
from posthouse.setup.probe import ProbeResult
from posthouse.setup.probe import to_dict as probe_dict

TRIES: Final = (
    4  # servers probed one after the other; each failure takes some seconds to look around
)
# What is known of the server comes from nobody who could vouch for it.
DOUBTFUL: Final = ("unsigned_elsewhere", "untrusted", "guessed", "hint_only", "other_provider")


@dataclass(frozen=True, slots=True)
class Choice:
    """The server that was taken, and how its probe came out."""

    candidate: Candidate
    endpoint: Endpoint  # the candidate's, or the one its probe said to use instead
    result: ProbeResult

    @property
    def works(self) -> bool:
        """Reached, encrypted, certificate good."""
        return self.result.verdict.status in (Status.OK, Status.WARN)


class Wizard:
    """The owner of one set-up's state; ``run`` is called once."""

    def __init__(self, screen: Screen, given: Mapping[str, Any], *, asks: bool) -> None:
        self._screen = screen
        self._words = screen.words
        self._given = given
        self._asks = asks
        self._tried: list[ProbeResult] = []

    def run(self, text: str) -> int:
        """All of it."""
        address = self._address(text)
        found = search.run(self._screen, address, self._given)
        if isinstance(found, int):
            return found
        if found.best is None:
            return nothing(self._screen, found)
        self._say_found(found)
        choice = self.reach(found)
        if choice.works and not self._given.get("no_login"):
            choice = self._sign_in(found, choice)
        return self._end(found, choice)

    # -- find

    def _address(self, text: str) -> str:
        """What was typed; a typo is set right where the user agrees."""
        entry = find.read_input(text)
        if entry.address is None or not self._asks:
            return text
        meant = next((f for f in entry.findings if f.id == "domain_typo"), None)
        if meant is not None:
            question = self._words.text("screen.setup.typo", **meant.params)
            if asking.confirm(question):
                return str(meant.params["address"])
        return text

    def _say_found(self, found: FindResult) -> None:
        best = found.best
        if best is None or self._screen.session.json:
            return
        lang = self._screen.session.lang
        text = self._words.text(
            "screen.setup.found",
            server=str(best.endpoint),
            source=find_words.source_name(best.evidence[0].source, lang),
            trust=find_words.trust_text(best.trust, lang),
        )
        self._screen.note(text)

    # -- probe

    def reach(self, found: FindResult) -> Choice:
        """The first server that works; else the first one tried."""
        choices: list[Choice] = []
        for candidate, endpoint in self._places(found):
            who = Account(found.address, candidate.username, None, CredentialKind.UNKNOWN)
            result = self._probe(endpoint, who, {})
            choices.append(Choice(candidate, endpoint, result))
            if choices[-1].works:
                return choices[-1]
            if result.suggestion is not None and result.suggestion != endpoint:
                again = self._probe(result.suggestion, who, {})
                choices.append(Choice(candidate, result.suggestion, again))
                if choices[-1].works:
                    return choices[-1]
            if len(self._tried) >= TRIES:
                break
        return choices[0]

    def _places(self, found: FindResult) -> Iterator[tuple[Candidate, Endpoint]]:
        """What to try, best first; guesses only where nothing better is known."""
        for candidate in found.candidates:
            if candidate.trust is found.candidates[0].trust or not _is_guess(candidate):
                yield candidate, candidate.endpoint

    def _probe(self, place: Endpoint, who: Account, given: Mapping[str, Any]) -> ProbeResult:
        how = prove.options(self._screen.session, who.address)
        result = prove.run(self._screen, prove.Wanted(place, who, None, given), how)
        self._tried.append(result)
        return result

    # -- sign in and send

    def _sign_in(self, found: FindResult, choice: Choice) -> Choice:
        who = self._who(found, choice)
        if who is None or who.secret is None:
            return choice
        recipient = self._recipient(found.address)
        given = {"send_test": recipient, "imap": self._given.get("imap")}
        result = self._probe(choice.endpoint, who, given)
        if who.derived and self._given.get("save_password"):
            account.save(self._words, who.secret, self._given["save_password"])
        return Choice(choice.candidate, choice.endpoint, result)

    def _who(self, found: FindResult, choice: Choice) -> Account | None:
        """Whose sign-in to prove; None where there is none to prove, or nobody agreed."""
        secret = asking.given_secret(self._words, self._given.get("password_file"))
        doubt = next((f for f in found.findings if f.id in DOUBTFUL), None)
        if secret is None and not self._asks:
            return None
        if doubt is not None and not self._agreed(secret, doubt.id):
            return None
        name = self._given.get("user") or choice.candidate.username
        if secret is None:
            secret = self._ask_secret(choice.candidate, name)
            if secret is None:
                return None
        if not name and self._asks:
            name = asking.line(self._words.text("screen.ask.user"), found.address)
        oauth = bool(self._given.get("oauth"))
        return account.account(found.address, name, secret, choice.endpoint.host, oauth)

    def _agreed(self, secret: Secret | None, doubt: str) -> bool:
        """Whether a person wants the password to go to a server nobody vouches for."""
        if self._asks:
            return asking.confirm(self._words.text("screen.setup.doubtful"), default=False)
        if secret is not None:
            self._screen.note(self._words.text("screen.setup.no_login_doubtful"))
        return False

    def _ask_secret(self, candidate: Candidate, name: str) -> Secret | None:
        lang = self._screen.session.lang
        if candidate.credential is CredentialKind.OAUTH2 and not self._given.get("oauth"):
            self._screen.note(self._words.text("screen.setup.oauth_only"))
            return None
        if not asking.confirm(self._words.text("screen.setup.ask_login")):
            return None
        kind = find_words.credential_text(candidate.credential, lang)
        return asking.asked_secret(
            self._words, self._words.text("screen.ask.credential", kind=kind, user=name)
        )

    def _recipient(self, address: str) -> str | None:
        if self._given.get("send_test"):
            return str(self._given["send_test"])
        if not self._asks or not asking.confirm(self._words.text("screen.setup.ask_test")):
            return None
        return asking.line(self._words.text("screen.setup.ask_recipient"), address)

    # -- the end

    def _end(self, found: FindResult, choice: Choice) -> int:
        code = prove.exit_code(choice.result)
        if found.outcome is Outcome.UNPROVEN and code == 0 and not _signed_in(choice.result):
            code = PROBLEM  # a server answers there, but nobody says that it is the right one
        if self._screen.session.json:
            self._screen.json(self._answer(found, choice, code))
            return code
        prove.show(self._screen, choice.result, details=False)
        find_command.findings(self._screen, found.findings)
        if choice.works or _signed_in(choice.result) or choice.result.suggestion is None:
            self._screen.heading("screen.setup.settings")
            card.show(self._screen, self._card(choice))
        self._next(found, choice, code)
        return self._hand_out(found, choice, code)

    def _hand_out(self, found: FindResult, choice: Choice, code: int) -> int:
        """The last step: the file or the guide for the user's own program."""
        from posthouse.cli import handout

        name = self._given.get("client")
        if name is None and self._asks and choice.works:
            self._screen.blank()
            name = asking.line(self._words.text("screen.setup.ask_client"), "-").strip("- ")
        if not name:
            return code
        client = handout.client(self._screen, name)
        known = handout.settings(self._screen, found, choice, self._given)
        made = handout.make(self._screen, client.id, known, self._given)
        if isinstance(made, int):
            return made
        self._screen.blank()
        return code or handout.give(self._screen, made, self._given.get("out"), alone=False)

    def _card(self, choice: Choice) -> card.Card:
        lang = self._screen.session.lang
        proved = self._words.text("causes.word.comma").join(
            self._words.text(f"screen.proved.{name}") for name in _proved(choice.result)
        )
        label = self._words.text("screen.card.proved")
        settings = card.of_candidate(choice.candidate, lang, endpoint=choice.endpoint)
        return card.with_rows(settings, (label, proved)) if proved else settings

    def _next(self, found: FindResult, choice: Choice, code: int) -> None:
        """What the user may do now."""
        if code == 0 and not _signed_in(choice.result):
            self._screen.blank()
            text = self._words.text("screen.setup.next_login", address=found.address)
            self._screen.say(text, style="dim")

    def _answer(self, found: FindResult, choice: Choice, code: int) -> dict[str, Any]:
        lang = self._screen.session.lang
        candidate, endpoint = choice.candidate, choice.endpoint
        provider = directory.load(candidate.provider) if candidate.provider else None
        return {
            "ok": code == 0,
            "address": found.address,
            "settings": {
                "host": endpoint.host,
                "port": endpoint.port,
                "security": endpoint.security.value,
                "username": self._given.get("user") or candidate.username or None,
                "credential": candidate.credential.value,
                "credential_url": provider.credential.url if provider else None,
                "provider": candidate.provider,
                "trust": candidate.trust.value,
            },
            "proved": list(_proved(choice.result)),
            "verdict": probe_dict(choice.result, lang)["verdict"],
            "find": find.to_dict(found, lang),
            "probes": [probe_dict(result, lang) for result in self._tried],
        }


def nothing(screen: Screen, found: FindResult) -> int:
    """Nobody knows a server: show who was asked."""
    if screen.session.json:
        screen.json({"ok": False, "find": find.to_dict(found, screen.session.lang)})
    else:
        find_command.show(screen, found)
    return search.exit_code(found)


# What a finished step proves, in the order of the way.
PROOFS: Final = (
    ("reached", "greeting"),
    ("encrypted", "tls"),
    ("certificate", "certificate"),
    ("signed_in", "auth"),
    ("recipient", "rcpt"),
    ("sent", "message"),
    ("fetched", "fetch"),
)


def _proved(result: ProbeResult) -> Iterator[str]:
    for name, step in PROOFS:
        done = result.trace.find(step)
        if done is not None and done.status is Status.OK:
            yield name


def _signed_in(result: ProbeResult) -> bool:
    return "signed_in" in _proved(result)


def _is_guess(candidate: Candidate) -> bool:
    return candidate.trust in (find.Trust.HINT, find.Trust.UNPROVEN, find.Trust.UNTRUSTED)
