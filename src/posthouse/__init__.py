"""Posthouse (驿站): outgoing mail, set up right and explained.

``flow`` holds the words all parts share; ``protocol`` what the RFCs say, with no socket;
``directory`` what is known about providers; ``net`` the only sockets; ``explain`` the causes of
failure and their words; ``setup`` the way from an address to proven settings; ``cli`` the command.
Imports go that way only, upwards never.
"""

__version__ = "0.1.0"
