"""App passwords: made, read as they are typed, hashed.

Enters: random octets; what a client gave as its password. Leaves: the secret, its selector, its
hash. Called by ``accounts`` (making) and ``login`` (checking, in a thread: a hash takes some 20
ms and gives up the interpreter meanwhile). Nothing fails.

The first group selects which of a user's passwords is meant, so that one hash is computed however
many there are; it is no secret. The other six carry 120 bits, which nobody guesses.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Final

from argon2 import PasswordHasher, Type
from argon2.exceptions import InvalidHashError, VerificationError

from posthouse.flow import Secret

GROUP: Final = 4  # characters: what one reads and types at a glance
GROUPS: Final = 7  # the selector, and 6 x 4 x 5 = 120 bits of secret
TYPED_MOST: Final = 1_024  # octets looked at of what was typed: ours has 34

# argon2id as OWASP asks at least: 19 MiB, two passes, one lane. RFC 9106's 64 MiB is meant for
# secrets that people choose; ours have 120 bits, and two checks at once must leave a relay small.
MEMORY: Final = 19_456  # KiB
PASSES: Final = 2
LANES: Final = 1

_ALPHABET: Final = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford: nothing that looks alike
_AS_READ: Final = str.maketrans("oil", "011", " -\t\u2010\u2011\u2013\u00a0")

_HASHER: Final = PasswordHasher(
    time_cost=PASSES, memory_cost=MEMORY, parallelism=LANES, type=Type.ID
)


def make(draw: Callable[[int], bytes] = secrets.token_bytes) -> Secret:
    """A new secret, in groups: "k3f9-07xq-..."."""
    size = GROUP * GROUPS
    letters = "".join(_ALPHABET[octet & 31] for octet in draw(size))
    return Secret("-".join(letters[at : at + GROUP] for at in range(0, size, GROUP)))


def normal(secret: Secret) -> Secret:
    """As it was made, without dashes, however it was typed."""
    return Secret(secret.reveal()[:TYPED_MOST].lower().translate(_AS_READ))


def selector(secret: Secret) -> str:
    """The group that tells the user's passwords apart; of a ``normal`` secret."""
    return secret.reveal()[:GROUP]


def hashed(secret: Secret) -> str:
    """The hash of a ``normal`` secret, with its salt and parameters."""
    return _HASHER.hash(secret.reveal().encode("utf-8", "surrogatepass"))


def verify(encoded: str, secret: Secret) -> bool:
    """Whether the ``normal`` secret is the one hashed."""
    try:
        return _HASHER.verify(encoded, secret.reveal().encode("utf-8", "surrogatepass"))
    except (VerificationError, InvalidHashError):
        return False
