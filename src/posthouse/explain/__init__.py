"""explain: from a reply, a failure or a finding to one Cause and its words."""
