"""submit: what is accepted, from whom: listeners' sessions, who may sign in, what they may send.

Enters: settings, and what clients say (``net.smtp_listen``). Leaves: letters to ``desk.Keep``, the
one place a message goes; facts to ``Watch``. It knows no queue, no route and no delivery. Called by
the daemon: ``settings`` reads the tables, ``accounts`` and ``login`` know the users, ``tls`` the
certificate, and ``desk.Desk`` makes a ``session.Session`` for each connection.

RFC 6409 (submission), 8314 (TLS first), 4954 (AUTH), 5321, 3030, 3461, 6531. What a client does
wrong is answered; what is wrong with the settings or the files is raised at the start.
"""
