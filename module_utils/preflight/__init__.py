"""The preflight checks: what must hold before anything is deployed. Each is a function from facts to results."""
