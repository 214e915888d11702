"""Contract suites: what every implementation of a protocol must do, run against each of them."""
