"""The walk, the policy that applies, alignment, and what becomes of a message."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.protocol import dmarc, dns
from posthouse.protocol.dmarc import Action, Code, Dkim, Spf, Verdict
from posthouse.protocol.dmarc.walk import targets
from posthouse.protocol.dns import Answer, AnswerStatus, Ask
from unit.dmarc.zone import Zone

REJECT = "v=DMARC1; p=reject; rua=mailto:r@example.com"
EXAMPLE = {"_dmarc.example.com": REJECT}


def run(
    zone: Zone, author: str | Sequence[str], spf: Spf | None = None, *dkim: Dkim, each: bool = False
) -> Verdict:
    authors = [author] if isinstance(author, str) else author
    return dns.run(dmarc.evaluate(authors, spf, dkim, each=each), zone)


def ids(verdict: Verdict) -> list[str]:
    return [note.id for note in verdict.trace]


@pytest.mark.parametrize(
    ("domain", "count", "second"),
    [
        ("com", 1, None),
        ("example.com", 2, "com"),
        ("a.b.c.d.e.f.example.com", 8, "b.c.d.e.f.example.com"),
        ("a.b.c.d.e.f.g.example.com", 8, "c.d.e.f.g.example.com"),
        ("a.b.c.d.e.f.g.h.i.j.mail.example.com", 8, "g.h.i.j.mail.example.com"),
        (".".join("x" * 120), 8, "x.x.x.x.x.x.x"),
    ],
)
def test_targets(domain: str, count: int, second: str | None) -> None:
    """RFC 9989 section 4.10 with its own example."""
    names = targets(domain)
    assert len(names) == count
    assert names[0] == domain
    assert (names[1] if len(names) > 1 else None) == second
    assert names[-1] == domain.rpartition(".")[2]


ORGANIZATIONAL = [
    # the examples of section 4.10.2, and what else can meet on the way
    ({"_dmarc.mail.example.com": "p=none", "_dmarc.example.com": "p=none"}, "example.com"),
    ({"_dmarc.mail.example.com": "p=none; psd=n"}, "mail.example.com"),
    ({"_dmarc.com": "p=none; psd=y"}, "example.com"),
    ({}, "a.mail.example.com"),
    ({"_dmarc.a.mail.example.com": "p=none; psd=y"}, "a.mail.example.com"),
    ({"_dmarc.a.mail.example.com": "p=none; psd=n", "_dmarc.example.com": "p=none"}, None),
    ({"_dmarc.com": "p=none"}, "com"),
    ({"_dmarc.mail.example.com": "p=none; psd=n", "_dmarc.com": "p=none; psd=y"}, None),
]


@pytest.mark.parametrize(("texts", "expected"), ORGANIZATIONAL)
def test_organizational_domain(texts: dict[str, str], expected: str | None) -> None:
    from posthouse.protocol.dmarc.walk import Walker

    zone = Zone({name: f"v=DMARC1; {text}" for name, text in texts.items()})
    found = dns.run(Walker().organizational("a.mail.example.com"), zone)
    assert found == (expected or next(iter(texts)).removeprefix("_dmarc."))
    if expected is None:  # psd=n ends the walk
        assert zone.names[-1] == next(iter(texts))


POLICIES = [
    # author, records, hosts, policy, tag
    ("example.com", {"example.com": "p=reject; sp=none"}, (), "reject", "p"),
    ("a.example.com", {"example.com": "p=reject; sp=none"}, ("a.example.com",), "none", "sp"),
    ("a.example.com", {"example.com": "p=reject"}, (), "reject", "p"),
    ("a.example.com", {"example.com": "p=none; np=reject"}, (), "reject", "np"),
    ("a.example.com", {"example.com": "p=none; np=reject"}, ("a.example.com",), "none", "p"),
    # a name without any record, but with names below it, exists (RFC 8020)
    ("b.example.com", {"example.com": "p=none; np=reject"}, ("c.b.example.com",), "none", "p"),
    ("a.example.com", {"example.com": "p=quarantine; sp=reject; np=none"}, (), "none", "np"),
    # the author's own record wins, and sp in it says nothing about itself
    (
        "a.example.com",
        {"a.example.com": "p=none; sp=reject", "example.com": "p=reject"},
        (),
        "none",
        "p",
    ),
    # between the two, only the organizational domain's counts
    (
        "x.a.example.com",
        {"a.example.com": "p=none; sp=none", "example.com": "p=reject"},
        (),
        "reject",
        "p",
    ),
    (
        "x.a.example.com",
        {"a.example.com": "p=none; psd=n", "example.com": "p=reject"},
        (),
        "none",
        "p",
    ),
    # a public suffix speaks where the organizational domain is silent
    (
        "example.bank",
        {"bank": "p=reject; psd=y; sp=quarantine"},
        ("example.bank",),
        "quarantine",
        "sp",
    ),
    ("a.example.bank", {"bank": "p=none; psd=y; np=reject"}, (), "reject", "np"),
    ("a.example.bank", {"example.bank": "p=none", "bank": "p=reject; psd=y"}, (), "none", "p"),
    ("bank", {"bank": "p=reject; psd=y; sp=none"}, (), "reject", "p"),
    # several records are none
    ("example.com", {"example.com": ("v=DMARC1; p=none", "v=DMARC1; p=reject")}, (), None, ""),
    (
        "a.example.com",
        {"a.example.com": ("v=DMARC1; p=none",) * 2, "example.com": "p=reject"},
        (),
        "reject",
        "p",
    ),
    # other TXT records don't count
    ("example.com", {"example.com": ("v=spf1 -all", "v=DMARC1; p=reject")}, (), "reject", "p"),
    ("example.com", {}, (), None, ""),
    ("example.com", {"example.com": "p=bogus; rua=mailto:a@example.com"}, (), "none", "p"),
    ("example.com", {"example.com": "rua=mailto:a@example.com"}, (), "none", "p"),
]


@pytest.mark.parametrize(("author", "texts", "hosts", "policy", "tag"), POLICIES)
def test_policy(
    author: str,
    texts: dict[str, str | tuple[str, ...]],
    hosts: tuple[str, ...],
    policy: str | None,
    tag: str,
) -> None:
    records = {
        f"_dmarc.{name}": text if isinstance(text, tuple) else f"v=DMARC1; {text}"
        for name, text in texts.items()
    }
    zone = Zone(records, hosts=hosts)
    verdict = run(zone, author)
    assert (verdict.policy, verdict.source) == (policy, tag)
    assert verdict.code is (Code.FAIL if policy else Code.NONE)
    assert len(set(zone.asked)) == len(zone.asked)
    assert len(zone.names) <= 8


@pytest.mark.parametrize(
    ("record", "code", "problem"),
    [
        ("v=DMARC1; p=bogus", Code.PERMERROR, "record_unusable"),
        ("v=DMARC1; p=reject; sp=bogus", Code.PERMERROR, "record_unusable"),
        ("v=DMARC1", Code.NONE, "record_without_policy"),
        ("v=DMARC2; p=reject", Code.NONE, "no_policy"),
        (" v=DMARC1; p=reject", Code.NONE, "no_policy"),
    ],
)
def test_records_that_lead_to_nothing(record: str, code: Code, problem: str) -> None:
    verdict = run(Zone({"_dmarc.example.com": record}), "example.com")
    assert (verdict.code, verdict.problem, verdict.policy) == (code, problem, None)
    assert verdict.disposition is Action.NONE


ALIGNMENT = [
    # tags, author, spf domain, dkim domain, pass?
    ("", "example.com", "example.com", "", True),
    ("", "example.com", "bounce.example.com", "", True),
    ("", "news.example.com", "", "example.com", True),
    ("", "news.example.com", "", "other.example.com", True),
    ("", "example.com", "example.net", "example.org", False),
    ("", "example.com", "notexample.com", "", False),
    ("", "example.com", "", "com", False),
    ("; aspf=s", "example.com", "bounce.example.com", "", False),
    ("; aspf=s", "example.com", "bounce.example.com", "mail.example.com", True),
    ("; adkim=s", "example.com", "", "mail.example.com", False),
    ("; adkim=s", "example.com", "", "EXAMPLE.com.", True),
    ("; adkim=s; aspf=s", "example.com", "example.com", "example.net", True),
]


@pytest.mark.parametrize(("tags", "author", "spf", "dkim", "passes"), ALIGNMENT)
def test_alignment(tags: str, author: str, spf: str, dkim: str, passes: bool) -> None:
    zone = Zone({"_dmarc.example.com": f"v=DMARC1; p=reject{tags}"})
    signatures = [Dkim(dkim, "pass", "s1")] if dkim else []
    verdict = run(zone, author, Spf(spf, "pass") if spf else None, *signatures)
    assert verdict.code is (Code.PASS if passes else Code.FAIL)
    assert verdict.disposition is (Action.NONE if passes else Action.REJECT)
    assert ("reject_alone" in ids(verdict)) is not passes


@pytest.mark.parametrize(
    "result", ["fail", "softfail", "neutral", "none", "permerror", "policy", "PASS"]
)
def test_only_pass_is_an_identifier(result: str) -> None:
    verdict = run(Zone(EXAMPLE), "example.com", Spf("example.com", result))
    assert verdict.code is Code.FAIL


def test_one_good_signature_of_many_is_enough() -> None:
    signatures = [
        Dkim("a.test", "pass"),
        Dkim("example.com", "fail"),
        Dkim("x.example.com", "pass"),
    ]
    verdict = run(Zone(EXAMPLE), "example.com", None, *signatures)
    assert verdict.code is Code.PASS
    assert [one.passed for one in verdict.alignments] == [False, False, True]
    assert (verdict.spf_aligned, verdict.dkim_aligned) == (False, True)


def test_a_psd_parts_its_children() -> None:
    zone = Zone({"_dmarc.bank": "v=DMARC1; p=reject; psd=y"})
    verdict = run(zone, "giant.bank", Spf("mega.bank", "pass"))
    assert verdict.code is Code.FAIL
    assert run(zone, "giant.bank", Spf("mail.giant.bank", "pass")).code is Code.PASS


def test_a_department_of_its_own() -> None:
    zone = Zone(EXAMPLE | {"_dmarc.dep.example.com": "v=DMARC1; p=reject; psd=n"})
    assert run(zone, "x.dep.example.com", Spf("y.dep.example.com", "pass")).code is Code.PASS
    assert run(zone, "x.dep.example.com", Spf("example.com", "pass")).code is Code.FAIL
    assert run(zone, "example.com", Spf("y.dep.example.com", "pass")).code is Code.FAIL


@pytest.mark.parametrize(
    ("record", "disposition"),
    [
        ("p=reject; t=y", Action.QUARANTINE),
        ("p=quarantine; t=y", Action.NONE),
        ("p=none; t=y", Action.NONE),
        ("p=reject; t=n", Action.REJECT),
        ("p=reject; pct=0", Action.REJECT),  # gone
    ],
)
def test_testing_is_one_level_milder(record: str, disposition: Action) -> None:
    verdict = run(Zone({"_dmarc.example.com": f"v=DMARC1; {record}"}), "example.com")
    assert verdict.disposition is disposition
    assert verdict.policy == record[2:].partition(";")[0]  # what is published is told as it is


def test_dns_failures_that_matter() -> None:
    failing = Zone(EXAMPLE, failing=("_dmarc.example.com",))
    assert run(failing, "example.com").code is Code.TEMPERROR
    parent = Zone(EXAMPLE, failing=("_dmarc.com",))
    assert run(parent, "a.example.com").code is Code.TEMPERROR
    assert run(parent, "example.com", Spf("example.com", "pass")).code is Code.PASS
    existence = Zone(
        {"_dmarc.example.com": "v=DMARC1; p=none; np=reject"}, failing=("a.example.com",)
    )
    verdict = run(existence, "a.example.com")
    assert (verdict.code, verdict.disposition) == (Code.TEMPERROR, Action.NONE)


@pytest.mark.parametrize(
    ("domain", "code"),
    [("example.com", Code.TEMPERROR), ("x.example.com", Code.TEMPERROR), ("evil.test", Code.FAIL)],
)
def test_temperror_counts_only_where_it_could_have_helped(domain: str, code: Code) -> None:
    """Else a signature of a forger whose name servers are silent would lift any policy."""
    verdict = run(Zone(EXAMPLE), "example.com", None, Dkim(domain, "temperror"))
    assert verdict.code is code


def test_a_strangers_silent_name_servers_change_nothing() -> None:
    zone = Zone(EXAMPLE, failing=("_dmarc.evil.test", "_dmarc.test"))
    verdict = run(zone, "example.com", Spf("evil.test", "pass"), Dkim("evil.test", "pass"))
    assert verdict.code is Code.FAIL
    assert "_dmarc.evil.test" not in zone.names


@pytest.mark.parametrize(
    ("authors", "problem"),
    [
        ([], "author_none"),
        (["not a domain"], "author_malformed"),
        (["example.com", "example.net"], "author_several"),
        (["a" * 64 + ".test"], "author_malformed"),
    ],
)
def test_no_single_author(authors: list[str], problem: str) -> None:
    verdict = run(Zone(EXAMPLE), authors)
    assert (verdict.code, verdict.problem) == (Code.NONE, problem)


def test_the_same_author_twice_is_one() -> None:
    assert run(Zone(EXAMPLE), ["example.com", "EXAMPLE.COM."]).code is Code.FAIL


def test_each_author_and_the_worst_counts() -> None:
    zone = Zone(EXAMPLE | {"_dmarc.example.net": "v=DMARC1; p=quarantine"})
    spf = Spf("example.net", "pass")
    verdict = run(zone, ["example.net", "example.com"], spf, each=True)
    assert (verdict.code, verdict.author) == (Code.FAIL, "example.com")
    assert run(zone, ["example.net", "nothing.test"], spf, each=True).code is Code.NONE


def test_names_in_their_own_script() -> None:
    zone = Zone({"_dmarc.xn--fsqu00a.test": "v=DMARC1; p=reject"})
    assert run(zone, "例子.test", Spf("xn--fsqu00a.test", "pass")).code is Code.PASS


@pytest.mark.parametrize(
    ("record", "author", "spf", "before", "now"),
    [
        # p, sp: the same in both
        ("p=reject", "example.com", None, Action.REJECT, Action.REJECT),
        ("p=reject; sp=none", "a.example.com", None, Action.NONE, Action.NONE),
        # np and t are new
        ("p=none; np=reject", "a.example.com", None, Action.NONE, Action.REJECT),
        ("p=reject; t=y", "example.com", None, Action.REJECT, Action.QUARANTINE),
    ],
)
def test_both_standards(
    record: str, author: str, spf: Spf | None, before: Action, now: Action
) -> None:
    zone = Zone({"_dmarc.example.com": f"v=DMARC1; {record}"})
    both = dns.run(dmarc.compare(Suffixes(), [author], spf), zone)
    assert (both.before.disposition, both.now.disposition) == (before, now)
    assert both.differs is (before is not now)
    assert both.before.discovery is not None
    assert both.before.discovery.method is dmarc.Method.PSL


class Suffixes:
    """A list of one-label suffixes, and co.test."""

    def organizational(self, name: str) -> str | None:
        labels = name.split(".")
        size = 3 if name.endswith("co.test") else 2
        return ".".join(labels[-size:]) if len(labels) >= size else None


def test_the_list_and_the_walk_differ() -> None:
    """x.example.co.test has the one record: by the walk it is an owner of its own."""
    zone = Zone({"_dmarc.x.example.co.test": "v=DMARC1; p=reject"})
    spf = Spf("example.co.test", "pass")
    both = dns.run(dmarc.compare(Suffixes(), ["x.example.co.test"], spf), zone)
    assert (both.before.code, both.now.code) == (Code.PASS, Code.FAIL)


def test_the_old_way_samples() -> None:
    zone = Zone({"_dmarc.example.com": "v=DMARC1; p=reject; pct=20"})
    verdict = dns.run(dmarc.evaluate_psl(Suffixes(), ["example.com"]), zone)
    assert verdict.sampled == 20
    assert "sampled" in ids(verdict)


def test_a_broken_np_breaks_nothing_in_the_old_way() -> None:
    zone = Zone({"_dmarc.example.com": "v=DMARC1; p=reject; np=bogus"})
    both = dns.run(dmarc.compare(Suffixes(), ["example.com"]), zone)
    assert (both.before.code, both.now.code) == (Code.FAIL, Code.PERMERROR)


labels = st.sampled_from(["a", "b", "com", "example", "_x", "xn--a", "\u4f8b", "", "*", "a" * 70])
names = st.lists(labels, max_size=12).map(".".join) | st.text(max_size=30)
texts = st.sampled_from(
    [
        "v=DMARC1; p=reject",
        "v=DMARC1; p=none; psd=y",
        "v=DMARC1; psd=n",
        "v=DMARC1; np=x",
        "junk",
        "",
    ]
)
words = st.sampled_from(["pass", "fail", "temperror", "", "none"])


@given(
    st.lists(names, max_size=3),
    names,
    words,
    st.lists(st.builds(Dkim, names, words), max_size=3),
    st.randoms(),
    st.booleans(),
)
def test_any_message_and_any_dns(
    authors: list[str], spf: str, word: str, dkim: list[Dkim], chance: object, each: bool
) -> None:
    asked: list[Ask] = []

    def lookup(ask: Ask) -> Answer:
        asked.append(ask)
        assert len(ask.name) <= 260
        status = chance.choice(list(AnswerStatus))  # type: ignore[attr-defined]
        count = chance.randrange(3) if status is AnswerStatus.OK else 0  # type: ignore[attr-defined]
        pool = ["v=DMARC1; p=reject", "v=DMARC1; p=none; psd=y", "v=DMARC1; psd=n", "junk"]
        return Answer(ask.name, ask.type, status, tuple(chance.choices(pool, k=count)))  # type: ignore[attr-defined]

    query = dmarc.evaluate(authors, Spf(spf, word), dkim, each=each)
    verdict = dns.run(query, lookup)
    assert len(asked) <= len(authors) * (8 + 1) + 8 * (1 + len(dkim)) * max(1, len(authors))
    if verdict.code is Code.PASS:
        assert verdict.spf_aligned or verdict.dkim_aligned
    if verdict.code is not Code.FAIL:
        assert verdict.disposition is Action.NONE
    for note in verdict.trace:
        assert set(note.params) == set(dmarc.TRACE_IDS[note.id])
