"""From any recording to what is heard in it, without torch."""
