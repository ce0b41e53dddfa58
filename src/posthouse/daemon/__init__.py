"""daemon: the relay as processes: a supervisor, its workers, and how they are wired together.

``supervisor`` opens the sockets and keeps the workers alive, ``worker`` is one of them, ``wiring``
puts the stages of ``send`` together, ``log`` and ``metrics`` say what goes on, ``tryout`` is the
configuration of a first try. Called by the command. The stages know nothing of each other or of
this.
"""
