"""send: the relay. What is accepted is durable, carried, and what happens is recorded.

Stages, each knowing nothing of the others: ``submit`` (what is taken), ``queue`` (what is kept),
``route`` (which way), ``deliver`` (how it is carried); ``client`` hands messages in. ``daemon``
wires them.
"""
