"""queue: what is kept: letters, their recipients, and the events of what happened to them.

``lane`` keeps ``letter.Queue`` in one SQLite file, ``writer`` is the one thread that writes,
``batch`` what it does there, ``ids`` names letters. Called by whoever accepts and by whoever
delivers.
"""
