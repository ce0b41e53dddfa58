"""psl: where registrars sell names: the public suffix list, as publicsuffix.org defines it.

Enters: the text of a list, and domain names in A-labels or their own script. Leaves: the public
suffix of a name and its registrable (organizational) domain, in A-labels. Called by ``dmarc`` to
tell what RFC 7489 would have said, and by whoever groups names by their owner. The list is other
people's data: it comes with the package ``publicsuffixlist``, which has a release a week, or from
a file of the caller's.

Nothing fails: a name that is none has no suffix, a line of a list that is no rule is left out.
"""

from posthouse.protocol.psl.rules import PublicSuffixList, default_list

__all__ = ["PublicSuffixList", "default_list"]
