"""protocol: what the RFCs say, with no socket, clock or randomness."""
