"""Peers for the tests, on loopback only: an SMTP server, a DNS server, a certificate authority.

Each is an async context manager (``async with FakeDns({...}) as dns``). Where a test is not a
coroutine, ``fakes.background.running`` lends them a thread. All of them write down what they saw.
"""
