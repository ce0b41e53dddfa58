"""directory: what is known about providers of outgoing mail, as small TOML facts."""
