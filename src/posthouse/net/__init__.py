"""net: the only place with sockets, TLS, DNS and the clock; each with its in-memory double."""
