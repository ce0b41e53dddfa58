"""send: the relay. What is accepted is durable, routed, carried, and what happens is recorded.

Stages, each knowing nothing of the others: ``submit`` (who may hand in what), ``queue`` (what is
kept), ``route`` (where to), ``deliver`` (how). ``posthouse.daemon`` wires them.
"""
