"""The doctor of certificates: each module judges one side of a pair, `examination` asks them all."""
