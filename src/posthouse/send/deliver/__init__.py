"""deliver: how letters are carried to a next hop, and what becomes of it.

``dispatch`` gives tasks to a ``pool`` for each way. ``connect`` makes its connections (``places``
says where, ``encrypt`` how, ``login`` signs in); ``prepare`` what goes over them, signed with
``keys``. ``outcome`` judges what came back (``waits`` reads how long a server asks for), ``retry``
when to try again, ``bounce`` tells the sender. Wired by the daemon; leaves outcomes, events and
reports in the queue.
"""
