"""One network and one batch to named observations; one file per kind of pass."""
