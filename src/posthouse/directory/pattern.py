"""Host name patterns of MX, NS and server names.

Enters: patterns and host names, lower case, without a trailing dot. Leaves: whether they match, and
which match says most. ``*.`` in front stands for one or more labels; a ``*`` inside a label stands
for the rest of that label; all else is literal. There is deliberately no rule by base domain: the
MX ``mxbiz1.qq.com`` belongs to Tencent's company mail, not to the mailboxes of qq.com.
"""

from __future__ import annotations

from collections.abc import Iterable


def normal(host: str) -> str:
    """The form in which names are compared."""
    return host.strip().rstrip(".").lower()


def matches(pattern: str, host: str) -> bool:
    """Whether the host name fits the pattern."""
    if not host.endswith(pattern.rpartition("*")[2]):
        return False  # nearly all end here
    wanted, labels = pattern.split("."), host.split(".")
    if wanted[0] == "*":
        wanted = wanted[1:]
        if len(labels) <= len(wanted):
            return False
        labels = labels[-len(wanted) :]
    return len(wanted) == len(labels) and all(map(_label_matches, wanted, labels))


def _label_matches(wanted: str, label: str) -> bool:
    head, star, tail = wanted.partition("*")
    if not star:
        return wanted == label
    long_enough = len(label) >= len(head) + len(tail)
    return long_enough and label.startswith(head) and label.endswith(tail)


def specificity(pattern: str) -> tuple[int, int]:
    """How much a pattern says: labels, then literal characters."""
    return pattern.count(".") + 1, len(pattern.replace("*", ""))


def best(patterns: Iterable[str], host: str) -> str | None:
    """The most specific pattern that the host fits."""
    fitting = [p for p in patterns if matches(p, host)]
    return max(fitting, key=specificity, default=None)
