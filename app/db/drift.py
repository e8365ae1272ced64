"""Finished jobs whose rows were spoilt afterwards: found, and their deliveries made due again."""

DRIFT = "drift"  # the reason of a delivery that is applied once more
