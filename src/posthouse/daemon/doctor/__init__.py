"""doctor: is this installation of the relay in order?

Enters: an ``Installation``, the network (or none). Leaves: ``Finding``s in the order of a message's
way; their words are in the catalogues ``relay``, ``doctor``, ``records`` and ``fcrdns``. Called by
``posthouse doctor --config``, beside a relay that runs or before it ever did. Nothing is changed or
sent, and nobody signs in: servers are greeted as the relay would, and left.

``look`` puts it together; ``place`` looks at the machine, ``files`` at who may read what,
``certificate`` at what clients are shown, ``kept`` at queue and users, ``ways`` at the hops,
``names`` at what DNS says of us. What can't be looked at is a finding with status unknown; only
the configuration itself fails (``ConfigError``).
"""
