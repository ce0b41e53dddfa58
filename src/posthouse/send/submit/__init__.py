"""submit: what is accepted, from whom: listeners' sessions, who may sign in, what they may send.

Leaves letters to whoever keeps them; knows no queue, no route and no delivery.
"""
