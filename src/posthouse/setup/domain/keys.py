"""The DKIM signing keys of one's own domains: ``posthouse domain keys``.

    store = KeyStore(Path("/var/lib/posthouse/keys"))
    made = store.make("example.com", now)            # Made: key, text of the record to publish
    made = store.make("example.com", now, kind="ed25519")      # beside the RSA key
    made = store.rotate("example.com", now)          # the key that takes over; its state is "next"
    store.activate("example.com", made.key.selector, now)      # once its record is seen everywhere
    store.index("example.com")                       # tuple[Key, ...]; Key.age(now), .remove_after
    store.signing_key(key)                           # dkim.SigningKey; refuses one others can read
    checks = await answer(check(store, now), resolver)         # tuple[KeyCheck, ...]
    keys_dict(checks, lang)                          # plain JSON values; never a private key
    plan(replace(inventory, selectors=(*inventory.selectors, *publishable(store, domain))), now)

Enters: a folder, domains, the time, answers of DNS. Leaves: key files (0600, in folders 0700), the
index ``keys.toml`` (``records.key_store`` has its form), findings. Fails with
KeyStoreError alone: its ``reason`` has words at "records.key_error.<reason>", to be filled with
``detail`` and ``fix``; ``fix`` is the command that mends it.
"""

from posthouse.setup.domain.records.key_check import (
    KEY_FINDING_IDS,
    OLD,
    KeyCheck,
    check,
    publishable,
    published,
)
from posthouse.setup.domain.records.key_store import (
    INDEX,
    KEEP,
    Key,
    KeyStore,
    KeyStoreError,
    Made,
    State,
)
from posthouse.setup.domain.records.render import key_dict, keys_dict

__all__ = [
    "INDEX",
    "KEEP",
    "KEY_FINDING_IDS",
    "OLD",
    "Key",
    "KeyCheck",
    "KeyStore",
    "KeyStoreError",
    "Made",
    "State",
    "check",
    "key_dict",
    "keys_dict",
    "publishable",
    "published",
]
