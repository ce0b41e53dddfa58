"""send: the relay. What is accepted is durable, carried, and what happens is recorded.

Stages, each knowing nothing of the others: ``queue`` (what is kept), ``deliver`` (how it is
carried). Whoever wires them stands above; no command does yet.
"""
