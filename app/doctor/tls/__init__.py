"""The doctor's checks of certificates: one aspect per module; `examination` calls them all."""
