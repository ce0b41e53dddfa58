"""queue: what is kept: letters, their recipients, and the events of what happened to them.

``model`` has the contract any queue keeps, ``lane`` keeps it in one SQLite file, ``writer`` is the
one thread that writes, ``ids`` names letters. Called by whoever accepts and by whoever delivers.
"""
