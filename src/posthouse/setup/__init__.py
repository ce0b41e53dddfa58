"""setup: from an e-mail address to proven outgoing settings."""
