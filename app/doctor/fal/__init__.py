"""What can be said about fal from here: reachable, keys, addresses, our account."""
